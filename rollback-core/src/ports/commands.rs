//! What a surface asks of the engine, for people.

use crate::change::ServiceChange;
use crate::event::Outcome;
use crate::id::{DeployId, Label, Reason, RollbackId};
use crate::model::{Actor, Pair, ServiceKey};
use crate::notice::{DeployCard, MessageRef};
use crate::time::Timestamp;
use crate::view::RollbackView;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use async_trait::async_trait;
use core::fmt;
use core::time::Duration;

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
    /// Settles a rollback whose outcome is unknown; in the deploy message, and in what on-call gets.
    Settle(RollbackId),
}

/// What somebody agrees to.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Consent {
    /// Why.
    pub reason: Reason,
    /// Current and target as they were shown.
    pub shown: Pair,
    /// The warnings that they acknowledge, by id.
    pub acknowledged: BTreeSet<Label>,
}

impl Consent {
    /// Consent to this pair, for this reason, which acknowledges no warning.
    #[must_use]
    pub const fn new(reason: Reason, shown: Pair) -> Self {
        Self { reason, shown, acknowledged: BTreeSet::new() }
    }

    /// The same, acknowledging these warnings.
    #[must_use]
    pub fn acknowledging(mut self, warnings: impl IntoIterator<Item = Label>) -> Self {
        self.acknowledged.extend(warnings);
        self
    }
}

/// Why a command was not taken. Nothing was changed, but where it says that it is not known.
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
    /// The store may have taken it.
    #[error(
        "our own store did not answer in time, so it is not known whether this was recorded; look at how \
         it stands now before you repeat it"
    )]
    InDoubt,
    /// Whoever is let in by break-glass alone must say why.
    #[error("you may do this only through break-glass, which needs a reason; nothing was changed")]
    ReasonMissing,
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
    /// The change would have no effect: a freeze whose end is in the past.
    #[error("{0}; nothing was changed")]
    Pointless(String),
    /// What was asked for under the same key before is something else.
    #[error(
        "this key was used for another request, which made `{0}`; nothing was changed; use a new key, or \
         repeat the first request unchanged"
    )]
    KeyUsed(RollbackId),
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

/// Where people ask for something: a chat, a page. It acknowledges a request at once, and asks the
/// engine behind the acknowledgement.
#[async_trait]
pub trait Surface: fmt::Debug + Send + Sync {
    /// Takes no further request, and waits until each that it has acknowledged is recorded, or the
    /// person was told that it is not. The engine must still run meanwhile: what was acknowledged
    /// would be lost with it.
    ///
    /// Dropping the future stops only the waiting.
    async fn drain(&self);
}

/// What a surface asks of the engine, for people. Every method answers with the rollback as it
/// stands afterwards: a denial is a state, not an error.
///
/// Who acts is as true as the surface's check of the request that named them.
///
/// The engine implements it, and a host has no reason to. It is not sealed, because whoever writes a
/// surface tests it against one of their own (`MockCommands`, with the feature `mock`). New methods may
/// come with any minor release.
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

    /// Somebody confirmed, with a reason, what they were shown.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when it was not taken.
    async fn confirm(
        &self,
        id: &RollbackId,
        actor: Actor,
        consent: Consent,
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
        outcome: Outcome,
        finding: Reason,
    ) -> Result<RollbackView, CommandError>;

    /// Releases a quarantined rollback: it continues.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when it was not taken.
    async fn release(&self, id: &RollbackId, actor: Actor) -> Result<RollbackView, CommandError>;

    /// Somebody changes what holds for a service. Whoever may ask for its rollback may do that; a revision
    /// may be called as people call it, and must be one of the deploy history. False where nothing
    /// changed: the freeze or the mark to lift is not there.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when it was not taken, [`CommandError::Denied`] among them: it is recorded.
    async fn change_service(
        &self,
        key: &ServiceKey,
        change: ServiceChange,
        actor: Actor,
    ) -> Result<bool, CommandError>;

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
