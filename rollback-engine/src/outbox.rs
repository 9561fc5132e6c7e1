//! Delivers notices: each at least once, the latest of each message, in order within a thread.

use crate::clock::within;
use crate::engine::Inner;
use crate::health::{Part, TO_ONE_PERSON};
use crate::reading::Counts;
use crate::telling;
use futures_util::future::join_all;
use rollback_core::notice::{Attempt, Delivered, Delivery, Notice};
use rollback_core::ports::{Notifier, NotifyError, Queued, StoreError};
use rollback_core::{Label, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How many notices are taken at a time.
const BATCH_MAX: usize = 100;

/// How many lines of a thread are told in one message: more than one rollback has, and few enough to
/// read.
const LINES_TOGETHER_MAX: usize = 8;

/// How long one delivery may take.
pub(crate) const DELIVERY_MAX: Duration = Duration::from_secs(10);

/// How long other processes take nothing of a lane of which this one has something: a delivery, and
/// as much again for those that follow it. After a crash its notices wait for that long.
const HOLD: Duration = Duration::from_secs(20);

/// The pause after the first failure; it doubles with each.
const RETRY_MIN: Duration = Duration::from_millis(500);

/// The longest pause, so that people are told within a minute after an outage.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Longest pause while a message is blocked: after a fix people expect it within two minutes.
const BLOCKED_MAX: Duration = Duration::from_secs(60);

/// When a notice is given up: after most of a day of failures at the longest pause.
const ATTEMPTS_MAX: u32 = 2_500;

/// When a notice is given up that waits for somebody to fix something: after a week at the longest
/// pause. By then nobody fixes it for this one, and each attempt takes a turn of the chat's pace from
/// others. What somebody must answer is never given up: see [`is_urgent`].
const BLOCKED_ATTEMPTS_MAX: u32 = 7 * 24 * 60;

/// When a notice is given up that cannot be read, or whose message cannot be put together from what is
/// stored: time enough for a process of another release to take it, and short, since the lines of one
/// thread wait for one another.
const UNREADABLE_ATTEMPTS_MAX: u32 = 10;

/// The pause between attempts to read it.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(60);

/// How many of them a status names: more says no more about the store, and leaves no room for others.
const UNREADABLE_TOLD_MAX: usize = 100;

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
        let now = inner.clock.now();
        let wait = match inner.store.next_due(&inner.instance, now).await {
            Ok(Some(at)) => {
                inner.delivery.waits(now);
                at.since(now).clamp(Duration::from_millis(1), RETRY_MAX)
            }
            Ok(None) => {
                inner.delivery.is_empty();
                RETRY_MAX
            }
            Err(_) => STORE_RETRY,
        };
        tokio::select! {
            biased;
            () = inner.stopping.cancelled() => {}
            () = inner.outbox_wake.notified() => {}
            () = inner.clock.sleep(wait) => {}
        }
    }
}

/// Delivers everything that is due: channels side by side. What a process took and did not settle
/// before it died is looked for by the next one, not posted a second time.
async fn deliver_due(inner: &Inner) -> Result<usize, StoreError> {
    let now = inner.clock.now();
    let due = match inner.store.take(&inner.instance, now, HOLD, BATCH_MAX).await {
        // One row that cannot be read holds up no other.
        Err(StoreError::Corrupt { .. }) => {
            put_off_unreadable(inner, now).await?;
            inner.store.take(&inner.instance, now, HOLD, BATCH_MAX).await?
        }
        taken => taken?,
    };
    // Whatever begins before this has ended before anybody else may take it.
    let begin_before = now.after(HOLD.saturating_sub(DELIVERY_MAX));
    let mut lanes: BTreeMap<(String, String), Lane> = BTreeMap::new();
    let count = due.len();
    for queued in due {
        let lane = (queued.notifier.to_string(), queued.channel.to_string());
        lanes.entry(lane).or_default().take(queued);
    }
    let delivered = join_all(lanes.into_values().map(|lane| lane.deliver(inner, begin_before)));
    delivered.await.into_iter().collect::<Result<(), StoreError>>()?;
    Ok(count)
}

