//! Delivers notices: each at least once, the latest of each message, in order within a channel.

use crate::clock::within;
use crate::engine::Inner;
use crate::reading::Counts;
use crate::telling;
use futures_util::future::join_all;
use rollback_core::notice::{Attempt, Delivered, Delivery, Notice};
use rollback_core::ports::{Notifier, NotifyError, Queued, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How many notices are taken at a time.
const BATCH_MAX: usize = 100;

/// How long one delivery may take.
const DELIVERY_MAX: Duration = Duration::from_secs(10);

/// How long other processes take nothing of a lane of which this one has something: a delivery, and
/// as much again for those that follow it. After a crash its notices wait for that long.
const HOLD: Duration = Duration::from_secs(20);

/// The pause after the first failure; it doubles with each.
const RETRY_MIN: Duration = Duration::from_millis(500);

/// The longest pause, so that people are told within a minute after an outage.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// When a notice is given up: after most of a day of failures at the longest pause.
const ATTEMPTS_MAX: u32 = 2_500;

/// How long the outbox waits when the store does not answer.
const STORE_RETRY: Duration = Duration::from_secs(1);

pub(crate) async fn run(inner: Arc<Inner>) {
    loop {
        let busy = match deliver_due(&inner).await {
            Ok(delivered) => delivered > 0,
            Err(error) => {
                tracing::warn!(%error, "the outbox could not be read");
                false
            }
        };
        if inner.stopping.is_cancelled() {
            return;
        }
        if busy {
            continue;
        }
        let next = match inner.store.next_due(&inner.instance, inner.clock.now()).await {
            Ok(Some(at)) => {
                inner.delivery.waits(inner.clock.now());
                at.max(inner.clock.now().after(Duration::from_millis(1)))
            }
            Ok(None) => {
                inner.delivery.is_empty();
                inner.clock.now().after(RETRY_MAX)
            }
            Err(_) => inner.clock.now().after(STORE_RETRY),
        };
        tokio::select! {
            biased;
            () = inner.stopping.cancelled() => {}
            () = inner.outbox_wake.notified() => {}
            () = inner.clock.sleep_until(next) => {}
        }
    }
}

/// Delivers everything that is due: channels side by side, in order within each. What a process
/// took and did not settle before it died is looked for by the next one, not posted a second time.
async fn deliver_due(inner: &Inner) -> Result<usize, StoreError> {
    let now = inner.clock.now();
    let due = inner.store.take(&inner.instance, now, HOLD, BATCH_MAX).await?;
    // Whatever begins before this has ended before anybody else may take it.
    let begin_before = now.after(HOLD.saturating_sub(DELIVERY_MAX));
    let mut lanes: BTreeMap<(String, String), Vec<Queued>> = BTreeMap::new();
    let count = due.len();
    for queued in due {
        let lane = (queued.notifier.to_string(), queued.channel.to_string());
        lanes.entry(lane).or_default().push(queued);
    }
    let delivered = join_all(lanes.into_values().map(|lane| async move {
        // A line that has to wait holds up those that follow it in its thread.
        let (mut held_up, mut untried) = (BTreeSet::new(), Vec::new());
        for queued in lane {
            let waits = is_line(&queued) && held_up.contains(&queued.thread_key);
            if waits || inner.clock.now() >= begin_before {
                untried.push(queued);
                continue;
            }
            if deliver(inner, &queued).await? == Outcome::Waits && is_line(&queued) {
                held_up.insert(queued.thread_key);
            }
        }
        if untried.is_empty() { Ok(()) } else { inner.store.give_back(&untried).await }
    }))
    .await;
    delivered.into_iter().collect::<Result<(), StoreError>>()?;
    Ok(count)
}

/// What became of one delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    /// Delivered, or given up.
    Settled,
    /// To be tried again.
    Waits,
}

fn is_line(queued: &Queued) -> bool {
    matches!(queued.notice, Notice::Line { .. })
}

async fn deliver(inner: &Inner, queued: &Queued) -> Result<Outcome, StoreError> {
    let Some(notifier) = inner.notifiers.iter().find(|n| queued.notifier.as_str() == n.name())
    else {
        inner.store.abandon(queued, "no notifier of this name is configured").await?;
        return Ok(Outcome::Settled);
    };
    match attempt(inner, notifier.as_ref(), queued).await {
        Ok(Delivered::Posted(message)) => {
            inner.store.delivered(queued, Some(message)).await?;
            Counts::one_more(&inner.delivery.delivered);
        }
        Ok(Delivered::Sent) => {
            inner.store.delivered(queued, None).await?;
            Counts::one_more(&inner.delivery.delivered);
        }
        Ok(Delivered::NotMine) => inner.store.delivered(queued, None).await?,
        Err(NotifyError::Rejected { why }) => {
            lost(queued, &why, "a notice can never be delivered");
            inner.store.abandon(queued, &why).await?;
            Counts::one_more(&inner.delivery.abandoned);
        }
        Err(error) if queued.attempts >= ATTEMPTS_MAX => {
            lost(queued, &error, "a notice is given up");
            inner.store.abandon(queued, &error.to_string()).await?;
            Counts::one_more(&inner.delivery.abandoned);
        }
        Err(error) => {
            tracing::warn!(key = %queued.key, %error, attempts = queued.attempts, "a notice was not delivered");
            let (after, attempt) = match error {
                NotifyError::Retry { after, .. } => (after, queued.attempt),
                NotifyError::InDoubt { .. } => (None, Attempt::InDoubt),
                NotifyError::Rejected { .. } => (None, queued.attempt),
            };
            let wait = after.unwrap_or_else(|| pause_after(queued.attempts));
            inner.store.postpone(queued, inner.clock.now().after(wait), attempt).await?;
            Counts::one_more(&inner.delivery.postponed);
            return Ok(Outcome::Waits);
        }
    }
    Ok(Outcome::Settled)
}

fn lost(queued: &Queued, error: &dyn std::fmt::Display, what: &str) {
    tracing::error!(key = %queued.key, %error, "{what}");
}

async fn attempt(
    inner: &Inner,
    notifier: &dyn Notifier,
    queued: &Queued,
) -> Result<Delivered, NotifyError> {
    let notice = telling::as_it_stands(inner, &queued.notice).await;
    let (key, channel) = (queued.key.clone(), queued.channel.clone());
    let mut delivery = Delivery::new(key, queued.version, notice, channel);
    delivery.thread.clone_from(&queued.thread);
    delivery.previous.clone_from(&queued.previous);
    delivery.attempt = queued.attempt;
    delivery.witness = telling::witness(inner, &delivery.notice).await;
    let done = within(inner.clock.as_ref(), DELIVERY_MAX, notifier.deliver(&delivery)).await;
    done.unwrap_or_else(|| {
        Err(NotifyError::InDoubt { why: crate::facts::silent(notifier.name(), DELIVERY_MAX) })
    })
}

fn pause_after(attempts: u32) -> Duration {
    RETRY_MIN.saturating_mul(2_u32.saturating_pow(attempts.min(10))).min(RETRY_MAX)
}
