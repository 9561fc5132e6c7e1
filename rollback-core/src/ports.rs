//! The traits an adapter implements. All are object-safe; nothing here runs.
//!
//! An error says first whether anything happened, then whether to try again. For reads that is
//! easy: nothing ever happened. For [`CdBackend::start`] it is the whole point: see [`StartError`].

use crate::access::Standing;
use crate::audit;
use crate::event::{Health, Progress, Receipt};
use crate::fact::Fact;
use crate::id::{DeployId, GroupId, GuardName, Label, Reason, RollbackId, UserId};
use crate::model::{Actor, Pair, Plan, Revision, RevisionRef, ServiceKey};
use crate::notice::{Delivered, Delivery, DeployCard, MessageRef};
use crate::observed::{Live, Preflight, Reading};
use crate::proof::Order;
use crate::time::Timestamp;
use crate::view::RollbackView;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use async_trait::async_trait;
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

pub use crate::store::{
    Claim, ClockSteps, Commit, Committed, Hint, Hints, Instance, Journal, Listed, Pruned, Query,
    Queued, Retention, SavedDeploy, Store, StoreError,
};

/// Whether a CD system itself refuses an order when something else is live than the order expects.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a fourth answer changes what doubt means")]
pub enum CompareAndSet {
    /// It compares and sets in one step.
    Yes,
    /// The job it starts redeems a one-time ticket that we can void.
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

/// Whether older requests in flight can be made to fail.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Fence {
    /// They can: doubt always ends in knowledge.
    Yes,
    /// They cannot: doubt can end in an unknown outcome.
    No,
}

impl Fence {
    /// As the audit record spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
        }
    }
}

/// What a CD system can do. Declared by its adapter, proved by the conformance suite, recorded in
/// the audit.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether it compares the live revision itself.
    pub compare_and_set: CompareAndSet,
    /// Whether older requests can be fenced off.
    pub fence: Fence,
}

impl Capabilities {
    /// Declares them.
    #[must_use]
    pub const fn new(compare_and_set: CompareAndSet, fence: Fence) -> Self {
        Self { compare_and_set, fence }
    }
}

/// What a caller should do about a failed read, or about a write that certainly did not happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Trying again may help, after this long if the source said so.
    Retry(Option<Duration>),
    /// Trying again will not help.
    Rejected,
    /// The adapter or its credentials are set up wrongly.
    Misconfigured,
    /// The adapter cannot do this; see its capabilities.
    Unsupported,
}

/// An error of an adapter. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("{adapter} could not {operation}: {what}")]
#[non_exhaustive]
pub struct PortError {
    /// What to do about it.
    pub kind: ErrorKind,
    /// Which adapter.
    pub adapter: &'static str,
    /// During what.
    pub operation: &'static str,
    /// What happened and what to do next, fit for a chat: no secret, no address with a token.
    pub what: String,
    source: Option<Box<dyn core::error::Error + Send + Sync>>,
}

impl PortError {
    /// Describes an error.
    #[must_use]
    pub fn new(
        kind: ErrorKind,
        adapter: &'static str,
        operation: &'static str,
        what: impl Into<String>,
    ) -> Self {
        Self { kind, adapter, operation, what: what.into(), source: None }
    }

    /// Adds what caused it, for logs.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn core::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }
}

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