async fn put_off_unreadable(inner: &Inner, now: Timestamp) -> Result<(), StoreError> {
    let (store, not_before) = (&inner.store, now.after(UNREADABLE_PAUSE));
    let unread = store
        .put_off_unreadable(&inner.instance, now, not_before, UNREADABLE_ATTEMPTS_MAX, BATCH_MAX)
        .await?;
    for one in unread {
        let count = match one.again_at {
            Some(_) => &inner.delivery.postponed,
            None => &inner.delivery.abandoned,
        };
        Counts::one_more(count);
        tell_unreadable(inner, (&one.notifier, &one.key), &one.why, one.again_at);
    }
    Ok(())
}

/// Tells in the log and in the status that a notice cannot be read, or was given up for that.
fn tell_unreadable(
    inner: &Inner,
    (notifier, key): (&Label, &Label),
    why: &str,
    again_at: Option<Timestamp>,
) {
    let why = match again_at {
        Some(_) => {
            tracing::warn!(%notifier, %key, why, "a notice cannot be read; it is tried again");
            why.to_owned()
        }
        None => {
            tracing::error!(
                %notifier, %key, why,
                "a notice cannot be read and is given up; its row is kept in the outbox"
            );
            format!("given up, its row is kept in the outbox: {why}")
        }
    };
    let part = Part::Notice { notifier: notifier.clone(), key: key.clone() };
    let is_notice = |part: &Part| matches!(part, Part::Notice { .. });
    if inner.health.seen_at(&part).is_some() || inner.health.count(is_notice) < UNREADABLE_TOLD_MAX
    {
        inner.health.report(part, Err(why));
    }
}

/// What is due in one channel of one notifier.
///
/// How a rollback stands, a page and a word to one person are not kept waiting by the story of how
/// it came about: that is told beside them, in its own order.
#[derive(Debug, Default)]
struct Lane {
    messages: Vec<Queued>,
    threads: Vec<Vec<Queued>>,
}

impl Lane {
    fn take(&mut self, queued: Queued) {
        let is_new_in_a_thread = queued.thread_key.is_some() && queued.previous.is_none();
        if !is_line(&queued) && !is_new_in_a_thread {
            self.messages.push(queued);
            return;
        }
        let same = |thread: &&mut Vec<Queued>| {
            thread.first().is_some_and(|first| first.thread_key == queued.thread_key)
        };
        match self.threads.iter_mut().find(same) {
            Some(thread) => thread.push(queued),
            None => self.threads.push(vec![queued]),
        }
    }

    async fn deliver(self, inner: &Inner, begin_before: Timestamp) -> Result<(), StoreError> {
        let messages = async {
            for (place, queued) in self.messages.iter().enumerate() {
                if inner.clock.now() >= begin_before {
                    return give_back(inner, self.messages.iter().skip(place)).await;
                }
                let _settled_or_waits = deliver(inner, queued).await?;
            }
            Ok(())
        };
        let threads = async {
            for thread in &self.threads {
                tell_thread(inner, thread, begin_before).await?;
            }
            Ok(())
        };
        let (messages, threads) = tokio::join!(messages, threads);
        messages.and(threads)
    }
}

/// Tells what is due in one thread, from top to bottom. A line that has to wait holds up those that
/// follow it; what follows it and is no line does not wait.
async fn tell_thread(
    inner: &Inner,
    thread: &[Queued],
    begin_before: Timestamp,
) -> Result<(), StoreError> {
    let mut rest = thread;
    let (mut held_up, mut untried) = (false, Vec::new());
    while let [first, following @ ..] = rest {
        if inner.clock.now() >= begin_before {
            untried.extend(rest);
            break;
        }
        if is_line(first) && held_up {
            untried.push(first);
            rest = following;
            continue;
        }
        let with_it = following.iter().take_while(|queued| goes_with(first, queued));
        let together = with_it.take(LINES_TOGETHER_MAX.saturating_sub(1)).count();
        let (lines, _later) = rest.split_at(together.saturating_add(1));
        let (tried, outcome) = deliver_lines(inner, first, lines).await?;
        held_up = held_up || (is_line(first) && outcome == Outcome::Waits);
        rest = rest.get(tried..).unwrap_or_default();
    }
    give_back(inner, untried).await
}

/// Whether a line may be told in the message of an earlier one. One that may have been posted is
/// looked for by itself.
fn goes_with(first: &Queued, next: &Queued) -> bool {
    let fresh = |queued: &Queued| {
        is_line(queued) && queued.attempt == Attempt::Clean && queued.previous.is_none()
    };
    fresh(first) && fresh(next)
}

