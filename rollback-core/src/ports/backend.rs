//! The port of a CD system.

use super::error::PortError;
use crate::event::{Progress, Receipt};
use crate::model::{Plan, Revision, RevisionRef, ServiceKey};
use crate::observed::{Live, Preflight};
use crate::proof::{Order, OrderRef};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use async_trait::async_trait;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Whether a CD system itself refuses an order when something else is live than the order expects.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a fourth answer changes what doubt means")]
pub enum CompareAndSet {
    /// It compares and sets in one step.
    Yes,
    /// The job that an order starts redeems a one-time ticket before it changes anything.
    ///
    /// The ticket is the rollback's id, kept where one writer wins: a git reference that is created
    /// once, say. The job redeems it, and compares the live revision, under the lock that deploys take.
    /// [`CdBackend::fence`] voids it by redeeming it first: a job that comes later stops. An order whose
    /// ticket was voided is not [found](CdBackend::find), whether or not its job is there.
    Ticket,
    /// It does not. A newer deploy can be overwritten in the moment between look and order.
    No,
}

impl CompareAndSet {
    /// As the audit record spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Ticket => "ticket",
            Self::No => "no",
        }
    }
}

/// Declares an enum of yes and no, spelled as in the audit record.
macro_rules! yes_or_no {
    ($(#[$doc:meta])* $name:ident, $(#[$yes:meta])* yes, $(#[$no:meta])* no) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
        #[serde(rename_all = "snake_case")]
        #[expect(clippy::exhaustive_enums, reason = "yes or no")]
        pub enum $name {
            $(#[$yes])*
            Yes,
            $(#[$no])*
            No,
        }

        impl $name {
            /// As the audit record spells it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    Self::Yes => "yes",
                    Self::No => "no",
                }
            }
        }
    };
}

yes_or_no!(
    /// Whether older requests in flight can be made to fail.
    Fence,
    /// They can: doubt always ends in knowledge.
    yes,
    /// They cannot: doubt can end in an unknown outcome.
    no
);

yes_or_no!(
    /// Whether an execution can be stopped.
    Cancel,
    /// It can, while it runs.
    yes,
    /// It cannot: there is no Stop button while it runs.
    no
);

yes_or_no!(
    /// Whether a CD system shows something at all. What it does not show is unknown, never "none".
    Sees,
    /// It does.
    yes,
    /// It does not.
    no
);

/// What a CD system can do for a service. Declared by its adapter, proved by the conformance suite both
/// ways, recorded in the audit.
///
/// ```
/// use rollback_core::ports::{Cancel, Capabilities, CompareAndSet, Fence, Sees};
/// let git = Capabilities::new(CompareAndSet::No, Fence::No)
///     .cancels(Cancel::Yes)
///     .sees_in_progress(Sees::Yes)
///     .sees_undoing(Sees::No);
/// assert_eq!(git.fence, Fence::No);
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether it compares the live revision itself.
    pub compare_and_set: CompareAndSet,
    /// Whether older requests can be fenced off.
    pub fence: Fence,
    /// Whether an execution can be cancelled.
    pub cancel: Cancel,
    /// Whether [`CdBackend::live`] shows what is in progress, also what somebody else began.
    pub in_progress: Sees,
    /// Whether [`CdBackend::preflight`] shows who would undo a rollback.
    pub undoing: Sees,
}

impl Capabilities {
    /// Declares the two on which safety rests, and nothing else.
    #[must_use]
    pub const fn new(compare_and_set: CompareAndSet, fence: Fence) -> Self {
        let (in_progress, undoing) = (Sees::No, Sees::No);
        Self { compare_and_set, fence, cancel: Cancel::No, in_progress, undoing }
    }

