//! Why a call did not succeed: first whether it may have happened, then whether to try again.

use std::time::Duration;

use thiserror::Error;

pub use super::code::Fault;
use super::code::fault_of;
use super::method::{Effect, Method};

/// Whether a call that did not succeed changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third answer")]
pub enum Certainty {
    /// Proved: nothing changed.
    NothingHappened,
    /// It may have happened; look before doing it again.
    InDoubt,
}

/// What the caller may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "each answer must be decided on")]
pub enum Retry {
    /// The same call cannot succeed.
    Never,
    /// The same call may succeed later, not before this time has passed.
    After(Duration),
    /// Find out first whether it happened, for a message with `WebApi::find_message`.
    LookFirst,
}

/// A call that did not succeed, after every retry that its method allows.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{method}`: {why}{}", self.consequence())]
#[non_exhaustive]
pub struct CallError {
    /// Whether it may have happened.
    pub certainty: Certainty,
    /// Which call.
    pub method: Method,
    /// What was seen last.
    pub why: Why,
}

/// What was seen instead of success. Holds nothing of the request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Why {
    /// Slack, or the pacing before it, asks to wait longer than the caller can.
    #[error("the rate limit is reached, the next call is possible in {} s", retry_after.as_secs())]
    RateLimited {
        /// How long.
        retry_after: Duration,
    },
    /// Our own pacing asks to wait, and the caller wanted to be told rather than to wait.
    #[error("its turn comes in {} ms", after.as_millis())]
    NotItsTurn {
        /// When its turn comes.
        after: Duration,
    },
    /// No connection, so nothing was sent.
    #[error("Slack cannot be reached")]
    Unreachable,
    /// Sent, and no answer in time.
    #[error("Slack did not answer in time")]
    TimedOut,
    /// Sent, and the connection broke.
    #[error("the connection broke before Slack's answer")]
    ConnectionLost,
    /// An HTTP status that says nothing about the call.
    #[error("Slack answered with status {status}")]
    UnexpectedStatus {
        /// The status.
        status: u16,
    },
    /// Slack's own trouble; by its documentation part of the work may be done.
    #[error("Slack had an internal problem, `{code}`")]
    SlackTrouble {
        /// Slack's error code.
        code: String,
    },
    /// An answer that is not what this method answers.
    #[error("Slack's answer cannot be read")]
    UnreadableAnswer,
    /// An answer over the bound.
    #[error("Slack's answer is too large")]
    AnswerTooLarge,
    /// The token cannot do this, or nothing at all: no call will succeed until it is fixed.
    #[error("the token is not accepted, `{code}`{}", needed.as_ref().map(|scope| format!(", it lacks the scope `{scope}`")).unwrap_or_default())]
    TokenRejected {
        /// Slack's error code.
        code: String,
        /// The scope that is missing, if that is why.
        needed: Option<String>,
    },
    /// Slack read the call and said no.
    #[error("Slack rejected it, `{code}`")]
    Rejected {
        /// Slack's error code.
        code: String,
        /// What it says about the arguments: for the log, not for people in Slack.
        details: Vec<String>,
    },
    /// The call could not be written as a request.
    #[error("the request cannot be written")]
    Unwritable,
}

impl Why {
    /// Whether the request, sent once, may have had its effect nevertheless.
    const fn leaves_doubt(&self) -> bool {
        match self {
            Self::TimedOut
            | Self::ConnectionLost
            | Self::UnexpectedStatus { .. }
            | Self::SlackTrouble { .. }
            | Self::UnreadableAnswer
            | Self::AnswerTooLarge => true,
            Self::RateLimited { .. }
            | Self::NotItsTurn { .. }
            | Self::Unreachable
            | Self::TokenRejected { .. }
            | Self::Rejected { .. }
            | Self::Unwritable => false,
        }
    }

    pub(crate) const fn certainty(&self, effect: Effect) -> Certainty {
        match effect {
            Effect::Reads => Certainty::NothingHappened,
            Effect::Repeatable | Effect::Once if self.leaves_doubt() => Certainty::InDoubt,
            Effect::Repeatable | Effect::Once => Certainty::NothingHappened,
        }
    }