async fn give_back(
    inner: &Inner,
    untried: impl IntoIterator<Item = &Queued>,
) -> Result<(), StoreError> {
    let untried: Vec<Queued> = untried.into_iter().cloned().collect();
    if untried.is_empty() { Ok(()) } else { inner.store.give_back(&untried).await }
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

/// Delivers the first of these lines, and as many more as its notifier tells in one message. Says
/// how many of them were tried.
async fn deliver_lines(
    inner: &Inner,
    first: &Queued,
    lines: &[Queued],
) -> Result<(usize, Outcome), StoreError> {
    let (Some(notifier), true) = (notifier_of(inner, first), lines.len() > 1) else {
        return Ok((1, deliver(inner, first).await?));
    };
    let mut deliveries = Vec::with_capacity(lines.len());
    for queued in lines {
        deliveries.push(delivery_of(inner, queued, queued.notice.clone()).await);
    }
    let Some((head, following)) = deliveries.split_first() else {
        return Ok((1, deliver(inner, first).await?));
    };
    let done = notifier.deliver_lines(head, following);
    let done = within(inner.clock.as_ref(), DELIVERY_MAX, done).await;
    let done = done.unwrap_or_else(|| Err(silence(notifier)));
    note(inner, notifier, done.as_ref().map(|(_more, delivered)| delivered));
    match done {
        Ok((more, delivered)) => {
            let told = more.saturating_add(1).min(lines.len());
            for queued in lines.iter().take(told) {
                settle(inner, queued, Ok(delivered.clone())).await?;
            }
            Ok((told, Outcome::Settled))
        }
        // Any of them may be there now.
        Err(error @ NotifyError::InDoubt { .. }) => {
            for queued in lines {
                settle(inner, queued, Err(error.clone())).await?;
            }
            Ok((lines.len(), Outcome::Waits))
        }
        // One of them may be why.
        Err(NotifyError::Rejected { .. }) => Ok((1, deliver(inner, first).await?)),
        Err(
            error @ (NotifyError::NotYet { .. }
            | NotifyError::Retry { .. }
            | NotifyError::Blocked { .. }),
        ) => Ok((1, settle(inner, first, Err(error)).await?)),
    }
}

async fn deliver(inner: &Inner, queued: &Queued) -> Result<Outcome, StoreError> {
    let Some(notifier) = notifier_of(inner, queued) else {
        inner.store.abandon(queued, "no notifier of this name is configured").await?;
        return Ok(Outcome::Settled);
    };
    let notice = match telling::as_it_stands(inner, &queued.notice).await {
        Ok(notice) => notice,
        Err(error @ StoreError::Corrupt { .. }) => return unreadable(inner, queued, &error).await,
        Err(error) => {
            let why = format!("how it stands could not be read: {error}");
            return settle(inner, queued, Err(NotifyError::Retry { after: None, why })).await;
        }
    };
    let delivery = delivery_of(inner, queued, notice).await;
    let done = within(inner.clock.as_ref(), DELIVERY_MAX, notifier.deliver(&delivery)).await;
    let done = done.unwrap_or_else(|| Err(silence(notifier)));
    note(inner, notifier, done.as_ref());
    settle(inner, queued, done).await
}

/// Puts a notice off whose message cannot be put together from what is stored, or gives it up.
async fn unreadable(
    inner: &Inner,
    queued: &Queued,
    error: &StoreError,
) -> Result<Outcome, StoreError> {
    let (who, why) = ((&queued.notifier, &queued.key), error.to_string());
    if queued.attempts.saturating_add(1) >= UNREADABLE_ATTEMPTS_MAX {
        inner.store.abandon(queued, &why).await?;
        Counts::one_more(&inner.delivery.abandoned);
        tell_unreadable(inner, who, &why, None);
        return Ok(Outcome::Settled);
    }
    let again_at = inner.clock.now().after(UNREADABLE_PAUSE);
    inner.store.postpone(queued, again_at, queued.attempt).await?;
    Counts::one_more(&inner.delivery.postponed);
    tell_unreadable(inner, who, &why, Some(again_at));
    Ok(Outcome::Waits)
}

fn notifier_of<'a>(inner: &'a Inner, queued: &Queued) -> Option<&'a dyn Notifier> {
    let mut notifiers = inner.notifiers.iter();
    Some(notifiers.find(|it| queued.notifier.as_str() == it.name())?.as_ref())
}

