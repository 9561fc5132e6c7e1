//! How often somebody may call: token buckets, and turns that are few.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A bucket that refills steadily. Whoever finds it empty is told how long to wait.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// How many units of time one request costs, so that nothing is lost to rounding.
    cost: Duration,
    /// How much may be saved up.
    most: Duration,
    filled: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    level: Duration,
    at: Instant,
}

impl Bucket {
    /// A full bucket of `burst` requests that gains `per_second` in a second.
    pub(crate) fn new(burst: u32, per_second: u32, now: Instant) -> Self {
        let cost = Duration::from_secs(1).checked_div(per_second).unwrap_or(Duration::MAX);
        let most = cost.saturating_mul(burst.max(1));
        Self { cost, most, filled: Mutex::new(Level { level: most, at: now }) }
    }

    /// Takes one.
    ///
    /// # Errors
    ///
    /// How long until there is one.
    pub(crate) fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = now.saturating_duration_since(filled.at);
        filled.at = now.max(filled.at);
        filled.level = filled.level.saturating_add(gained).min(self.most);
        match filled.level.checked_sub(self.cost) {
            Some(left) => {
                filled.level = left;
                Ok(())
            }
            None => Err(self.cost.saturating_sub(filled.level)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_is_taken_then_as_many_as_were_gained() {
        let start = Instant::now();
        let bucket = Bucket::new(3, 10, start);
        assert_eq!([(); 4].map(|()| bucket.take(start).is_ok()), [true, true, true, false]);
        let wait = bucket.take(start).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert!(bucket.take(start + wait).is_ok(), "whoever waited as told gets one");
        assert!(bucket.take(start + wait).is_err());
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let start = Instant::now() + Duration::from_secs(60);
        let bucket = Bucket::new(1, 1, start);
        assert!(bucket.take(start).is_ok());
        assert!(bucket.take(start - Duration::from_secs(30)).is_err());
        assert!(bucket.take(start + Duration::from_millis(999)).is_err());
    }

    proptest! {
        /// However the requests come: never more than the burst and what was gained meanwhile.
        #[test]
        fn no_more_pass_than_the_burst_and_the_rate_allow(
            burst in 1..20_u32,
            per_second in 1..50_u32,
            waits in prop::collection::vec(0..400_u64, 1..200),
        ) {
            let start = Instant::now();
            let bucket = Bucket::new(burst, per_second, start);
            let (mut now, mut passed) = (start, 0_u32);
            for wait in waits {
                now += Duration::from_millis(wait);
                passed += u32::from(bucket.take(now).is_ok());
                let gained = (now - start).as_secs_f64() * f64::from(per_second);
                prop_assert!(f64::from(passed) <= f64::from(burst) + gained + 0.001);
            }
        }
    }
}
