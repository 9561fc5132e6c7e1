//! What can be wrong with a log, and where.

use crate::checkpoint::OpenError;
use crate::shown::Shown;
use alloc::string::String;
use core::fmt;
use core::time::Duration;
use rollback_core::audit::{ChainError, Hash};
use rollback_core::{Label, Timestamp, in_words};

/// What a whole verification comes to. The numbers are what the command ends with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the command's contract lists them")]
pub enum Verdict {
    /// 0: every record is what was written.
    Whole,
    /// 1: the chain is broken.
    Broken,
    /// 2: a signature or a key is not good.
    Signature,
    /// 3: the log is not the one that was anchored: it was cut, rewritten, or there were two.
    Anchor,
    /// 4: the log is whole, and has orders whose outcome was never recorded.
    Open,
    /// 5: something cannot be read, or is not canonical.
    Unreadable,
}

impl Verdict {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Whole => 0,
            Self::Broken => 1,
            Self::Signature => 2,
            Self::Anchor => 3,
            Self::Open => 4,
            Self::Unreadable => 5,
        }
    }
}

/// One thing that is wrong. `place` is where it was read: a file and its line.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// Something cannot be read, or a record is not canonical.
    Unreadable {
        /// Where.
        place: String,
        /// The record that was expected there; none for what is no record.
        sequence: Option<u64>,
        /// What is wrong.
        problem: String,
    },
    /// A record is not the one that was written there.
    Chain {
        /// Where.
        place: String,
        /// What is wrong, with what was expected and what was found.
        error: ChainError,
    },
    /// The log does not begin with its first record.
    BeginsLate {
        /// Where.
        place: String,
        /// Which should be first.
        expected: u64,
        /// Which is.
        found: u64,
    },
    /// The first record names one before it.
    BeginsOtherwise {
        /// Where.
        place: String,
        /// What it names.
        found: Hash,
    },
    /// A record is there again under another number.
    Replayed {
        /// Where.
        place: String,
        /// The second one.
        sequence: u64,
        /// The first one.
        first: u64,
    },
    /// A checkpoint is not signed by a key that is trusted.
    Signature {
        /// Where.
        place: String,
        /// What is wrong.
        error: OpenError,
    },
    /// Two anchors of one record disagree: whoever made them showed two logs.
    Fork {
        /// Of which record.
        sequence: u64,
        /// Where the one is.
        place: String,
        /// What it says.
        one: String,
        /// Where the other is.
        other_place: String,
        /// What that says.
        other: String,
    },
    /// The log is not the one that was anchored.
    Rewritten {
        /// The anchor.
        place: String,
        /// The anchored record.
        sequence: u64,
        /// The last anchored record before it that is still the same; 0 if there is none.
        good_until: u64,
        /// Its hash, or the beginning of it, when it was anchored.
        expected: String,
        /// Its hash now.
        found: Hash,
    },
    /// The log had more records when it was anchored.
    Truncated {
        /// The anchor.
        place: String,
        /// The anchored record.
        sequence: u64,
        /// The last record that is there.
        ends_with: u64,
    },
    /// An anchor is of another chain.
    ForeignAnchor {
        /// The anchor.
        place: String,
        /// The anchored record.
        sequence: u64,
        /// This chain.
        expected: Label,
        /// The anchor's.
        found: Label,
    },
    /// A process that makes checkpoints in a rhythm left one out, or somebody took it away.
    Silence {
        /// Where the checkpoint after it is.
        place: String,
        /// When the one before it was made.
        from: Timestamp,
        /// How long it lasted.
        lasted: Duration,
    },
}

impl Finding {
    /// What it makes of the whole.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match self {
            Self::Unreadable { .. } => Verdict::Unreadable,
            Self::Chain { error: ChainError::NotCanonical { .. }, .. } => Verdict::Unreadable,
            Self::Chain { .. }
            | Self::BeginsLate { .. }
            | Self::BeginsOtherwise { .. }
            | Self::Replayed { .. } => Verdict::Broken,
            Self::Signature { error, .. } if error.is_about_signatures() => Verdict::Signature,
            Self::Signature { .. } => Verdict::Unreadable,
            Self::Fork { .. }
            | Self::Rewritten { .. }
            | Self::Truncated { .. }
            | Self::ForeignAnchor { .. }
            | Self::Silence { .. } => Verdict::Anchor,
        }
    }

    /// The record where it shows.
    #[must_use]
    pub const fn sequence(&self) -> Option<u64> {
        match self {
            Self::Unreadable { sequence, .. } => *sequence,
            Self::Chain { error, .. } => error.sequence(),
            Self::BeginsLate { expected: sequence, .. }
            | Self::Replayed { sequence, .. }
            | Self::Fork { sequence, .. }
            | Self::Rewritten { sequence, .. }
            | Self::ForeignAnchor { sequence, .. } => Some(*sequence),
            Self::BeginsOtherwise { .. } => Some(1),
            Self::Truncated { ends_with, .. } => Some(ends_with.saturating_add(1)),
            Self::Signature { error, .. } => match error {
                OpenError::NotSigned(sequence)
                | OpenError::Forged(sequence)
                | OpenError::OtherOrigin(sequence) => Some(*sequence),
                OpenError::Note(_) | OpenError::Line(_) => None,
            },
            Self::Silence { .. } => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { place, problem, .. } => {
                write!(f, "{}: {}", Shown(place), Shown(problem))
            }
            Self::Chain { place, error } => {
                write!(f, "{}: {}", Shown(place), Shown(&alloc::format!("{error}")))
            }
            Self::BeginsLate { place, expected, found } => write!(
                f,
                "{}: record {expected} was expected first and {found} was found; where the older \
                 ones were put away on purpose, begin with it",
                Shown(place)
            ),
            Self::BeginsOtherwise { place, found } => write!(
                f,
                "{}: record 1 names {found} as the one before it, and there is none",
                Shown(place)
            ),
            Self::Replayed { place, sequence, first } => write!(
                f,
                "{}: record {sequence} is record {first} once more: both have one id",
                Shown(place)
            ),
            Self::Signature { place, error } => write!(f, "{}: {error}", Shown(place)),
            Self::Fork { sequence, place, one, other_place, other } => write!(
                f,
                "there were two logs: record {sequence} has the hash {one} in {} and {other} in {}",
                Shown(place),
                Shown(other_place)
            ),
            Self::Rewritten { place, sequence, good_until, expected, found } => write!(
                f,
                "{}: record {sequence} had the hash {expected} and has {found}: the log was \
                 rewritten after record {good_until}",
                Shown(place)
            ),
            Self::Truncated { place, sequence, ends_with } => write!(
                f,
                "{}: there was a record {sequence}, and the log ends with record {ends_with}: its \
                 end was cut off",
                Shown(place)
            ),
            Self::ForeignAnchor { place, sequence, expected, found } => write!(
                f,
                "{}: the anchor of record {sequence} is of the chain `{}`, and this is `{}`",
                Shown(place),
                Shown(found.as_str()),
                Shown(expected.as_str())
            ),
            Self::Silence { place, from, lasted } => write!(
                f,
                "{}: after {from} there was no checkpoint for {}, though the process ran: one \
                 failed, or was taken away",
                Shown(place),
                in_words(*lasted)
            ),
        }
    }
}