/// A family of CD systems.
///
/// Implementations change nothing but in `start`, `fence` and `cancel`. Every method may be
/// dropped while it is awaited; only for `start` may that leave the order in doubt.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait CdBackend: fmt::Debug + Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// The deploy history, newest first, at most `limit` entries.
    ///
    /// # Errors
    ///
    /// [`PortError`] when the CD system cannot be read.
    async fn history(&self, key: &ServiceKey, limit: usize) -> Result<Vec<Revision>, PortError>;

    /// What runs now and what is in progress.
    ///
    /// # Errors
    ///
    /// [`PortError`] when the CD system cannot be read.
    async fn live(&self, key: &ServiceKey) -> Result<Live, PortError>;

    /// Whether this rollback would be accepted, and what it would mean. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`PortError`] when that cannot be found out. A "no" is not an error.
    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError>;

    /// Sends the order: the expected live revision travels with it, and the rollback's id as its
    /// idempotency key. Never sends twice.
    ///
    /// # Errors
    ///
    /// [`StartError`], with certainty first.
    async fn start(&self, order: &Order) -> Result<Receipt, StartError>;

    /// Whether the CD system ever accepted this order.
    ///
    /// # Errors
    ///
    /// [`PortError`] when the CD system cannot be read.
    async fn find(&self, order: &Order) -> Result<Option<Receipt>, PortError>;

    /// Makes a conditional write that changes nothing but fails every older request in flight, and
    /// has this order turned away whenever it comes: a process that stood still may send it after
    /// the fence, when somebody else has called it absent.
    ///
    /// # Errors
    ///
    /// [`PortError`] when it is not certain that the fence stands; it may be tried again.
    async fn fence(&self, order: &Order) -> Result<Fenced, PortError>;

    /// How far the execution is: complete from one look, whatever was missed before.
    ///
    /// # Errors
    ///
    /// [`PortError`] when the CD system cannot be read.
    async fn observe(&self, order: &Order, receipt: &Receipt) -> Result<Progress, PortError>;

    /// Asks the CD system to cancel the execution.
    ///
    /// # Errors
    ///
    /// [`PortError`] when it is not known whether it will.
    async fn cancel(&self, order: &Order, receipt: &Receipt) -> Result<Cancelled, PortError>;

    /// Completes when it is worth looking again: one hint of a stream of them. A hint may be late,
    /// lost or false; whoever waits looks now and then without one. The default never completes.
    async fn changes(&self, key: &ServiceKey) {
        let _nobody_hints = key;
        core::future::pending::<()>().await;
    }

    /// Completes when no execution needs this process any more. Called at a graceful stop, after the
    /// last order, and dropped when the time for it is over: for an adapter that carries something out
    /// itself, which would be cut in half. The default needs nobody. Whoever wraps a backend passes
    /// this on.
    async fn drain(&self) {}
}

/// Tells people.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Notifier: fmt::Debug + Send + Sync {
    /// Its name, as the outbox keeps it. Must not change between releases.
    fn name(&self) -> &'static str;

    /// Delivers a notice. With `previous` it brings that message up to date; the same key never
    /// makes a second message.
    ///
    /// # Errors
    ///
    /// [`NotifyError`], with certainty first.
    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, NotifyError>;

    /// Delivers a line of a thread, and in the same message as many of the lines that follow it as
    /// find room there; says how many those were. Each is found again by its own key. All belong in
    /// one thread, come in their order, and were never tried, or never in vain. The default delivers
    /// the first one alone.
    ///
    /// # Errors
    ///
    /// [`NotifyError`], about every line that was handed over.
    async fn deliver_lines(
        &self,
        first: &Delivery,
        following: &[Delivery],
    ) -> Result<(usize, Delivered), NotifyError> {
        let _wait_for_the_next_message = following;
        Ok((0, self.deliver(first).await?))
    }
}

/// Why a notice was not delivered.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "a sixth outcome must be decided by the outbox")]
pub enum NotifyError {
    /// Nothing was posted and nothing is wrong: its turn comes later, and until then it waits where
    /// it is durable and in nobody's way.
    #[error("its turn has not come")]
    NotYet {
        /// When it comes.
        after: Duration,
    },
    /// Nothing was posted; try again, after this long if the service said so.
    #[error("nothing was posted: {why}")]
    Retry {
        /// How long to wait.
        after: Option<Duration>,
        /// What happened.
        why: String,
    },
    /// It may have been posted. The next attempt looks for it first.
    #[error("it is not known whether it was posted: {why}")]
    InDoubt {
        /// What happened.
        why: String,
    },
    /// Nothing was posted, and nothing will be until somebody fixes what is wrong: the token, a
    /// scope, the channel. The notice is kept and tried again until then.
    #[error("it cannot be posted until this is fixed: {why}")]
    Blocked {
        /// What happened, and what to fix.
        why: String,
    },
    /// Nothing was posted, and trying again will not help: the notice itself is not taken.
    #[error("it cannot be posted: {why}")]
    Rejected {
        /// What happened.
        why: String,
    },
}

