//! What a question about an order is answered with, before it is written as HTTP.

use super::log::{LogError, Refusal};
use rollback_core::ports::{ErrorKind, PortError};
use rollback_core::{Progress, Receipt, in_words};
use std::time::Duration;

/// What became of an order, as its sender hears it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Placed {
    /// The CD system took it, now or when it came first.
    Accepted(Receipt),
    /// Nothing happened, and nothing will.
    Refused(Refusal),
    /// It was voided.
    Voided,
    /// Another order has this id. Nothing changed.
    Another,
    /// Nobody knows.
    Unknown(String),
}

/// How an order stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// It runs, or ran.
    Execution(Receipt, Box<Progress>),
    /// It was never accepted, as far as is known.
    Never(String),
}

/// What became of a fence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Void {
    /// The order is void for good.
    Done,
    /// It was accepted.
    Accepted,
    /// It may have been sent on, and the CD system cannot prove that it will not come.
    CannotProve,
}

/// What became of a cancellation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Stopped {
    Requested(Receipt),
    TooLate(Receipt),
    Never(String),
}

/// Why there is no answer. Nothing was changed, or it is not known whether anything was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Unanswered {
    pub(super) why: String,
    pub(super) retry_after: Option<Duration>,
}

impl Unanswered {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), retry_after: None }
    }

    pub(super) fn late(within: Duration) -> Self {
        Self::new(format!("the CD system did not answer within {}", in_words(within)))
    }
}

impl From<LogError> for Unanswered {
    fn from(error: LogError) -> Self {
        tracing::error!(%error, "the log of orders failed");
        Self::new("the server cannot use its log of orders")
    }
}

impl From<PortError> for Unanswered {
    fn from(error: PortError) -> Self {
        tracing::warn!(%error, "the CD system could not be asked");
        let retry_after = match error.kind {
            ErrorKind::Retry(after) => after,
            ErrorKind::Rejected | ErrorKind::Misconfigured | ErrorKind::Unsupported | _ => None,
        };
        Self { why: error.what, retry_after }
    }
}
