//! What became of a request.

use crate::answer::Answer;
use rollback_core::in_words;
use std::time::Duration;

/// What became of a request, as far as this side can know.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "each must be decided on, and there is no fourth")]
pub enum Exchange {
    /// Proved: not a byte of it was sent.
    Unsent(Unsent),
    /// It was sent, or may have been, and no answer came.
    Lost(Lost),
    /// An answer came. Whether the API itself gave it is for [`judge`](crate::judge) to say.
    Answered(Answer),
}

/// Why a request was not sent. Nothing happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsent {
    /// The address was refused, does not exist, or its certificate is not trusted.
    #[error("no connection")]
    NoConnection,
    /// Nobody accepted a connection within the time for one.
    #[error("it did not answer in time")]
    ConnectTimeout,
    /// A header or the body cannot be written.
    #[error("the request could not be written")]
    Unwritable,
    /// A part of the path is empty, `.`, `..`, or has a control character: as a part of a URL it
    /// would name something else, or nothing.
    #[error("a name in its path is empty, a dot path, or has a control character")]
    BadSegment,
}

/// Why a request that was sent, or may have been, has no answer. It may have been carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// No whole answer within this time.
    #[error("no answer within {}", in_words(*.0))]
    Timeout(Duration),
    /// The connection ended first, or something answered that is not HTTP.
    #[error("the connection was lost")]
    Connection,
}