/// Keeps audit records where the service itself cannot change them.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuditSink: fmt::Debug + Send + Sync {
    /// Its name, as the outbox keeps it. Must not change between releases.
    fn name(&self) -> &'static str;

    /// Keeps one record, durably, before it answers. The same record twice is kept once.
    ///
    /// # Errors
    ///
    /// [`PortError`] when the record is not certainly kept; it is tried again.
    async fn record(&self, record: &audit::Record) -> Result<(), PortError>;

    /// Who remembers how far the sink has come. The default leaves that to the store.
    ///
    /// # Errors
    ///
    /// [`PortError`] when that cannot be found out; it is asked again.
    async fn kept(&self) -> Result<Kept, PortError> {
        Ok(Kept::ByStore)
    }

    /// Looks whether the next record could be kept, between two records. The default asks how far the
    /// sink has come. What this finds wrong is shown and paged; the next record is tried all the same.
    ///
    /// # Errors
    ///
    /// [`PortError`] when it probably could not.
    async fn look(&self) -> Result<(), PortError> {
        self.kept().await.map(drop)
    }

    /// Keeps a checkpoint, durably, before it answers. A newer one does not replace an older one.
    /// The same twice may be kept twice. The default keeps none.
    ///
    /// # Errors
    ///
    /// [`PortError`] when the checkpoint is not certainly kept; it, or a newer one, comes again.
    async fn checkpoint(&self, checkpoint: &audit::SignedCheckpoint) -> Result<(), PortError> {
        let _kept_by_others = checkpoint;
        Ok(())
    }

    /// The note of the newest checkpoint that is kept. The default keeps none.
    ///
    /// # Errors
    ///
    /// [`PortError`] when that cannot be found out.
    async fn last_checkpoint(&self) -> Result<Option<String>, PortError> {
        Ok(None)
    }
}

/// How far an audit sink has come, and who remembers it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "one or the other")]
pub enum Kept {
    /// The store, by the sink's name, for all processes together: each record goes to the sink of one
    /// of them. For what is one place, whoever writes to it.
    ByStore,
    /// The sink itself: it is a copy of the log that ends with this record, or is empty. Each process
    /// gives its own sink every record. For what belongs to one process, such as a file.
    BySink(Option<audit::Head>),
}

/// Signs checkpoints of the audit log, with a key that whoever administers the database does not
/// have.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait CheckpointSigner: fmt::Debug + Send + Sync {
    /// Signs a checkpoint.
    ///
    /// # Errors
    ///
    /// [`PortError`] when it cannot be written as a note. Nothing was signed.
    fn sign(&self, checkpoint: audit::Checkpoint) -> Result<audit::SignedCheckpoint, PortError>;

    /// Reads a note and checks that this signer, or the one it replaces, signed it.
    ///
    /// # Errors
    ///
    /// [`PortError`] when it did not, or the text is no checkpoint.
    fn open(&self, note: &str) -> Result<audit::SignedCheckpoint, PortError>;
}

/// How old the directory's word may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "from memory or afresh")]
pub enum Freshness {
    /// From memory, if that is at most this old.
    AtMost(Duration),
    /// Asked now.
    Now,
}

/// What a question to the directory is likely answered with, by what it was heard to say before. It
/// decides nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a third kind of question needs a share of its own")]
pub enum Expected {
    /// They may well be let in, or nothing was heard of them.
    Permission,
    /// They are likely turned away.
    Denial,
}

