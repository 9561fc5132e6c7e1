//! The store's port: everything that must survive a crash, and the few questions asked of it.

mod port;

pub use self::port::{AuditLog, Claims, Journals, Outbox, Receipts, Services, Store};

use crate::audit::{Draft, Record};
use crate::id::{ChannelId, Label, RollbackId};
use crate::journal::{Entry, Opening};
use crate::notice::{Attempt, MessageRef, Notice};
use crate::time::Timestamp;
use crate::view::{RollbackView, StateName};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use async_trait::async_trait;
use core::fmt;
use core::time::Duration;

/// One running process of the service.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Instance(Label);

impl Instance {
    /// Names a process; unique for each start.
    #[must_use]
    pub fn new(name: impl Into<Label>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// The right to perform a rollback's effects, until it expires or somebody takes it over.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Claim {
    /// The rollback.
    pub rollback: RollbackId,
    /// Who holds it.
    pub owner: Instance,
    /// The fencing number: grows with every change of owner, over all history.
    pub fence: u64,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl Claim {
    /// A claim as a store grants it.
    #[must_use]
    pub const fn new(
        rollback: RollbackId,
        owner: Instance,
        fence: u64,
        expires_at: Timestamp,
    ) -> Self {
        Self { rollback, owner, fence, expires_at }
    }
}

/// A step to store: all of it or nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Commit {
    /// The rollback.
    pub rollback: RollbackId,
    /// How many entries its journal has before this step; with an opening it is a new journal.
    pub expected: u64,
    /// The opening, for a new journal.
    pub opening: Option<Box<Opening>>,
    /// The event, for a step; none for the opening.
    pub entry: Option<Entry>,
    /// How the rollback stood when this was decided, where the number of entries does not tell: of a
    /// rollback that is stopped the row changes, and its journal does not.
    pub stood: Option<Box<RollbackView>>,
    /// The claim the step was made under; none for an event that a person brings.
    pub claim: Option<Claim>,
    /// Whether the rollback holds its service after the step.
    pub holds_service: bool,
    /// Whether its order was given.
    pub was_ordered: bool,
    /// Whether there is work to do after it, which whoever holds the claim begins at once.
    pub begins_work: bool,
    /// The rollback after the step.
    pub view: Box<RollbackView>,
    /// What to record.
    pub drafts: Vec<Draft>,
    /// What to tell.
    pub notices: Vec<Queued>,
    /// When the step was made.
    pub at: Timestamp,
}

impl Commit {
    /// A commit with nothing to record and nothing to tell.
    #[must_use]
    pub fn new(view: RollbackView, expected: u64, at: Timestamp) -> Self {
        Self {
            rollback: view.id.clone(),
            expected,
            opening: None,
            entry: None,
            stood: None,
            claim: None,
            holds_service: false,
            was_ordered: false,
            begins_work: false,
            view: Box::new(view),
            drafts: Vec::new(),
            notices: Vec::new(),
            at,
        }
    }
}

/// A step was stored.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Committed {
    /// The audit records of the step, in their place in the chain.
    pub records: Vec<Record>,
}

impl Committed {
    /// What a store answers.
    #[must_use]
    pub const fn new(records: Vec<Record>) -> Self {
        Self { records }
    }
}

/// A notice in the outbox whose row cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Unreadable {
    /// The notifier.
    pub notifier: Label,
    /// The identity of the message.
    pub key: Label,
    /// What is wrong with the row.
    pub why: String,
    /// When it is looked at again; none when it was given up.
    pub again_at: Option<Timestamp>,
}

impl Unreadable {
    /// Names a notice that cannot be read.
    #[must_use]
    pub fn new(
        notifier: impl Into<Label>,
        key: impl Into<Label>,
        why: impl Into<String>,
        again_at: Option<Timestamp>,
    ) -> Self {
        Self { notifier: notifier.into(), key: key.into(), why: why.into(), again_at }
    }
}