    /// The same, with whether an execution can be cancelled.
    #[must_use]
    pub const fn cancels(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// The same, with whether it shows what is in progress.
    #[must_use]
    pub const fn sees_in_progress(mut self, sees: Sees) -> Self {
        self.in_progress = sees;
        self
    }

    /// The same, with whether it shows who would undo a rollback.
    #[must_use]
    pub const fn sees_undoing(mut self, sees: Sees) -> Self {
        self.undoing = sees;
        self
    }

    /// Everything that a CD system can have, and sees.
    #[must_use]
    pub const fn full() -> Self {
        Self::new(CompareAndSet::Yes, Fence::Yes)
            .cancels(Cancel::Yes)
            .sees_in_progress(Sees::Yes)
            .sees_undoing(Sees::Yes)
    }
}

/// How much of the history is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct HistoryOptions {
    /// At most this many revisions, the newest.
    pub limit: usize,
}

impl HistoryOptions {
    /// The newest revisions, at most this many.
    #[must_use]
    pub const fn newest(limit: usize) -> Self {
        Self { limit }
    }
}

/// What a look at what is live wants. Nothing can be chosen yet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct LiveOptions {}

/// What a look at an execution wants. Nothing can be chosen yet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ObserveOptions {}

/// Why an order was not accepted. Certainty first.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "a fourth outcome must be decided by the engine")]
pub enum StartError {
    /// Proved: nothing happened, and nothing will.
    #[error("the CD system refused the order: {why}")]
    Refused {
        /// Its words, fit for a chat.
        why: String,
    },
    /// Proved: nothing happened, because something else is live than the order expects.
    #[error("the CD system refused the order because something else is live: {why}")]
    Conflict {
        /// What is live, if it said so.
        live: Option<RevisionRef>,
        /// Its words, fit for a chat.
        why: String,
    },
    /// It may have happened. The default for every time-out, reset, 5xx and unreadable answer after
    /// the request was sent. Resolved by reading, never by sending again.
    #[error("it is not known whether the CD system took the order: {why}")]
    InDoubt {
        /// What happened to the request, fit for a chat.
        why: String,
    },
}

/// What became of an attempt to fence off older requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a third answer must be decided by the engine")]
pub enum Fenced {
    /// Every older request in flight will fail its precondition, and so will this order whenever
    /// it is sent.
    Done,
    /// The CD system cannot do that.
    Unsupported,
}

/// What became of an attempt to cancel an execution.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a third answer must be decided by the engine")]
pub enum Cancelled {
    /// The CD system will stop it; [`CdBackend::observe`] tells when.
    Requested,
    /// It is too late, or the CD system cannot do that; it runs on.
    TooLate,
}

/// Hints that it is worth looking again, from the moment they were asked for until this is dropped.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Changes: fmt::Debug + Send {
    /// Completes at the next hint. A hint may be late, lost or false; whoever waits looks now and then
    /// without one. Dropping the wait loses at most one hint, and keeps the subscription.
    async fn next(&mut self);
}

/// No hints, ever: the default of [`CdBackend::changes`].
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NoChanges {}

#[async_trait]
impl Changes for NoChanges {
    async fn next(&mut self) {
        core::future::pending::<()>().await;
    }
}

