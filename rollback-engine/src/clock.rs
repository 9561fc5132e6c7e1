//! The clock of the machine, and time-outs on any clock.

use async_trait::async_trait;
use futures_util::FutureExt as _;
use rollback_core::Timestamp;
use rollback_core::ports::{Clock, Query, Store, StoreError};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The machine's wall clock, which never runs backwards within one process: deadlines and leases
/// would otherwise move when somebody sets it.
#[derive(Debug)]
pub struct SystemClock {
    started: Timestamp,
    since: tokio::time::Instant,
}

impl SystemClock {
    /// Reads the wall clock once; from there on time is counted.
    #[must_use]
    pub fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        Self { started: Timestamp::from_millis(millis), since: tokio::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.started.after(self.since.elapsed())
    }

    async fn sleep_until(&self, at: Timestamp) {
        tokio::time::sleep(at.since(self.now())).await;
    }
}

/// How far the machine's clock may be behind what was recorded last: other machines' clocks differ.
const BEHIND_MAX: Duration = Duration::from_secs(60);

/// What this process knows of clocks that went back.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    /// Whether the machine's own was behind what was recorded before this process began.
    behind: AtomicBool,
    told: AtomicU64,
}

impl Steps {
    /// How often a clock went back.
    pub(crate) fn back(&self, store: &dyn Store) -> u64 {
        store.clock_steps().back.saturating_add(u64::from(self.behind.load(Ordering::Relaxed)))
    }

    /// Compares the machine's clock with the last record, once, at the start. Claims and deadlines of
    /// the process before this one go by its clock, and end later by this one.
    pub(crate) async fn compare(
        &self,
        store: &dyn Store,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut query = Query::all(1);
        query.after = store.head().await?.sequence.saturating_sub(1);
        let Some(last) = store.audit(&query).await?.pop() else { return Ok(()) };
        let behind = last.draft.at.since(now);
        if behind > BEHIND_MAX {
            self.behind.store(true, Ordering::Relaxed);
            tracing::error!(
                seconds = behind.as_secs(),
                "this machine's clock is behind the last audit record; what another process had claimed waits for longer"
            );
        }
        Ok(())
    }

    /// Tells of what the store has seen of its own clock since the last look.
    pub(crate) fn look(&self, store: &dyn Store) {
        let steps = store.clock_steps();
        if self.told.swap(steps.back, Ordering::Relaxed) < steps.back {
            tracing::error!(
                seconds = steps.furthest.as_secs(),
                "the store's clock went back; what a process had claimed that died waits for longer"
            );
        }
    }
}

/// Awaits what an adapter answers for at most `bound`. An adapter that panics has not answered:
/// what waits for it goes on, and so does whatever else its task does.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    bound: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let caught = AssertUnwindSafe(within_or_panic(clock, bound, future)).catch_unwind().await;
    caught.unwrap_or_else(|_panic| {
        tracing::error!("an adapter panicked");
        None
    })
}

/// Awaits `future` for at most `within`.
pub(crate) async fn within_or_panic<T>(
    clock: &dyn Clock,
    within: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let until = clock.now().after(within);
    tokio::select! {
        biased;
        done = future => Some(done),
        () = clock.sleep_until(until) => None,
    }
}