/// A question to the directory about somebody.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Inquiry {
    /// About whom.
    pub user: UserId,
    /// The groups that matter.
    pub groups: Vec<GroupId>,
    /// How old the answer may be.
    pub freshness: Freshness,
    /// What the answer is likely to be.
    pub expected: Expected,
}

impl Inquiry {
    /// A question.
    #[must_use]
    pub const fn new(
        user: UserId,
        groups: Vec<GroupId>,
        freshness: Freshness,
        expected: Expected,
    ) -> Self {
        Self { user, groups, freshness, expected }
    }
}

/// What the directory says, and how its source did.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Heard {
    /// What is known about them.
    pub standing: Standing,
    /// How the source did.
    pub source: SourceState,
}

impl Heard {
    /// An answer.
    #[must_use]
    pub const fn new(standing: Standing, source: SourceState) -> Self {
        Self { standing, source }
    }
}

/// How the source of a directory did at a question.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a fourth state must be reported by somebody")]
pub enum SourceState {
    /// It answered. That it does not know somebody is an answer.
    Answers,
    /// It was not asked: our own pace held the question back, or what was heard before was enough.
    NotAsked,
    /// It did not answer, or cannot be asked; why, in words for people.
    Fails(String),
}

/// Who is who, and who is in which group.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Directory: fmt::Debug + Send + Sync {
    /// What is known about somebody, and whether they are in each of these groups. Cannot fail: a
    /// source that does not answer is an unknown fact.
    ///
    /// A fact is as old as the question to the source that brought it. With [`Freshness::Now`] that
    /// question was sent after this was called; who else's question it was makes no difference.
    async fn standing(&self, user: &UserId, groups: &[GroupId], freshness: Freshness) -> Standing;

    /// Of these groups, those that the user was in when the directory last heard of them, however long
    /// ago. Asks nobody and decides nothing: it says which group to ask about first. The default
    /// remembers nothing.
    fn last_seen_in(&self, user: &UserId, groups: &[GroupId]) -> Vec<GroupId> {
        let _nothing_is_remembered = (user, groups);
        Vec::new()
    }

    /// Of these groups, those that the user was not in when the directory last heard of them. Asks
    /// nobody and decides nothing. The default remembers nothing.
    fn last_seen_outside(&self, user: &UserId, groups: &[GroupId]) -> Vec<GroupId> {
        let _nothing_is_remembered = (user, groups);
        Vec::new()
    }

    /// [`Self::standing`] for a caller who says what the answer is likely to be, and wants to know how
    /// the source did. A directory whose source has a pace for everybody together holds
    /// [`Expected::Denial`] back before anything else, so that whoever may do nothing keeps nobody
    /// out.
    ///
    /// The default asks [`Self::standing`], and takes a group that is not known for a source that does
    /// not answer: each was configured.
    async fn hear(&self, inquiry: &Inquiry) -> Heard {
        let Inquiry { user, groups, freshness, .. } = inquiry;
        let standing = self.standing(user, groups, *freshness).await;
        let unknown = standing.groups.values().find_map(|is_in| match is_in {
            Fact::Known { .. } => None,
            Fact::Unknown { why } => Some(why.clone()),
        });
        Heard::new(standing, unknown.map_or(SourceState::Answers, SourceState::Fails))
    }

    /// Looks whether the source answers, also while nobody acts. These groups are configured, and so
    /// each of them should be known. It takes nothing of what questions about people need. The default
    /// asks nothing.
    async fn look(&self, groups: &[GroupId]) -> SourceState {
        let _nothing_is_asked = groups;
        SourceState::NotAsked
    }

    /// How long the directory itself may hold a question back, to keep the pace that its source asks
    /// for. That wait is no silence: whoever waits for an answer waits for so much longer. The default
    /// holds nothing back.
    fn held_back_max(&self) -> Duration {
        Duration::ZERO
    }
}