/// A family of CD systems.
///
/// Six methods are required. Implementations change nothing but in `start`, `fence` and `cancel`. Every
/// method may be dropped while it is awaited; only for `start` may that leave the order in doubt.
///
/// # What a revision is
///
/// A revision is *what runs*, not an entry of the history. Its [`RevisionId`](crate::RevisionId) names
/// content that cannot change: the digest of an image and its manifest, a commit, a task definition.
/// Two entries that restore the same content are one revision. So these hold, and the conformance suite
/// checks them:
///
/// - Each id stands in a history at most once, and means the same for ever.
/// - After a rollback to `to`, [`live`](Self::live) names `to`, and not a new id for the same content.
/// - An id that is gone for good is [`Restorable::No`](crate::Restorable::No), or not in the history.
///
/// What people call a revision (a tag, a number of the CD system) is one of its
/// [names](crate::Revision::names), which may move. An adapter's docs say what it takes as identity.
///
/// # Unknown is not none
///
/// A service that the CD system does not know is an error, or nothing live and an empty history. What
/// an adapter cannot see is [`Presence::CannotTell`](crate::Presence::CannotTell), and its
/// [`capabilities`](Self::capabilities) say so.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait CdBackend: fmt::Debug + Send + Sync {
    /// What it can do for this service. Answers from memory: it is asked while somebody waits. Of a
    /// service that is not known, whatever is least.
    fn capabilities(&self, key: &ServiceKey) -> Capabilities;

    /// The deploy history, newest first: what went live later stands before what went live earlier. After
    /// a rollback the revision that it restored may stand at the front again, or where it stood.
    ///
    /// # Errors
    ///
    /// [`PortError`] when the CD system cannot be read.
    async fn history(
        &self,
        key: &ServiceKey,
        options: HistoryOptions,
    ) -> Result<Vec<Revision>, PortError>;

    /// What runs now and what is in progress.
    ///
    /// # Errors
    ///
    /// [`PortError`] when the CD system cannot be read.
    async fn live(&self, key: &ServiceKey, options: LiveOptions) -> Result<Live, PortError>;

    /// Whether this rollback would be accepted, and what it would mean. Changes nothing.
    ///
    /// The default looks whether the history has the target and can restore it. Who would undo the
    /// rollback it cannot tell, so that every rollback is refused until an adapter says so, or the
    /// policy vouches for it.
    ///
    /// # Errors
    ///
    /// [`PortError`] when that cannot be found out. A "no" is not an error.
    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        let history = self.history(plan.key(), HistoryOptions::newest(PREFLIGHT_HISTORY)).await?;
        Ok(Preflight::from_history(&history, plan))
    }

    /// Sends the order: the expected live revision travels with it, and the rollback's id as its
    /// idempotency key. Never sends twice; the order is gone afterwards.
    ///
    /// The engine looks right before that the order has not [expired](OrderRef::valid_until). An adapter
    /// that does something first, or waits for its turn, looks again by its own clock, and refuses.
    ///
    /// # Errors
    ///
    /// [`StartError`], with certainty first.
    async fn start(&self, order: Order) -> Result<Receipt, StartError>;

    /// Whether the CD system ever accepted this order.
    ///
    /// # Errors
    ///
    /// [`PortError`] when the CD system cannot be read.
    async fn find(&self, order: &OrderRef) -> Result<Option<Receipt>, PortError>;

    /// Makes a conditional write that changes nothing but fails every older request in flight, and
    /// has this order turned away whenever it comes: a process that stood still may send it after
    /// the fence, when somebody else has called it absent. Other orders are not affected.
    ///
    /// The default cannot.
    ///
    /// # Errors
    ///
    /// [`PortError`] when it is not certain that the fence stands; it may be tried again.
    async fn fence(&self, order: &OrderRef) -> Result<Fenced, PortError> {
        let _cannot = order;
        Ok(Fenced::Unsupported)
    }

    /// How far the execution is: complete from one look, whatever was missed before.
    ///
    /// # Errors
    ///
    /// [`PortError`] when the CD system cannot be read.
    async fn observe(
        &self,
        order: &OrderRef,
        receipt: &Receipt,
        options: ObserveOptions,
    ) -> Result<Progress, PortError>;

    /// Asks the CD system to cancel the execution. The default cannot.
    ///
    /// # Errors
    ///
    /// [`PortError`] when it is not known whether it will.
    async fn cancel(&self, order: &OrderRef, receipt: &Receipt) -> Result<Cancelled, PortError> {
        let _cannot = (order, receipt);
        Ok(Cancelled::TooLate)
    }

    /// Subscribes to hints about this service. The default never gives one.
    fn changes(&self, key: &ServiceKey) -> Box<dyn Changes> {
        let _nobody_hints = key;
        Box::new(NoChanges {})
    }

    /// Completes when no execution needs this process any more. Called at a graceful stop, after the
    /// last order, and dropped when the time for it is over: for an adapter that carries something out
    /// itself, which would be cut in half. The default needs nobody. Whoever wraps a backend passes
    /// this on.
    async fn drain(&self) {}
}

/// How far back the default preflight looks for the target.
const PREFLIGHT_HISTORY: usize = 200;
