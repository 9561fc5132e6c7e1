//! The store's port: everything that must survive a crash, and the few questions asked of it.

use crate::audit::{Draft, Head, Record};
use crate::id::{ChannelId, DeployId, Label, RevisionId, RollbackId};
use crate::journal::{Entry, Opening};
use crate::model::{Deploy, ServiceKey};
use crate::notice::{Attempt, DeployCard, MessageRef, Notice};
use crate::observed::{Freeze, ServiceRecord};
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

/// Keeps journals, the outbox, the audit chain, deploys and what is known of services.
///
/// Several processes may share one store; each names itself as an [`Instance`]. Whether a claim has
/// expired is judged by the store: by the times that callers pass where it has one process, and by
/// a clock of its own where several share it.
///
/// Every method is one transaction, makes no network call of its own kind, and is safe to drop:
/// what was not answered is either done or not, never half.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Stores a step: journal, outbox, audit records and the service's slot, or nothing. A step under
    /// a claim forgets the attempts before it; where [`Commit::begins_work`], it is one itself.
    ///
    /// # Errors
    ///
    /// [`StoreError::MovedOn`], [`StoreError::ServiceHeld`] and [`StoreError::ClaimLost`] for the
    /// three conditions; all other kinds as they come.
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError>;

    /// Loads a journal.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when an entry cannot be read: none is skipped.
    async fn load(&self, id: &RollbackId) -> Result<Option<Journal>, StoreError>;

    /// Lists rollbacks, newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn list(&self, query: &Query) -> Result<Vec<Listed>, StoreError>;

    /// The rollback that the message of a deploy shows: the one of the greatest
    /// [`Prominence`](crate::Prominence), of equal ones the newest; none of no prominence. However many
    /// rollbacks of the deploy there are, it is looked up by an index.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn shown(&self, deploy: &DeployId) -> Result<Option<RollbackView>, StoreError>;

    /// The rollbacks that have not ended, or whose outcome is unknown and not settled, that nobody has
    /// a claim on that lasts; none that is quarantined.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn unattended(&self, now: Timestamp) -> Result<Vec<RollbackId>, StoreError>;

    /// The quarantined rollbacks: they crashed the service, or their journal does not replay. Each waits
    /// for a person's decision.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn put_aside(&self) -> Result<Vec<RollbackId>, StoreError>;

    /// Claims a rollback, or renews the claim on it. None while somebody else's has not expired.
    /// `now` is the caller's, from before it asked: the claim that is answered never lasts longer
    /// for its holder than the store keeps others away.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn claim(
        &self,
        id: &RollbackId,
        owner: &Instance,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError>;

    /// Counts an attempt to work on a rollback, durably, before it is made; answers with how many
    /// there have been in a row without a step under a claim, this one included. One that is named
    /// like the one before it is the same one, told again.
    ///
    /// # Errors
    ///
    /// [`StoreError::ClaimLost`] when the claim is not held; all other kinds as they come.
    async fn attempt(&self, claim: &Claim, name: &Label) -> Result<u32, StoreError>;

    /// Counts open attempts to work on a rollback: begun, and not known to have ended without a crash.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn attempts(&self, id: &RollbackId) -> Result<u32, StoreError>;

    /// Forgets the attempts: the last one ended without a crash.
    ///
    /// # Errors
    ///
    /// [`StoreError::ClaimLost`] when the claim is not held; all other kinds as they come.
    async fn survived(&self, claim: &Claim) -> Result<(), StoreError>;

    /// Gives a claim back, and forgets the attempts: whoever gives it back is alive.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes; a claim that was lost is no error.
    async fn release(&self, claim: &Claim) -> Result<(), StoreError>;

    /// Keeps a deploy with the target that was chosen for it, and queues what is to be told. Of a
    /// deploy that was reported before nothing is changed and nothing is queued.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn save_deploy(
        &self,
        card: &DeployCard,
        notices: Vec<Queued>,
    ) -> Result<SavedDeploy, StoreError>;

    /// Replaces what is kept of a known deploy, and queues what is to be told. An unknown deploy is
    /// left alone.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn update_deploy(
        &self,
        card: &DeployCard,
        notices: Vec<Queued>,
    ) -> Result<(), StoreError>;

    /// One deploy with the target that was chosen for it. Its `rollback` is none: ask
    /// [`Self::shown`] for that.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn deploy(&self, id: &DeployId) -> Result<Option<DeployCard>, StoreError>;

    /// The deploys of a service, newest by the time they went live, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn deploys(&self, key: &ServiceKey, limit: usize) -> Result<Vec<Deploy>, StoreError>;

    /// What is known of a service: who holds it, its last rollback, what is bad.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn record(&self, key: &ServiceKey) -> Result<ServiceRecord, StoreError>;

    /// Marks a revision bad, so that it is no target.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn mark_bad(
        &self,
        key: &ServiceKey,
        revision: &RevisionId,
        why: &Label,
    ) -> Result<(), StoreError>;

    /// The freezes of a service.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn freezes(&self, key: &ServiceKey) -> Result<Vec<Freeze>, StoreError>;

    /// Sets a freeze, or lifts the one of that name with `None`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn set_freeze(
        &self,
        key: &ServiceKey,
        name: &Label,
        freeze: Option<Freeze>,
    ) -> Result<(), StoreError>;

    /// Queues notices outside a step: a deploy message that must be brought up to date.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn queue(&self, notices: Vec<Queued>) -> Result<(), StoreError>;

    /// The notices that are due, in the order in which they were first queued. What belongs in the
    /// thread of a message that is not posted yet is not due, nor is a line that follows one of the
    /// same thread that is postponed: a thread is read from top to bottom. Nor is anything in a
    /// lane, the channel of one notifier, of which a process has taken something.
    ///
    /// What a process took and did not settle before its time was over is due again, in doubt: it
    /// may have been delivered.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Queued>, StoreError>;

    /// Takes the notices that are due for `hold`: no other process takes anything of their lanes
    /// meanwhile. What `owner` took before and did not settle is due for it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes. In doubt, some are taken until their time is over.
    async fn take(
        &self,
        owner: &Instance,
        now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Queued>, StoreError>;

    /// Gives back what was taken and not tried; what is not ours any more is left alone.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn give_back(&self, queued: &[Queued]) -> Result<(), StoreError>;

    /// When `owner` could take the next notice that waits.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn next_due(
        &self,
        owner: &Instance,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;

    /// How many messages in the outbox wait to be delivered, whatever holds them up.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn waiting(&self) -> Result<u64, StoreError>;

    /// A version of a notice was delivered. A newer version that was queued meanwhile stays due.
    /// Like [`Self::postpone`] and [`Self::abandon`], this gives the notice back if whoever took it
    /// still has it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn delivered(
        &self,
        queued: &Queued,
        message: Option<MessageRef>,
    ) -> Result<(), StoreError>;

    /// A version of a notice was not delivered; it is due again at `not_before`. Changes nothing where
    /// whoever took it has it no longer: what became of it since is known better by somebody else.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn postpone(
        &self,
        queued: &Queued,
        not_before: Timestamp,
        attempt: Attempt,
    ) -> Result<(), StoreError>;

    /// A notice will never be delivered; it is kept as a dead letter with the reason. Changes nothing
    /// where whoever took it has it no longer.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn abandon(&self, queued: &Queued, why: &str) -> Result<(), StoreError>;

    /// The message a key was posted as.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn message(&self, notifier: &str, key: &Label) -> Result<Option<MessageRef>, StoreError>;

    /// Audit records in their order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when one cannot be read or is not canonical.
    async fn audit(&self, query: &Query) -> Result<Vec<Record>, StoreError>;

    /// The last audit record of a rollback; none when it has none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when it cannot be read or is not canonical.
    async fn last_record(&self, rollback: &RollbackId) -> Result<Option<Record>, StoreError>;

    /// The end of the audit chain.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn head(&self) -> Result<Head, StoreError>;

    /// The records that an audit sink has not acknowledged, in their order, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn unacknowledged(&self, sink: &str, limit: usize) -> Result<Vec<Record>, StoreError>;

    /// An audit sink has every record up to this one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn acknowledge(&self, sink: &str, sequence: u64) -> Result<(), StoreError>;

    /// Remembers digests for `keep`, unless one of them is remembered already. True when none was.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes. In doubt, they may be remembered.
    async fn see(
        &self,
        digests: &[[u8; 32]],
        now: Timestamp,
        keep: Duration,
    ) -> Result<bool, StoreError>;

    /// Forgets what nobody asks for any more, one step of it, and says how much that was: digests and
    /// claims whose time is over, freezes that ended long ago, messages that appear once and were told,
    /// or given up, long ago, and rollbacks that ended long ago without a confirmation.
    ///
    /// A step is bounded, however much there is: while [`Pruned::more`], call it again. Rollbacks that
    /// somebody confirmed, records, deploys, and where messages were posted are kept.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn prune(&self, now: Timestamp, keep: Retention) -> Result<Pruned, StoreError>;

    /// Compares the audit log with the end of a copy of it that was kept elsewhere. A store that does
    /// not have that record has lost it: from now on this process writes nothing there, until
    /// somebody has looked and [`Store::acknowledge_loss`] was called.
    ///
    /// # Errors
    ///
    /// [`StoreError::WentBack`] with what is missing. Another error when that could not be found out;
    /// it may be asked again.
    async fn compare(&self, kept: &Head) -> Result<(), StoreError>;

    /// Lets processes go on with a store that has lost what was seen of it. Everything that was given
    /// out before counts as lost: fencing numbers go on far above the old ones.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn acknowledge_loss(&self) -> Result<(), StoreError>;

    /// Hints at what is written from now on.
    fn hints(&self) -> Box<dyn Hints>;

    /// How often the clock went back by which the store judges claims. The default is that of a store
    /// that has no clock of its own.
    fn clock_steps(&self) -> ClockSteps {
        ClockSteps::default()
    }

    /// Whether the store can be written now: for readiness.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when it cannot, [`StoreError::WentBack`] when it must not.
    async fn ping(&self) -> Result<(), StoreError>;
}
