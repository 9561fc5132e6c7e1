//! Time as an argument: the core is told what time it is and never asks.

use alloc::string::{String, ToString};
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The last moment that can be written as RFC 3339, 9999-12-30T22:00:00Z, in milliseconds.
const MILLIS_MAX: u64 = 253_402_207_200_000;

/// A moment, in milliseconds since the Unix epoch. Written as RFC 3339 in UTC wherever it is
/// serialized or shown.
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("format" = "date-time"))
)]
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(u64);

/// The text is not a moment in RFC 3339.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{shown} is not a time in RFC 3339; write it like `2026-11-22T09:30:00Z`")]
pub struct TimestampError {
    shown: String,
}

impl Timestamp {
    /// Makes a timestamp from milliseconds since the Unix epoch; later than the year 9999 is cut.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        match millis {
            0..=MILLIS_MAX => Self(millis),
            _ => Self(MILLIS_MAX),
        }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This long earlier; at the earliest the beginning of time.
    #[must_use]
    pub fn before(self, wait: Duration) -> Self {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Self::from_millis(self.0.saturating_sub(millis))
    }

    /// Adds a duration and saturates at the end of time.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Parses RFC 3339, with any offset.
    ///
    /// # Errors
    ///
    /// [`TimestampError`] when it is not RFC 3339 or lies before 1970.
    ///
    /// ```
    /// use rollback_core::Timestamp;
    /// let at = Timestamp::parse("2026-11-22T10:30:00+01:00")?;
    /// assert_eq!(at.to_string(), "2026-11-22T09:30:00Z");
    /// # Ok::<(), rollback_core::TimestampError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let refused = || TimestampError { shown: alloc::format!("{:?}", clip(text)) };
        let at: jiff::Timestamp = text.parse().map_err(|_not_rfc_3339: jiff::Error| refused())?;
        let millis = u64::try_from(at.as_millisecond()).map_err(|_before_1970| refused())?;
        Ok(Self::from_millis(millis))
    }
}

/// Enough of a bad input to recognize it by.
fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at =
            i64::try_from(self.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        match at {
            Some(at) => write!(f, "{at}"),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;
    fn try_from(text: String) -> Result<Self, TimestampError> {
        Self::parse(&text)
    }
}

impl From<Timestamp> for String {
    fn from(at: Timestamp) -> Self {
        at.to_string()
    }
}

/// A duration in words: `90 s`, `5 min`, `2 h`.
#[must_use]
pub fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.as_millis() > 0 => alloc::format!("{} ms", duration.as_millis()),
        0..=119 => alloc::format!("{seconds} s"),
        120..=7199 => alloc::format!("{} min", seconds / 60),
        _ => alloc::format!("{} h", seconds / 3600),
    }
}

/// Durations as whole milliseconds in JSON.
pub(crate) mod millis {
    use core::time::Duration;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_survives_its_text() {
        for millis in [0, 1, 999, 1_000, 1_763_804_000_123, MILLIS_MAX] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(Timestamp::parse(&at.to_string()), Ok(at));
        }
    }

    #[test]
    fn arithmetic_saturates_at_both_ends_of_time() {
        let end = Timestamp::from_millis(u64::MAX);
        assert_eq!(end.after(Duration::MAX), end);
        assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), Duration::ZERO);
        assert_eq!(
            Timestamp::from_millis(9).since(Timestamp::from_millis(5)),
            Duration::from_millis(4)
        );
    }

    #[test]
    fn a_time_past_the_year_9999_is_cut_to_the_last_that_can_be_written() {
        let last = Timestamp::from_millis(MILLIS_MAX);
        for past in [MILLIS_MAX + 1, u64::MAX] {
            assert_eq!(Timestamp::from_millis(past), last);
        }
        assert_eq!(Timestamp::from_millis(MILLIS_MAX - 1).after(Duration::from_millis(1)), last);
        assert!(Timestamp::from_millis(MILLIS_MAX - 1) < last);
        assert_eq!(last.to_string(), "9999-12-30T22:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_shown_by_its_beginning() {
        let error = Timestamp::parse(&"x".repeat(4_000)).unwrap_err().to_string();
        assert!(
            error.starts_with(&alloc::format!("\"{}\" is not a time", "x".repeat(40))),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_time_is_refused_with_an_example() {
        for bad in ["", "yesterday", "1969-12-31T23:59:59Z", "2026-11-22", "2026-11-22 09:30"] {
            let error = Timestamp::parse(bad).unwrap_err().to_string();
            assert!(error.contains("2026-11-22T09:30:00Z"), "{error}");
        }
    }

    #[test]
    fn durations_read_like_speech() {
        let said = [0, 40, 1_500, 90_000, 119_000, 120_000, 7_199_000, 7_200_000]
            .map(|ms| in_words(Duration::from_millis(ms)));
        assert_eq!(said, ["0 s", "40 ms", "1 s", "90 s", "119 s", "2 min", "119 min", "2 h"]);
    }
}