/// Answers a guard of the host's own.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait FactSource: fmt::Debug + Send + Sync {
    /// Looks. Cannot fail: a source that does not answer is an unknown fact.
    async fn observe(&self, guard: &GuardName, plan: &Plan) -> Fact<Reading>;
}

/// Says whether a service works.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait HealthSource: fmt::Debug + Send + Sync {
    /// Looks. Cannot fail: a source that does not answer is an unknown fact.
    async fn health(&self, key: &ServiceKey) -> Fact<Health>;
}

/// A value of a metric at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// How much; never NaN.
    pub value: f64,
}

impl Sample {
    /// A sample, unless the value is not a number.
    #[must_use]
    pub const fn new(at: Timestamp, value: f64) -> Option<Self> {
        if value.is_nan() { None } else { Some(Self { at, value }) }
    }
}

/// Reads metrics.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait MetricSource: fmt::Debug + Send + Sync {
    /// The samples of a query over a time, oldest first. Cannot fail: a source that does not
    /// answer is an unknown fact.
    async fn range(
        &self,
        query: &Label,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    ) -> Fact<Vec<Sample>>;
}

/// What somebody clicked on.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a third kind of button must be decided by the engine")]
pub enum ClickedOn {
    /// The button of a deploy message.
    Deploy(DeployId),
    /// The button of a proposal.
    Proposal(RollbackId),
}

/// A button of a message, and what it is about.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the engine must know in which message a new one is")]
pub enum Button {
    /// Opens a rollback of a deploy; in the deploy message.
    Open(DeployId),
    /// Approves or rejects a rollback; in the approval request.
    Decide(RollbackId),
    /// Stops a rollback; in the deploy message.
    Stop(RollbackId),
    /// Releases a quarantined rollback; in the deploy message.
    Release(RollbackId),
}

/// Why a command was not taken. Nothing was changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no such deploy or rollback.
    #[error("`{0}` is not known here; it may be older than what is kept; nothing was changed")]
    NotFound(Label),
    /// There is nothing to go back to.
    #[error("{0}; nothing was changed")]
    NoTarget(String),
    /// The service is not configured.
    #[error("{0} is not configured here; add it to the configuration; nothing was changed")]
    NotConfigured(ServiceKey),
    /// The store did not take it.
    #[error("it could not be recorded, so nothing was done: {0}; try again in a minute")]
    NotRecorded(String),
    /// A button was pressed in a message that is not the one it was posted in.
    #[error(
        "this button is not in the message that it was posted in; nothing was changed; press it \
         in the latest message"
    )]
    Elsewhere,
    /// A button was pressed in a message of which it is not known yet whether it is ours.
    #[error(
        "it is not recorded yet that this message was posted; nothing was changed; try again in a \
         few seconds"
    )]
    NotPostedYet,
    /// The same request was received before, here or by another process.
    #[error("this was received before; nothing was done a second time")]
    ReceivedBefore,
    /// As many rollbacks are open as the service takes at a time.
    #[error(
        "{0} rollbacks are open here already, as many as this service takes at a time; nothing was \
         changed; try again when some have ended, or roll back with your CD system itself"
    )]
    TooMany(usize),
    /// The rules do not allow it, or it could not be found out whether they do; where that is no state
    /// of the rollback, since nothing steps it any more.
    #[error("{0}")]
    Denied(String),
    /// Its journal does not replay to what is stored, so that this release does nothing for it.
    #[error("this rollback is stopped, and nothing was changed: {0}")]
    Stopped(String),
    /// Somebody was denied several times within a minute.
    #[error(
        "you were denied several times within a minute; nothing was changed; try again in {0} s, or \
         ask an owner"
    )]
    TooOften(u64),
    /// What somebody confirms was closed or expired meanwhile.
    #[error(
        "this was closed or expired before your confirmation could be taken; nothing was changed; \
         open it again from the deploy message"
    )]
    Closed,
    /// Slack has not said yet which workspace this is.
    #[error(
        "Slack has not confirmed yet which workspace this service belongs to, so it cannot check \
         anybody; nothing was changed; try again in a minute"
    )]
    NotAdmitting,
    /// The service is stopping.
    #[error("the rollback service is restarting; nothing was changed; try again in a minute")]
    Stopping,
}

