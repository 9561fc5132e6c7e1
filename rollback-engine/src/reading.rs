//! What surfaces read besides the state of one rollback: lists, the audit log, readiness.

use crate::checkpoint::{CheckpointStanding, Making};
use crate::engine::Engine;
use crate::health::{Part, PartStanding, Trouble};
use crate::places::OpenStanding;
use rollback_core::audit::{Head, Record};
use rollback_core::ports::{Pruned, Query, StoreError};
use rollback_core::{ChannelId, Label, RollbackId, RollbackView, Timestamp};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Why the engine is not ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// [`Engine::run`] has not begun, or has ended.
    #[error("the engine does not run; no rollback would be driven")]
    NotRunning,
    /// The store cannot be written.
    #[error("the store cannot be written, so nothing could be recorded")]
    Store(#[source] StoreError),
}

/// How the outbox stands, and what became of what this process took from it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct OutboxStanding {
    /// How many notices wait.
    pub waiting: u64,
    /// Since when there has always been one that waits, as far as this process has seen.
    pub since: Option<Timestamp>,
    /// How many were delivered.
    pub delivered: u64,
    /// How many attempts failed and will be made again.
    pub postponed: u64,
    /// How many attempts failed because somebody must fix something first: a token, a scope, a
    /// channel. They are made again until then.
    pub blocked: u64,
    /// How many were given up.
    pub abandoned: u64,
}

/// A channel in which nothing can be delivered until somebody fixes what is wrong. What is to be told
/// there is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct BlockedChannel {
    /// The notifier.
    pub notifier: Label,
    /// The channel of the services that it concerns.
    pub channel: ChannelId,
    /// What cannot be delivered: what is posted in the channel, pages, or direct messages.
    pub what: &'static str,
    /// What is wrong, and what to fix.
    pub why: String,
    /// Since when this process has seen it.
    pub since: Timestamp,
}

/// Hints that something was recorded: one for each step, or for several at once. Of another process's
/// steps this one hears through the store, soon as a rule; whoever waits looks now and then without.
#[derive(Debug)]
pub struct Steps {
    stored: watch::Receiver<u64>,
    stopping: CancellationToken,
}

impl Steps {
    /// Completes at the next hint; with none when the engine stops. A hint since the call before
    /// is not lost.
    pub async fn next(&mut self) -> Option<()> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => None,
            changed = self.stored.changed() => changed.ok(),
        }
    }
}

impl Engine {
    /// The rollback as the store has it, whichever process drives it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    pub async fn rollback(&self, id: &RollbackId) -> Result<Option<RollbackView>, StoreError> {
        let mut query = Query::all(1);
        query.rollback = Some(id.clone());
        Ok(self.rollbacks(&query).await?.into_iter().next())
    }

    /// Audit records in their order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when one cannot be read or is not canonical.
    pub async fn records(&self, query: &Query) -> Result<Vec<Record>, StoreError> {
        self.inner.store.audit(query).await
    }

    /// The end of the audit chain.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    pub async fn head(&self) -> Result<Head, StoreError> {
        self.inner.store.head().await
    }

    /// What this process knows of the checkpoints of the audit log; none where none are made.
    #[must_use]
    pub fn checkpoints(&self) -> Option<CheckpointStanding> {
        self.inner.checkpoints.as_ref().map(Making::standing)
    }

    /// Hints that something was recorded, from now on.
    #[must_use]
    pub fn steps(&self) -> Steps {
        let inner = &self.inner;
        Steps { stored: inner.steps.subscribe(), stopping: inner.stopping.clone() }
    }

    /// Whether rollbacks would be driven and recorded now.
    ///
    /// # Errors
    ///
    /// [`NotReady`] with what is missing.
    pub async fn ready(&self) -> Result<(), NotReady> {
        let is_stopping = self.inner.stopping.is_cancelled();
        if is_stopping || !self.inner.running.load(Ordering::Relaxed) {
            return Err(NotReady::NotRunning);
        }
        self.inner.writes(None).await.map_err(NotReady::Store)
    }

    /// How the outbox stands.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    pub async fn outbox(&self) -> Result<OutboxStanding, StoreError> {
        let waiting = self.inner.store.waiting().await?;
        let delivery = &self.inner.delivery;
        Ok(OutboxStanding {
            waiting,
            since: if waiting == 0 { None } else { *delivery.since() },
            delivered: delivery.delivered.load(Ordering::Relaxed),
            postponed: delivery.postponed.load(Ordering::Relaxed),
            blocked: delivery.blocked.load(Ordering::Relaxed),
            abandoned: delivery.abandoned.load(Ordering::Relaxed),
        })
    }

    /// The channels in which nothing can be delivered until somebody fixes what is wrong, as far as
    /// this process has seen.
    #[must_use]
    pub fn blocked_channels(&self) -> Vec<BlockedChannel> {
        let blocked = |PartStanding { part, trouble, .. }: PartStanding| {
            let Part::Channel { notifier, channel, what } = part else { return None };
            let Trouble { since, why } = trouble?;
            Some(BlockedChannel { notifier, channel, what, why, since })
        };
        self.inner.health.parts().into_iter().filter_map(blocked).collect()
    }

    /// Quarantined rollbacks: they crashed the service, or their journal does not replay. Each waits for
    /// a person's decision.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    pub async fn put_aside(&self) -> Result<Vec<RollbackId>, StoreError> {
        self.inner.store.put_aside().await
    }

    /// How many rollbacks this process has open, and how many it takes.
    #[must_use]
    pub fn open_standing(&self) -> OpenStanding {
        self.inner.places.standing()
    }

    /// What the store has forgotten since this process started, at its request, and whether there is
    /// more.
    #[must_use]
    pub fn pruned(&self) -> Pruned {
        *self.inner.pruned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often a clock went back that claims are judged by: the store's own, as far as this process
    /// has seen, or at its start the machine's. Claims of processes that died then last longer.
    #[must_use]
    pub fn clock_steps_back(&self) -> u64 {
        self.inner.clocks.back(self.inner.store.as_ref())
    }

    /// What time it is, by the engine's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }
}

/// What became of notices in this process.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) delivered: AtomicU64,
    pub(crate) postponed: AtomicU64,
    pub(crate) blocked: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    waiting_since: Mutex<Option<Timestamp>>,
}

impl Counts {
    pub(crate) fn one_more(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that nothing waits.
    pub(crate) fn is_empty(&self) {
        *self.since() = None;
    }

    /// Notes that something waits.
    pub(crate) fn waits(&self, now: Timestamp) {
        self.since().get_or_insert(now);
    }

    fn since(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.waiting_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that the engine runs, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a AtomicBool);

impl<'a> Running<'a> {
    pub(crate) fn begin(flag: &'a AtomicBool) -> Self {
        flag.store(true, Ordering::Relaxed);
        Self(flag)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