/// A notice in the outbox, for one notifier. Of the notices with one key only the newest is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Queued {
    /// The notifier.
    pub notifier: Label,
    /// The identity of the message.
    pub key: Label,
    /// Its version; set by the store, growing.
    pub version: u64,
    /// What to tell.
    pub notice: Notice,
    /// Where the deploy message is or belongs.
    pub channel: ChannelId,
    /// The key of the message in whose thread it belongs.
    pub thread_key: Option<Label>,
    /// The message in whose thread it belongs, once that is posted.
    pub thread: Option<MessageRef>,
    /// The message to bring up to date, if it was posted before.
    pub previous: Option<MessageRef>,
    /// What an earlier attempt left behind.
    pub attempt: Attempt,
    /// How many attempts there were.
    pub attempts: u32,
    /// The process that has taken it to deliver it.
    pub taken_by: Option<Instance>,
}

impl Queued {
    /// A notice for the outbox.
    #[must_use]
    pub fn new(
        notifier: impl Into<Label>,
        key: impl Into<Label>,
        notice: Notice,
        channel: ChannelId,
    ) -> Self {
        Self {
            notifier: notifier.into(),
            key: key.into(),
            version: 0,
            notice,
            channel,
            thread_key: None,
            thread: None,
            previous: None,
            attempt: Attempt::Clean,
            attempts: 0,
            taken_by: None,
        }
    }

    /// The same, in the thread of another message.
    #[must_use]
    pub fn in_thread_of(mut self, key: impl Into<Label>) -> Self {
        self.thread_key = Some(key.into());
        self
    }
}

/// A whole journal, and what identifies where it ends.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Journal {
    /// How it began.
    pub opening: Opening,
    /// What happened.
    pub entries: Vec<Entry>,
}

impl Journal {
    /// A journal as a store reads it.
    #[must_use]
    pub const fn new(opening: Opening, entries: Vec<Entry>) -> Self {
        Self { opening, entries }
    }
}

/// A rollback in a list.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Listed {
    /// The rollback as it stands.
    pub view: RollbackView,
    /// How many entries its journal has.
    pub entries: u64,
    /// Whether it holds its service.
    pub holds_service: bool,
    /// Whether its order was given, or may have been.
    pub was_ordered: bool,
}

impl Listed {
    /// A rollback as a store lists it.
    #[must_use]
    pub const fn new(
        view: RollbackView,
        entries: u64,
        holds_service: bool,
        was_ordered: bool,
    ) -> Self {
        Self { view, entries, holds_service, was_ordered }
    }
}

/// Which rollbacks, or which audit records, to list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Query {
    /// Of this service.
    pub service: Option<Label>,
    /// Of this environment.
    pub environment: Option<Label>,
    /// In this state; for rollbacks only.
    pub state: Option<StateName>,
    /// This rollback, or its records.
    pub rollback: Option<RollbackId>,
    /// After this sequence number; for audit records only.
    pub after: u64,
    /// At most this many.
    pub limit: usize,
}

impl Query {
    /// Everything, at most `limit`.
    #[must_use]
    pub fn all(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }
}

/// Whether a deploy was new.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "new or known")]
pub enum SavedDeploy {
    /// It was, and is kept now.
    New,
    /// It was reported before; what was kept then is kept.
    Known,
}

/// Why the store did not do it. Unless said otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing of this rollback is stored: it was never opened here, or was forgotten since.
    #[error("no rollback `{0}` is stored")]
    NotFound(RollbackId),
    /// Somebody else appended first. Load the journal and decide again.
    #[error("rollback `{0}` has moved on; load it again")]
    MovedOn(RollbackId),
    /// Another rollback holds the service.
    #[error("rollback `{0}` holds the service")]
    ServiceHeld(RollbackId),
    /// The claim has expired or somebody took it over. Stop working on the rollback.
    #[error("rollback `{0}` is no longer ours")]
    ClaimLost(RollbackId),
    /// The store did not answer, or not in time.
    #[error("the store did not answer: {0}")]
    Unavailable(String),
    /// The store has lost what it had answered before: an older copy of it was restored, or another
    /// server that had not heard of everything took over. Nothing is taken until somebody has looked
    /// and acknowledged it.
    #[error("the store has gone back in time: {0}")]
    WentBack(String),
    /// A newer release has changed how the store is kept, so that this release must not write it any
    /// more. This lasts: stop the process, or start the newer release in its place.
    #[error("a newer release has taken the store over: {0}")]
    Newer(String),
    /// The store may have taken the step. Load the journal before anything else.
    #[error("it is not known whether the store took the step: {0}")]
    InDoubt(String),
    /// What is stored does not make sense. Nothing is guessed and nothing is skipped.
    #[error("what is stored about `{what}` cannot be read: {problem}")]
    Corrupt {
        /// About what.
        what: String,
        /// What is wrong.
        problem: String,
    },
}

