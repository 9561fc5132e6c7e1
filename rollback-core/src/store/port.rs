//! The store's port: small traits, one for each thing that is kept, and [`Store`], which is all of them.

use super::{
    Claim, ClockSteps, Commit, Committed, Hints, Instance, Journal, Listed, Pruned, Query, Queued,
    Retention, SavedDeploy, StoreError, StoreLeft, Unreadable,
};
use crate::audit::{Draft, Head, Record};
use crate::change::ServiceChange;
use crate::id::{DeployId, Label, RollbackId};
use crate::model::{Deploy, ServiceKey};
use crate::notice::{Attempt, DeployCard, MessageRef};
use crate::observed::{Freeze, ServiceRecord};
use crate::time::Timestamp;
use crate::view::RollbackView;
use alloc::boxed::Box;
use alloc::vec::Vec;
use async_trait::async_trait;
use core::fmt;
use core::time::Duration;

/// The journals of rollbacks, and how each stands.
#[async_trait]
pub trait Journals: fmt::Debug + Send + Sync {
    /// Stores a step: journal, outbox, audit records and the service's slot, or nothing. A step under
    /// a claim forgets the attempts before it; where [`Commit::begins_work`], it is one itself.
    ///
    /// # Errors
    ///
    /// [`StoreError::MovedOn`] (its entries, or where [`Commit::stood`] is given its row, are no longer
    /// those it was decided on), [`StoreError::ServiceHeld`] and [`StoreError::ClaimLost`] for the
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
}

/// Who works on which rollback, and how often that went wrong.
#[async_trait]
pub trait Claims: fmt::Debug + Send + Sync {
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
}

/// What is known of services: deploys, freezes, what is bad.
#[async_trait]
pub trait Services: fmt::Debug + Send + Sync {
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
    /// [`Journals::shown`] for that.
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

    /// The freezes of a service.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    async fn freezes(&self, key: &ServiceKey) -> Result<Vec<Freeze>, StoreError>;

    /// Changes what holds for a service, with its record and what is to be told, or nothing of it; says
    /// whether that changed anything. What was lifted before or was never set is no change: nothing is
    /// recorded and nothing told. A freeze takes the place of the one with its name, and so does a mark.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes. In doubt, it may have been changed: the same again is harmless.
    async fn change(
        &self,
        key: &ServiceKey,
        change: &ServiceChange,
        record: Draft,
        notices: Vec<Queued>,
    ) -> Result<bool, StoreError>;
}

/// What is still to be told, and what was.
#[async_trait]
pub trait Outbox: fmt::Debug + Send + Sync {
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

    /// Puts off what is due and cannot be read, which [`Self::take`] refuses by name: until
    /// `not_before`, and after `attempts_max` such attempts it is a dead letter with the reason. What
    /// can be read is left alone. Looks at no more notices than `limit`, the same that `take` would take.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes. In doubt, some are put off.
    async fn put_off_unreadable(
        &self,
        owner: &Instance,
        now: Timestamp,
        not_before: Timestamp,
        attempts_max: u32,
        limit: usize,
    ) -> Result<Vec<Unreadable>, StoreError>;

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
}

/// The audit chain, and how far each sink has come.
#[async_trait]
pub trait AuditLog: fmt::Debug + Send + Sync {
    /// Gives a record of something that is no step of a rollback its place in the chain. One with its
    /// identity that is there already keeps its place.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes. In doubt, it may be there: the same again is harmless.
    async fn append(&self, record: Draft) -> Result<(), StoreError>;

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
}

/// Which requests were received before.
#[async_trait]
pub trait Receipts: fmt::Debug + Send + Sync {
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
}

/// Keeps everything that must survive a crash, behind one handle: [`Journals`], [`Claims`], [`Services`],
/// [`Outbox`], [`AuditLog`] and [`Receipts`]. Whoever needs only one of them can ask for that one.
///
/// Several processes may share one store; each names itself as an [`Instance`]. Whether a claim has
/// expired is judged by the store: by the times that callers pass where it has one process, and by
/// a clock of its own where several share it.
///
/// Every method of them all is one transaction, makes no network call of its own kind, and is safe to
/// drop: what was not answered is either done or not, never half.
///
/// There is no mock of it: `rollback_store::MemoryStore` keeps all that the port promises.
#[async_trait]
pub trait Store: Journals + Claims + Services + Outbox + AuditLog + Receipts {
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

    /// Closes the store, after what waits is answered: what is asked later is refused, whoever holds
    /// the store. Everything in it was durable before; closed, it is in one piece, and the next process
    /// need not wait for it. Closing it again does nothing. A store that wraps another one closes that;
    /// one that has nothing outside of the process does nothing.
    ///
    /// # Errors
    ///
    /// [`StoreLeft`] when it was closed and something was left beside it. Nothing is lost.
    ///
    /// Dropping the future leaves it closing.
    async fn close(&self) -> Result<(), StoreLeft>;
}
