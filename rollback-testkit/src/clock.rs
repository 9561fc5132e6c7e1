use async_trait::async_trait;
use core::time::Duration;
use rollback_core::Timestamp;
use rollback_core::ports::Clock;

/// A clock that starts where it is told and then goes as tokio's does: in a test that pauses
/// tokio's time it stands still until somebody advances it or everybody sleeps.
#[derive(Clone, Debug)]
pub struct ManualClock {
    start: Timestamp,
    since: tokio::time::Instant,
}

impl ManualClock {
    /// Starts a clock.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Self {
        Self { start, since: tokio::time::Instant::now() }
    }

    /// Lets time pass. Only where tokio's time is paused.
    pub async fn advance(&self, by: Duration) {
        tokio::time::advance(by).await;
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.start.after(self.since.elapsed())
    }

    async fn sleep_until(&self, at: Timestamp) {
        tokio::time::sleep(at.since(self.now())).await;
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