/// A store was closed, and is not in one piece: somebody else has it open, or its file was replaced.
/// Nothing is lost.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the store is closed, and its last transactions are in `{file}`, which belongs to it: keep both \
     files together"
)]
#[non_exhaustive]
pub struct StoreLeft {
    /// The file beside the store.
    pub file: String,
}

impl StoreLeft {
    /// This file was left.
    #[must_use]
    pub fn new(file: impl Into<String>) -> Self {
        Self { file: file.into() }
    }
}

/// How often a store's own clock went back, as far as this process has seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ClockSteps {
    /// How often.
    pub back: u64,
    /// The largest step.
    pub furthest: Duration,
}

/// Something was written, by this process or by another one that shares the store. A hint may be
/// late, come twice or not at all: whoever waits for one looks now and then without it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Hint {
    /// A rollback's journal has this many entries now; its notices and records came with it.
    Step {
        /// The rollback.
        rollback: RollbackId,
        /// How many entries its journal has.
        entries: u64,
    },
    /// Notices were queued outside a step.
    Queued,
    /// Hints may have been missed: anything may have been written.
    Missed,
}

/// Hints, from the moment they were asked for.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Hints: fmt::Debug + Send {
    /// Completes at the next hint, and never when there will be none. Safe to drop.
    async fn next(&mut self) -> Hint;
}

/// What [`Store::prune`] may forget.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Retention {
    /// Messages that appear once are remembered for this long after they were delivered or given
    /// up, so that none is told twice.
    pub told: Duration,
    /// Freezes are kept for this long after their end.
    pub freezes: Duration,
    /// Rollbacks that nobody confirmed are kept for this long after their end. Their audit records
    /// stay for good.
    pub unconfirmed: Duration,
}

impl Retention {
    /// The default for messages and freezes: thirty days, longer than any rollback is under way.
    const MONTH: Duration = Duration::from_secs(30 * 24 * 3_600);

    /// The default for rollbacks that nobody confirmed: a quarter, so that a review of it still finds
    /// who looked, was denied or was refused, and why.
    const QUARTER: Duration = Duration::from_secs(90 * 24 * 3_600);

    /// The same, but for how long rollbacks are kept that nobody confirmed.
    #[must_use]
    pub const fn unconfirmed(mut self, keep: Duration) -> Self {
        self.unconfirmed = keep;
        self
    }
}

impl Default for Retention {
    /// Thirty days for messages and freezes, ninety for rollbacks that nobody confirmed.
    fn default() -> Self {
        Self { told: Self::MONTH, freezes: Self::MONTH, unconfirmed: Self::QUARTER }
    }
}

/// What one step of [`Store::prune`] has forgotten, by kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Pruned {
    /// Digests of requests that cannot come again.
    pub digests: u64,
    /// Claims that have expired.
    pub claims: u64,
    /// Freezes that ended long ago.
    pub freezes: u64,
    /// Messages that appear once and were settled long ago.
    pub messages: u64,
    /// Rollbacks that nobody confirmed and that ended long ago.
    pub unconfirmed: u64,
    /// Whether a kind filled the step, so that there may be more of it.
    pub more: bool,
}

impl Pruned {
    /// How much was forgotten.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_kind().into_iter().fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// How much of each kind was forgotten.
    #[must_use]
    pub const fn by_kind(&self) -> [(&'static str, u64); 5] {
        [
            ("digests", self.digests),
            ("claims", self.claims),
            ("freezes", self.freezes),
            ("messages", self.messages),
            ("unconfirmed", self.unconfirmed),
        ]
    }

    /// This step and the one after it, as one.
    #[must_use]
    pub const fn and(self, next: Self) -> Self {
        Self {
            digests: self.digests.saturating_add(next.digests),
            claims: self.claims.saturating_add(next.claims),
            freezes: self.freezes.saturating_add(next.freezes),
            messages: self.messages.saturating_add(next.messages),
            unconfirmed: self.unconfirmed.saturating_add(next.unconfirmed),
            more: next.more,
        }
    }
}