/// What a surface asks of the engine, for people. Every method answers with the rollback as it
/// stands afterwards: a denial is a state, not an error.
///
/// Who acts is as true as the surface's check of the request that named them.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Commands: fmt::Debug + Send + Sync {
    /// A request came that asks for something, recognized by these digests, at this moment by the
    /// clock that says whether it is stale. A surface asks here before it does what the request
    /// asks for, and does nothing unless this succeeds: of all processes that share the store, now
    /// and for as long as it is kept, one takes a request. What that one then leaves undone, because
    /// it died, nobody does.
    ///
    /// # Errors
    ///
    /// [`CommandError::ReceivedBefore`], and [`CommandError::NotRecorded`] when it cannot be found
    /// out; then the request may count as received.
    async fn receive(
        &self,
        digests: &[[u8; 32]],
        at: Timestamp,
        keep: Duration,
    ) -> Result<(), CommandError>;

    /// Somebody pressed a button in a message. What a button carries can be copied into another
    /// message, so a surface asks here before it takes the press for anything: only the message
    /// that the notifier posted and keeps up to date counts. Waits about a second for a post that
    /// is not recorded yet. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`CommandError::Elsewhere`], [`CommandError::NotPostedYet`] while a post is in doubt, and
    /// the others when it cannot be looked up.
    async fn pressed_in(
        &self,
        button: &Button,
        notifier: &str,
        message: &MessageRef,
    ) -> Result<(), CommandError>;

    /// Somebody clicked the button. Opens a rollback and answers before anything slow is done;
    /// [`Self::changed`] tells how it goes on.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when nothing was opened.
    async fn click(&self, on: &ClickedOn, actor: Actor) -> Result<RollbackView, CommandError>;

    /// Somebody confirmed, with a reason, what the modal showed.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when it was not taken.
    async fn confirm(
        &self,
        id: &RollbackId,
        actor: Actor,
        reason: Reason,
        shown: Pair,
    ) -> Result<RollbackView, CommandError>;

    /// Somebody approved.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when it was not taken.
    async fn approve(&self, id: &RollbackId, actor: Actor) -> Result<RollbackView, CommandError>;

    /// Somebody rejected.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when it was not taken.
    async fn reject(&self, id: &RollbackId, actor: Actor) -> Result<RollbackView, CommandError>;

    /// Somebody closed the modal or pressed cancel.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when it was not taken.
    async fn withdraw(&self, id: &RollbackId, actor: Actor) -> Result<RollbackView, CommandError>;

    /// Somebody says what became of a rollback whose outcome is unknown.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when it was not taken.
    async fn settle(
        &self,
        id: &RollbackId,
        actor: Actor,
        finding: Reason,
    ) -> Result<RollbackView, CommandError>;

    /// Releases a quarantined rollback: it continues.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when it was not taken.
    async fn release(&self, id: &RollbackId, actor: Actor) -> Result<RollbackView, CommandError>;

    /// The deploy message as it stands, without its rollback.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when it cannot be read, or the deploy is not known.
    async fn card(&self, id: &DeployId) -> Result<DeployCard, CommandError>;

    /// The rollback as it stands.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when it cannot be read.
    async fn view(&self, id: &RollbackId) -> Result<RollbackView, CommandError>;

    /// Waits until the rollback has taken more events than `steps`, or has ended, and answers with
    /// how it stands then.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when it cannot be read.
    async fn changed(&self, id: &RollbackId, steps: u64) -> Result<RollbackView, CommandError>;
}

