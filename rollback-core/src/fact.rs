//! Facts: what was observed and when, or why nothing is known. Unknown is never read as false.

use crate::time::{Timestamp, in_words};
use alloc::string::String;
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// How far a source's clock may be ahead of ours, or one process's ahead of another's. Clocks that
/// are kept by NTP differ by far less; a fact from further ahead would never grow old.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5);

/// Something observed, or the reason why it could not be.
///
/// ```
/// use core::time::Duration;
/// use rollback_core::{Fact, Timestamp};
/// let at = Timestamp::from_millis(1_000);
/// let fact = Fact::known("r41", at);
/// assert_eq!(fact.within(at, Duration::from_secs(30)), Ok(&"r41"));
/// assert!(fact.within(at.after(Duration::from_secs(31)), Duration::from_secs(30)).is_err());
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a third kind of knowing must break every reader")]
pub enum Fact<T> {
    /// It was observed.
    Known {
        /// What was seen.
        value: T,
        /// When it was seen, by the observer's clock.
        observed_at: Timestamp,
    },
    /// It could not be observed.
    Unknown {
        /// What stood in the way, in words for people.
        why: String,
    },
}

/// Why a fact cannot be relied on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Missing {
    /// Nobody looked.
    NotObserved,
    /// It was seen too long ago.
    Stale {
        /// How old it is.
        #[serde(with = "crate::time::millis")]
        age: Duration,
        /// How old it may be.
        #[serde(with = "crate::time::millis")]
        age_max: Duration,
    },
    /// It claims to have been seen in the future, by more than [`CLOCK_SKEW_MAX`].
    Ahead {
        /// By how much.
        #[serde(with = "crate::time::millis")]
        ahead: Duration,
    },
    /// It was seen before the rollback was confirmed, or before its last approval.
    BeforeApproval,
    /// It does not say whom it is about, or it is about somebody else.
    AboutAnother,
    /// The source did not answer, or not readably.
    SourceFailed(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotObserved => f.write_str("nobody looked"),
            Self::Stale { age, age_max } => write!(
                f,
                "it was last seen {} ago and may be at most {} old",
                in_words(*age),
                in_words(*age_max)
            ),
            Self::Ahead { ahead } => write!(
                f,
                "its time is {} in the future; correct the clock of its source or of this service",
                in_words(*ahead)
            ),
            Self::BeforeApproval => f.write_str(
                "it was read before the confirmation or the last approval, and may have changed since",
            ),
            Self::AboutAnother => {
                f.write_str("the directory's answer does not say that it is about this account")
            }
            Self::SourceFailed(why) => f.write_str(why),
        }
    }
}

impl<T> Fact<T> {
    /// Records an observation.
    #[must_use]
    pub const fn known(value: T, observed_at: Timestamp) -> Self {
        Self::Known { value, observed_at }
    }

    /// Records that nothing could be observed, and why.
    #[must_use]
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }

    /// The value, if it is known and not older than `age_max`. A source's clock may be ahead by
    /// [`CLOCK_SKEW_MAX`], and by no more than `age_max`.
    ///
    /// # Errors
    ///
    /// [`Missing`] when it is unknown, stale, or from the future.
    pub fn within(&self, now: Timestamp, age_max: Duration) -> Result<&T, Missing> {
        match self {
            Self::Known { value, observed_at } => {
                let (age, ahead) = (now.since(*observed_at), observed_at.since(now));
                if age > age_max {
                    Err(Missing::Stale { age, age_max })
                } else if ahead > CLOCK_SKEW_MAX.min(age_max) {
                    Err(Missing::Ahead { ahead })
                } else {
                    Ok(value)
                }
            }
            Self::Unknown { why } => Err(Missing::SourceFailed(why.clone())),
        }
    }

    /// The value, however old, for showing it and never for deciding on it.
    #[must_use]
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Known { value, .. } => Some(value),
            Self::Unknown { .. } => None,
        }
    }

    /// When it was observed.
    #[must_use]
    pub const fn observed_at(&self) -> Option<Timestamp> {
        match self {
            Self::Known { observed_at, .. } => Some(*observed_at),
            Self::Unknown { .. } => None,
        }
    }

    /// The same fact about something derived from it.
    pub fn map<U>(self, to: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Known { value, observed_at } => Fact::Known { value: to(value), observed_at },
            Self::Unknown { why } => Fact::Unknown { why },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(30);

    #[test]
    fn a_fact_is_good_up_to_its_bound_and_unknown_past_it() {
        let at = Timestamp::from_millis(1_000);
        let fact = Fact::known(1, at);
        assert_eq!(fact.within(at.after(BOUND), BOUND), Ok(&1));
        let late = at.after(BOUND + Duration::from_millis(1));
        assert!(matches!(fact.within(late, BOUND), Err(Missing::Stale { .. })));
    }

    #[test]
    fn a_fact_from_the_future_is_good_within_the_skew_of_clocks_and_unknown_past_it() {
        let now = Timestamp::from_millis(1_000_000);
        let moment = Duration::from_millis(1);
        for (ahead, bound, good) in [
            (CLOCK_SKEW_MAX, BOUND, true),
            (CLOCK_SKEW_MAX + moment, BOUND, false),
            (Duration::from_secs(3_600), BOUND, false),
            (Duration::from_secs(1), Duration::from_secs(1), true),
            (Duration::from_secs(1) + moment, Duration::from_secs(1), false),
            (moment, Duration::ZERO, false),
        ] {
            let fact = Fact::known(1, now.after(ahead));
            assert_eq!(fact.within(now, bound).is_ok(), good, "{ahead:?} ahead, bound {bound:?}");
            if !good {
                assert_eq!(fact.within(now, bound), Err(Missing::Ahead { ahead }));
            }
        }
    }

    #[test]
    fn an_unknown_fact_says_why_however_long_one_waits() {
        let fact: Fact<u8> = Fact::unknown("the CD did not answer within 10 s");
        let missing = fact.within(Timestamp::from_millis(0), Duration::MAX).unwrap_err();
        assert_eq!(alloc::format!("{missing}"), "the CD did not answer within 10 s");
        assert_eq!(fact.value(), None);
    }
}
