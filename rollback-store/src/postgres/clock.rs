//! Whether the database's clock goes back. Claims then last longer, which is safe; somebody should
//! know why a rollback waits.

use rollback_core::ports::ClockSteps;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A step that is smaller is none: clocks are put right all the time.
const STEP_MIN: Duration = Duration::from_secs(1);

/// What this process has seen of the database's clock, beside its own that is never set.
#[derive(Debug)]
pub(super) struct ClockWatch {
    origin: Instant,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// How far the database's clock is ahead of ours at least, as of the last reading, in
    /// milliseconds.
    ahead_min: Option<i64>,
    steps: ClockSteps,
}

impl Default for ClockWatch {
    fn default() -> Self {
        Self { origin: Instant::now(), seen: Mutex::default() }
    }
}

impl ClockWatch {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn steps(&self) -> ClockSteps {
        self.seen().steps
    }

    fn since_origin(&self, at: Instant) -> i64 {
        let since = at.saturating_duration_since(self.origin).as_millis();
        i64::try_from(since).unwrap_or(i64::MAX)
    }

    /// The database said that it was this late, in milliseconds, between two moments.
    pub(super) fn read(&self, database: i64, asked: Instant, answered: Instant) {
        let ahead_max = database.saturating_sub(self.since_origin(asked));
        let ahead_min = database.saturating_sub(self.since_origin(answered));
        self.seen().take(ahead_min, ahead_max);
    }
}

impl Seen {
    fn take(&mut self, ahead_min: i64, ahead_max: i64) {
        let back = self.ahead_min.map_or(0, |before| before.saturating_sub(ahead_max));
        let back = Duration::from_millis(u64::try_from(back).unwrap_or(0));
        if back >= STEP_MIN {
            self.steps.back = self.steps.back.saturating_add(1);
            self.steps.furthest = self.steps.furthest.max(back);
        }
        self.ahead_min = Some(ahead_min);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen of readings: when each was asked and answered here, and what it said.
    fn seen(readings: &[(u64, u64, i64)]) -> (u64, u64) {
        let watch = ClockWatch::default();
        let at = |millis: &u64| watch.origin + Duration::from_millis(*millis);
        for (asked, answered, database) in readings {
            watch.read(*database, at(asked), at(answered));
        }
        let steps = watch.steps();
        (steps.back, u64::try_from(steps.furthest.as_millis()).unwrap())
    }

    #[test]
    fn a_clock_that_goes_as_ours_does_has_not_stepped_however_slow_its_answers() {
        assert_eq!(seen(&[(0, 1, 7_000), (500, 3_000, 7_500), (3_100, 3_101, 10_100)]), (0, 0));
        assert_eq!(seen(&[(0, 2_400, 7_000), (2_500, 2_501, 9_500)]), (0, 0));
    }

    #[test]
    fn a_clock_that_is_put_back_is_told_once() {
        let hour = 3_600_000;
        let after = [(10, 10, hour), (20, 20, 10), (30, 30, 20), (40, 45, 33)];
        assert_eq!(seen(&after), (1, 3_600_000));
        assert_eq!(seen(&[(0, 0, 7_000), (1, 1, 6_500)]), (0, 0), "that is putting right");
    }

    #[test]
    fn a_clock_that_is_put_forward_has_not_gone_back() {
        assert_eq!(seen(&[(0, 0, 0), (1, 1, 3_600_000), (2, 2, 3_600_001)]), (0, 0));
    }
}