/// What time it is, and how long something lasts: two questions. The time of day may be set, also
/// back; a pause or a time-out lasts as long as it was meant to.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Completes at this time of day, or at once when that has passed: for what people were told, and
    /// nothing else. Where the clock is set, it completes when the clock then shows `at`.
    async fn sleep_until(&self, at: Timestamp);

    /// Completes after this time, whatever is done to the clock meanwhile.
    async fn sleep(&self, wait: Duration);
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::task::{Context, Poll, Waker};

    /// An engine holds adapters as trait objects.
    #[test]
    fn every_port_is_dyn_compatible() {
        const fn held<T: ?Sized>() {}
        held::<dyn CdBackend>();
        held::<dyn Notifier>();
        held::<dyn AuditSink>();
        held::<dyn CheckpointSigner>();
        held::<dyn Directory>();
        held::<dyn FactSource>();
        held::<dyn HealthSource>();
        held::<dyn MetricSource>();
        held::<dyn Store>();
        held::<dyn Clock>();
        held::<dyn Commands>();
    }

    /// A CD system that takes nothing and gives no hints.
    #[derive(Debug)]
    struct Mute;

    #[async_trait]
    impl CdBackend for Mute {
        fn capabilities(&self) -> Capabilities {
            Capabilities::new(CompareAndSet::No, Fence::No)
        }
        async fn history(&self, _: &ServiceKey, _: usize) -> Result<Vec<Revision>, PortError> {
            Ok(Vec::new())
        }
        async fn live(&self, _: &ServiceKey) -> Result<Live, PortError> {
            Ok(Live::default())
        }
        async fn preflight(&self, _: &Plan) -> Result<Preflight, PortError> {
            Ok(Preflight::accepted())
        }
        async fn start(&self, _: &Order) -> Result<Receipt, StartError> {
            Err(StartError::Refused { why: "nothing is taken here".into() })
        }
        async fn find(&self, _: &Order) -> Result<Option<Receipt>, PortError> {
            Ok(None)
        }
        async fn fence(&self, _: &Order) -> Result<Fenced, PortError> {
            Ok(Fenced::Unsupported)
        }
        async fn observe(&self, _: &Order, _: &Receipt) -> Result<Progress, PortError> {
            Err(PortError::new(ErrorKind::Unsupported, "mute", "observe", "nothing runs here"))
        }
        async fn cancel(&self, _: &Order, _: &Receipt) -> Result<Cancelled, PortError> {
            Ok(Cancelled::TooLate)
        }
    }

    /// An engine that waits for a hint or its own timer must not be woken for nothing, again and
    /// again, by an adapter that has no hints to give.
    #[test]
    fn a_backend_without_hints_never_gives_one() {
        let key = ServiceKey::new("checkout".parse().unwrap(), "production".parse().unwrap());
        let mut hint = Mute.changes(&key);
        let mut context = Context::from_waker(Waker::noop());
        assert!(hint.as_mut().poll(&mut context).is_pending());
    }

    #[test]
    fn a_backend_that_carries_nothing_out_itself_holds_no_stop_up() {
        let mut drained = Mute.drain();
        let mut context = Context::from_waker(Waker::noop());
        assert!(drained.as_mut().poll(&mut context).is_ready());
    }

    /// A sink that keeps records, and was written before there were checkpoints.
    #[derive(Debug)]
    struct Plain;

    #[async_trait]
    impl AuditSink for Plain {
        fn name(&self) -> &'static str {
            "plain"
        }
        async fn record(&self, _: &audit::Record) -> Result<(), PortError> {
            Ok(())
        }
    }

    /// Otherwise a note that nobody signed would be taken for the newest one.
    #[test]
    fn a_sink_without_checkpoints_says_that_it_has_none() {
        let mut answer = Plain.last_checkpoint();
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(answer.as_mut().poll(&mut context), Poll::Ready(Ok(None))));
    }
}
