use async_trait::async_trait;
use core::time::Duration;
use rollback_core::Timestamp;
use rollback_core::ports::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::Notify;

/// A clock that starts where it is told and then goes as tokio's does: in a test that pauses
/// tokio's time it stands still until somebody advances it or everybody sleeps. It can be set, as
/// the clock of a machine can; its clones are the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock {
    start: Timestamp,
    since: tokio::time::Instant,
    set: Arc<Set>,
}

/// By how much it was set.
#[derive(Debug, Default)]
struct Set {
    ahead_millis: AtomicI64,
    moved: Notify,
}

impl ManualClock {
    /// Starts a clock.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Self {
        Self { start, since: tokio::time::Instant::now(), set: Arc::default() }
    }

    /// Lets time pass. Only where tokio's time is paused.
    pub async fn advance(&self, by: Duration) {
        tokio::time::advance(by).await;
    }

    /// Somebody sets the clock forward: the time of day jumps, and no time has passed.
    pub fn set_forward(&self, by: Duration) {
        self.move_by(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    }

    /// Somebody sets the clock back.
    pub fn set_back(&self, by: Duration) {
        self.move_by(i64::try_from(by.as_millis()).map_or(i64::MIN, |millis| -millis));
    }

    fn move_by(&self, millis: i64) {
        self.set.ahead_millis.fetch_add(millis, Ordering::AcqRel);
        self.set.moved.notify_waiters();
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let counted = self.start.after(self.since.elapsed()).as_millis();
        let ahead = self.set.ahead_millis.load(Ordering::Acquire);
        Timestamp::from_millis(counted.saturating_add_signed(ahead))
    }

    async fn sleep_until(&self, at: Timestamp) {
        loop {
            let moved = self.set.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let left = at.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                biased;
                () = moved => {}
                () = tokio::time::sleep(left) => {}
            }
        }
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_stands_still_until_it_is_advanced() {
        let clock = ManualClock::starting_at(Timestamp::from_millis(7));
        assert_eq!(clock.now(), Timestamp::from_millis(7));
        clock.advance(Duration::from_secs(3)).await;
        assert_eq!(clock.now(), Timestamp::from_millis(3_007));
        clock.sleep_until(Timestamp::from_millis(5_007)).await;
        assert_eq!(clock.now(), Timestamp::from_millis(5_007));
        clock.sleep_until(Timestamp::from_millis(1)).await;
        assert_eq!(clock.now(), Timestamp::from_millis(5_007));
    }
}
