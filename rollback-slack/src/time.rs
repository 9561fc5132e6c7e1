//! The wall clock as Slack writes it on its requests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01T00:00:00Z, as in `X-Slack-Request-Timestamp`.
///
/// Every check that depends on the time takes it as an argument, so that it can be tested at its
/// edges; only [`router`](crate::router) and [`SocketMode`](crate::SocketMode) read the clock.
///
/// ```
/// use rollback_slack::UnixSeconds;
/// assert_eq!(UnixSeconds(1_700_000_300).distance(UnixSeconds(1_700_000_000)), 300);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a number with a unit, nothing will be added")]
pub struct UnixSeconds(pub i64);

impl UnixSeconds {
    /// Reads the system's clock. A clock before 1970 reads as 0, which no signature survives.
    #[must_use]
    pub fn now() -> Self {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
    }

    /// How many seconds lie between the two moments, whichever is earlier.
    #[must_use]
    pub const fn distance(self, other: Self) -> u64 {
        self.0.abs_diff(other.0)
    }

    /// This moment, `seconds` later.
    #[must_use]
    pub const fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}