    /// Sorts Slack's error codes.
    pub(crate) fn of_code(code: String, needed: Option<String>, details: Vec<String>) -> Self {
        match code.as_str() {
            "invalid_auth"
            | "not_authed"
            | "account_inactive"
            | "token_revoked"
            | "token_expired"
            | "missing_scope"
            | "not_allowed_token_type"
            | "org_login_required"
            | "team_access_not_granted"
            | "two_factor_setup_required"
            | "user_removed_from_team"
            | "team_disabled" => Self::TokenRejected { code, needed },
            "internal_error"
            | "fatal_error"
            | "service_unavailable"
            | "request_timeout"
            | "team_added_to_org" => Self::SlackTrouble { code },
            _ => Self::Rejected { code, details },
        }
    }
}

impl CallError {
    pub(crate) const fn nothing_happened(method: Method, why: Why) -> Self {
        Self { certainty: Certainty::NothingHappened, method, why }
    }

    const fn consequence(&self) -> &'static str {
        match (self.method.effect(), self.certainty) {
            (Effect::Reads, _) => "",
            (_, Certainty::NothingHappened) => "; nothing was changed in Slack",
            (_, Certainty::InDoubt) => "; it may have happened all the same",
        }
    }

    /// What the caller may do next.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        match (&self.why, self.certainty) {
            (Why::RateLimited { retry_after: after } | Why::NotItsTurn { after }, _) => {
                Retry::After(*after)
            }
            (_, Certainty::InDoubt) if matches!(self.method.effect(), Effect::Once) => {
                Retry::LookFirst
            }
            (
                Why::TokenRejected { .. }
                | Why::Rejected { .. }
                | Why::Unwritable
                | Why::AnswerTooLarge,
                _,
            ) => Retry::Never,
            (
                Why::Unreachable
                | Why::TimedOut
                | Why::ConnectionLost
                | Why::UnexpectedStatus { .. }
                | Why::SlackTrouble { .. }
                | Why::UnreadableAnswer,
                _,
            ) => Retry::After(Duration::ZERO),
        }
    }

    /// Slack's error code, if it gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match &self.why {
            Why::SlackTrouble { code }
            | Why::TokenRejected { code, .. }
            | Why::Rejected { code, .. } => Some(code),
            Why::RateLimited { .. }
            | Why::NotItsTurn { .. }
            | Why::Unreachable
            | Why::TimedOut
            | Why::ConnectionLost
            | Why::UnexpectedStatus { .. }
            | Why::UnreadableAnswer
            | Why::AnswerTooLarge
            | Why::Unwritable => None,
        }
    }

    /// Whose fault it is that Slack said no, if it did.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match &self.why {
            Why::TokenRejected { .. } => Some(Fault::World),
            Why::Rejected { code, .. } => Some(fault_of(code)),
            Why::Unwritable => Some(Fault::Message),
            Why::RateLimited { .. }
            | Why::NotItsTurn { .. }
            | Why::Unreachable
            | Why::TimedOut
            | Why::ConnectionLost
            | Why::UnexpectedStatus { .. }
            | Why::SlackTrouble { .. }
            | Why::UnreadableAnswer
            | Why::AnswerTooLarge => None,
        }
    }

    /// Whether the token is of no use until somebody fixes it.
    #[must_use]
    pub const fn is_fatal_for_the_token(&self) -> bool {
        matches!(self.why, Why::TokenRejected { .. })
    }

    /// Whether a modal could not be opened because its click is too old or was used already. The
    /// way out is another click.
    #[must_use]
    pub fn is_expired_trigger(&self) -> bool {
        let Why::Rejected { code, details } = &self.why else { return false };
        match code.as_str() {
            "expired_trigger_id"
            | "exchanged_trigger_id"
            | "invalid_trigger_id"
            | "trigger_expired"
            | "trigger_exchanged" => true,
            "invalid_arguments" => details.iter().any(|detail| detail.contains("trigger_id")),
            _ => false,
        }
    }

    /// Whether a view was changed by somebody else since it was seen.
    #[must_use]
    pub fn is_hash_conflict(&self) -> bool {
        self.code() == Some("hash_conflict")
    }

    /// Whether the message is no longer there, or can never be changed again: what it should say must
    /// be posted anew.
    #[must_use]
    pub fn is_message_gone(&self) -> bool {
        let gone = ["message_not_found", "cant_update_message", "edit_window_closed"];
        self.code().is_some_and(|code| gone.contains(&code))
    }

    /// Whether the thread takes no reply: its parent was deleted, or is no message for replies.
    #[must_use]
    pub fn is_thread_gone(&self) -> bool {
        matches!(self.code(), Some("thread_not_found" | "cannot_reply_to_message"))
    }
}
