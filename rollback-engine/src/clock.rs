//! The clock of the machine, and time-outs on any clock.

use async_trait::async_trait;
use futures_util::FutureExt as _;
use rollback_core::Timestamp;
use rollback_core::ports::Clock;
use std::panic::AssertUnwindSafe;
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