fn silence(notifier: &dyn Notifier) -> NotifyError {
    NotifyError::InDoubt { why: crate::facts::silent(notifier.name(), DELIVERY_MAX) }
}

async fn delivery_of(inner: &Inner, queued: &Queued, notice: Notice) -> Delivery {
    let (key, channel) = (queued.key.clone(), queued.channel.clone());
    let mut delivery = Delivery::new(key, queued.version, notice, channel);
    delivery.thread.clone_from(&queued.thread);
    delivery.previous.clone_from(&queued.previous);
    delivery.attempt = queued.attempt;
    delivery.witness = telling::witness(inner, &delivery.notice).await;
    delivery
}

async fn settle(
    inner: &Inner,
    queued: &Queued,
    done: Result<Delivered, NotifyError>,
) -> Result<Outcome, StoreError> {
    match done {
        Ok(Delivered::Posted(message)) => {
            note_delivered(inner, queued);
            inner.store.delivered(queued, Some(message)).await?;
            Counts::one_more(&inner.delivery.delivered);
        }
        Ok(Delivered::Sent) => {
            note_delivered(inner, queued);
            inner.store.delivered(queued, None).await?;
            Counts::one_more(&inner.delivery.delivered);
        }
        Ok(Delivered::NotMine) => inner.store.delivered(queued, None).await?,
        Err(NotifyError::NotYet { after }) => {
            tracing::debug!(key = %queued.key, ?after, "a notice waits for its turn");
            // Waiting its turn says nothing about an earlier attempt.
            inner.store.postpone(queued, inner.clock.now().after(after), queued.attempt).await?;
            return Ok(Outcome::Waits);
        }
        Err(NotifyError::Blocked { why }) if may_be_given_up(queued) => {
            lost(queued, &why, "a notice is given up that was blocked for a week");
            inner.store.abandon(queued, &why).await?;
            Counts::one_more(&inner.delivery.abandoned);
        }
        Err(NotifyError::Blocked { why }) => return blocked(inner, queued, &why).await,
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
                NotifyError::Blocked { .. }
                | NotifyError::Rejected { .. }
                | NotifyError::NotYet { .. } => (None, queued.attempt),
            };
            let wait = after.unwrap_or_else(|| pause_after(queued.attempts, RETRY_MAX));
            inner.store.postpone(queued, inner.clock.now().after(wait), attempt).await?;
            Counts::one_more(&inner.delivery.postponed);
            return Ok(Outcome::Waits);
        }
    }
    Ok(Outcome::Settled)
}

/// Notes what a notifier's answer says of the notifier. One that has not come to its turn says nothing
/// of it.
fn note(inner: &Inner, notifier: &dyn Notifier, answer: Result<&Delivered, &NotifyError>) {
    let (chat, health) = (Part::Chat(notifier.name().into()), &inner.health);
    match answer {
        Ok(Delivered::Posted(_) | Delivered::Sent) => health.report_delivery(chat, Ok(())),
        Err(NotifyError::Retry { why, .. } | NotifyError::InDoubt { why }) => {
            health.report_delivery(chat, Err(why.clone()));
        }
        // It answers, whatever it says of this notice or of one place.
        Err(NotifyError::Rejected { .. } | NotifyError::Blocked { .. }) => {
            health.answers_again(chat);
        }
        Ok(Delivered::NotMine) | Err(NotifyError::NotYet { .. }) => {}
    }
}

/// Where a notice belongs: what is told to one person may go out while the channel is blocked.
fn place(queued: &Queued) -> Part {
    let what = match queued.notice {
        Notice::Changed(ref changed) if changed.through_break_glass => "on-call pages",
        Notice::Deploy(_) | Notice::Line { .. } | Notice::Approval(_) | Notice::Changed(_) => {
            "channel messages"
        }
        Notice::Private { .. } | Notice::Deployer { .. } => TO_ONE_PERSON,
        Notice::OnCall(_) | Notice::BreakGlass { .. } | Notice::Blocked(_) => "on-call pages",
    };
    let (notifier, channel) = (queued.notifier.clone(), queued.channel.clone());
    Part::Channel { notifier, channel, what }
}

