//! Rate limit for lookups whose last answer was no: strangers who press again and again use only this
//! share.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How many such lookups may be sent at once, of the ten that may be sent at once in all.
const AT_ONCE: u32 = 4;
/// The pause between two of them after that: four a minute.
const INTERVAL: Duration = Duration::from_secs(15);

/// A line at a counter that serves a few at once, and then one every interval.
#[derive(Debug, Default)]
pub(super) struct Share {
    served_until: Mutex<Option<Instant>>,
}

impl Share {
    /// Waits for a turn. False when that would take longer than this; nothing was taken then.
    pub(super) async fn take(&self, wait_max: Duration) -> bool {
        let now = Instant::now();
        let Some(at) = self.reserve(now, wait_max) else { return false };
        sleep_until(at).await;
        true
    }

    fn reserve(&self, now: Instant, wait_max: Duration) -> Option<Instant> {
        let mut served_until = self.served_until.lock().unwrap_or_else(PoisonError::into_inner);
        let until = served_until.map_or(now, |until| until.max(now));
        let ahead = INTERVAL.saturating_mul(AT_ONCE.saturating_sub(1));
        let wait = until.saturating_duration_since(now).saturating_sub(ahead);
        if wait > wait_max {
            return None;
        }
        *served_until = until.checked_add(INTERVAL);
        now.checked_add(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_few_go_at_once_and_then_one_every_interval() {
        let (share, began) = (Share::default(), Instant::now());
        for _ in 0..AT_ONCE {
            assert!(share.take(Duration::ZERO).await);
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(!share.take(INTERVAL / 2).await, "it does not wait for longer than it may");
        assert!(share.take(INTERVAL).await);
        assert_eq!(began.elapsed(), INTERVAL);
        tokio::time::sleep(INTERVAL * 20).await;
        let later = Instant::now();
        for _ in 0..AT_ONCE {
            assert!(share.take(Duration::ZERO).await);
        }
        assert_eq!(later.elapsed(), Duration::ZERO);
    }
}