/// Whether somebody has to do something about what it tells: approve, or look after a rollback.
const fn is_urgent(notice: &Notice) -> bool {
    match notice {
        Notice::Approval(_)
        | Notice::OnCall(_)
        | Notice::BreakGlass { .. }
        | Notice::Blocked(_) => true,
        Notice::Changed(changed) => changed.through_break_glass,
        Notice::Deploy(_)
        | Notice::Line { .. }
        | Notice::Private { .. }
        | Notice::Deployer { .. } => false,
    }
}

/// Whether a blocked notice has waited for as long as it may.
fn may_be_given_up(queued: &Queued) -> bool {
    queued.attempts >= BLOCKED_ATTEMPTS_MAX && !is_urgent(&queued.notice)
}

/// Notes that something was delivered where this notice belongs, and that it could be read.
fn note_delivered(inner: &Inner, queued: &Queued) {
    let (notifier, key) = (queued.notifier.clone(), queued.key.clone());
    if inner.health.forget(&Part::Notice { notifier, key }) {
        tracing::info!(key = %queued.key, "a notice that could not be read is delivered");
    }
    if inner.health.forget(&place(queued)) {
        tracing::info!(
            notifier = %queued.notifier, channel = %queued.channel,
            "messages are delivered again"
        );
    }
}

/// Keeps a notice that cannot be delivered until somebody fixes what is wrong, and tells that once.
async fn blocked(inner: &Inner, queued: &Queued, why: &str) -> Result<Outcome, StoreError> {
    let (now, place) = (inner.clock.now(), place(queued));
    if inner.health.is_news(&place, why) {
        tracing::error!(
            notifier = %queued.notifier, channel = %queued.channel, %why,
            "messages cannot be delivered until this is fixed; they are kept"
        );
    }
    inner.health.report(place, Err(why.to_owned()));
    let wait = pause_after(queued.attempts, BLOCKED_MAX);
    inner.store.postpone(queued, now.after(wait), queued.attempt).await?;
    Counts::one_more(&inner.delivery.blocked);
    Ok(Outcome::Waits)
}

fn lost(queued: &Queued, error: &dyn std::fmt::Display, what: &str) {
    tracing::error!(key = %queued.key, %error, "{what}");
}

fn pause_after(attempts: u32, longest: Duration) -> Duration {
    RETRY_MIN.saturating_mul(2_u32.saturating_pow(attempts.min(10))).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_core::known_good::Choice;
    use rollback_core::notice::{Blocked, DeployCard};
    use rollback_core::{Deploy, ServiceKey};
    use rollback_testkit::fixtures::parsed;

    fn message() -> Notice {
        let (key, at) =
            (ServiceKey::new(parsed("checkout"), parsed("production")), Timestamp::from_millis(0));
        let deploy = Deploy::new(parsed("ci-42"), key, "2.14.0", at);
        Notice::Deploy(Box::new(DeployCard::new(deploy, None, Choice::none("none"))))
    }

    fn page() -> Notice {
        let at = Timestamp::from_millis(0);
        Notice::Blocked(Box::new(Blocked::new("the store", at, "it is full")))
    }

    /// Otherwise a page that went out would hide that nothing reaches the channel.
    #[test]
    fn what_is_told_elsewhere_says_nothing_of_the_channel() {
        let (message, page) = (message(), page());
        let queued = |notice| Queued::new("chat", "key", notice, parsed("C0PAYMENTS"));
        assert_ne!(place(&queued(message)), place(&queued(page)));
    }

    #[test]
    fn what_was_blocked_for_a_week_is_given_up_unless_somebody_must_act_on_it() {
        let (message, page) = (message(), page());
        let waited = |notice, attempts| {
            let mut queued = Queued::new("chat", "key", notice, parsed("C0PAYMENTS"));
            queued.attempts = attempts;
            may_be_given_up(&queued)
        };
        let week = 7 * 24 * 3_600 / u32::try_from(BLOCKED_MAX.as_secs()).unwrap();
        assert!(!waited(message.clone(), week - 1));
        assert!(waited(message, week));
        assert!(!waited(page, 10 * week));
    }
}
