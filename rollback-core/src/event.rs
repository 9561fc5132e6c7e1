//! What can happen to a rollback, and what it asks for in return.

use crate::access::{Duty, Standing};
use crate::fact::Fact;
use crate::id::{Label, Reason, RollbackId, UserId};
use crate::model::{Actor, RevisionRef};
use crate::observed::{Acceptance, Facts, Live};
use crate::proof::{Confirmation, Order, OrderRef};
use crate::time::Timestamp;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Something that happened. Past tense.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a new event must be decided in every state")]
pub enum Event {
    /// Somebody clicked the button of a proposal.
    Clicked(Actor),
    /// The directory was asked about whoever clicked.
    StandingObserved(Box<Standing>),
    /// The guards' sources were read.
    FactsObserved(Box<Observation>),
    /// Somebody confirmed in the modal.
    ConfirmationGiven(Box<Confirmation>),
    /// Somebody approved.
    ApprovalGiven(Box<Said>),
    /// Somebody rejected.
    RejectionGiven(Box<Said>),
    /// Somebody asked to stop it: closed the modal, or pressed cancel.
    WithdrawalGiven(Box<Said>),
    /// Another rollback holds the service.
    SlotTaken(RollbackId),
    /// Every required audit sink acknowledged the record of intent.
    IntentRecorded,
    /// A required audit sink did not.
    IntentNotRecorded(String),
    /// The CD system accepted the order.
    TriggerAccepted(Receipt),
    /// The CD system refused the order; proved that nothing happened.
    TriggerRefused(String),
    /// The CD system refused because something else is live; proved that nothing happened.
    TriggerConflicted(Box<Conflict>),
    /// It is unknown whether the CD system accepted the order.
    TriggerInDoubt(String),
    /// Reading found that the CD system had taken the order.
    OrderFound(Receipt),
    /// Reading proved that the order was not and will not be carried out.
    OrderAbsent,
    /// Reading could not settle the doubt.
    DoubtRemained(String),
    /// A drill asked the CD system whether it would have accepted the order.
    Rehearsed(Fact<Acceptance>),
    /// The CD system told how far it is.
    ProgressObserved(Box<Progress>),
    /// The CD system has not answered for a while about what it carries out, and why.
    ExecutionUnseen(String),
    /// The CD system took the request to cancel; a later look shows when it has stopped.
    CancellationAccepted,
    /// The CD system will not cancel: it is too late, or it cannot do that.
    CancellationRefused,
    /// The live revision and its health were looked at.
    OutcomeObserved(Box<Sighting>),
    /// The deadline of the state passed.
    DeadlineReached,
    /// Somebody said what became of a rollback whose outcome was unknown.
    Settled(Box<Settlement>),
    /// Quarantined after this many crashes in a row; 0 after a replay mismatch that is gone.
    PutAside(u32),
    /// Somebody released it from quarantine.
    Released(Box<Said>),
}

/// What the guards' sources said, and the directory about the requester and the approvers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Observation {
    /// The facts.
    pub facts: Facts,
    /// The requester, read afresh.
    pub requester: Standing,
    /// Everybody who has approved, read afresh.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub approvers: BTreeMap<UserId, Standing>,
}

impl Observation {
    /// Collects an observation.
    #[must_use]
    pub const fn new(facts: Facts, requester: Standing) -> Self {
        Self { facts, requester, approvers: BTreeMap::new() }
    }

    /// The same, with those who have approved.
    #[must_use]
    pub fn and_of(mut self, approvers: impl IntoIterator<Item = (UserId, Standing)>) -> Self {
        self.approvers.extend(approvers);
        self
    }
}

impl Event {
    /// The event under rules V1: a `Standing` without a user is about the actor of its event.
    pub(crate) fn vouched_for(mut self, requester: Option<&Actor>) -> Self {
        let (standing, actor) = match &mut self {
            Self::StandingObserved(standing) => (standing.as_mut(), requester),
            Self::FactsObserved(observation) => (&mut observation.requester, requester),
            Self::ConfirmationGiven(given) => (&mut given.standing, Some(&given.actor)),
            Self::ApprovalGiven(said)
            | Self::RejectionGiven(said)
            | Self::WithdrawalGiven(said)
            | Self::Released(said) => (&mut said.standing, Some(&said.actor)),
            Self::Settled(settlement) => (&mut settlement.standing, Some(&settlement.actor)),
            Self::Clicked(_)
            | Self::SlotTaken(_)
            | Self::IntentRecorded
            | Self::IntentNotRecorded(_)
            | Self::TriggerAccepted(_)
            | Self::TriggerRefused(_)
            | Self::TriggerConflicted(_)
            | Self::TriggerInDoubt(_)
            | Self::OrderFound(_)
            | Self::OrderAbsent
            | Self::DoubtRemained(_)
            | Self::Rehearsed(_)
            | Self::ProgressObserved(_)
            | Self::ExecutionUnseen(_)
            | Self::CancellationAccepted
            | Self::CancellationRefused
            | Self::OutcomeObserved(_)
            | Self::DeadlineReached
            | Self::PutAside(_) => return self,
        };
        if standing.user.is_none() {
            standing.user = actor.map(|actor| actor.id.clone());
        }
        self
    }
}

/// Somebody said something, and what the directory says about them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Said {
    /// Who.
    pub actor: Actor,
    /// What the directory says about them now.
    pub standing: Standing,
}

impl Said {
    /// Names who said it.
    #[must_use]
    pub const fn new(actor: Actor, standing: Standing) -> Self {
        Self { actor, standing }
    }
}

/// Proof from the CD system that it took an order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Receipt {
    /// The CD system's own name for the execution.
    pub execution: Label,
    /// Where a person looks at it: an `https` address, or none. Hostile until checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Receipt {
    /// Names an execution.
    #[must_use]
    pub fn new(execution: impl Into<Label>) -> Self {
        Self { execution: execution.into(), url: None }
    }

    /// The same, with where a person looks at it.
    #[must_use]
    pub fn at(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }
}

/// What was live instead.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Conflict {
    /// The live revision, if the CD system told it.
    pub live: Option<RevisionRef>,
    /// The CD system's words.
    pub why: String,
}

impl Conflict {
    /// Describes a conflict.
    #[must_use]
    pub fn new(live: Option<RevisionRef>, why: impl Into<String>) -> Self {
        Self { live, why: why.into() }
    }
}

/// How far the CD system says an execution is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the wire contract has these five")]
pub enum Phase {
    /// It has begun.
    Started,
    /// The target is being health-checked.
    HealthChecking,
    /// The CD system says it is done.
    Complete,
    /// The CD system says it failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// One look at an execution.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// How far it is.
    pub phase: Phase,
    /// The CD system's words.
    #[serde(default)]
    pub message: Option<Label>,
    /// What is live now, if the CD system told it along.
    #[serde(default)]
    pub live: Option<RevisionRef>,
    /// What it waits for before it goes on: a person, or a timer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<WaitsFor>,
}

impl Progress {
    /// A phase without words.
    #[must_use]
    pub const fn new(phase: Phase) -> Self {
        Self { phase, message: None, live: None, waits_for: None }
    }

    /// The same, while it waits.
    #[must_use]
    pub fn waiting(mut self, waits_for: WaitsFor) -> Self {
        self.waits_for = Some(waits_for);
        self
    }
}

/// What an execution waits for before it goes on: a paused canary, an approval of the environment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WaitsFor {
    /// What, in the CD system's words. Hostile until escaped.
    pub what: Label,
    /// Who can let it go on, in the CD system's words; empty where it is a timer, or unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub who: Vec<Label>,
    /// When it goes on by itself, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Where to let it go on. Hostile until checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl WaitsFor {
    /// It waits for this.
    #[must_use]
    pub fn new(what: impl Into<Label>) -> Self {
        Self { what: what.into(), who: Vec::new(), until: None, url: None }
    }
}

/// Whether a service works, as its health check says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "yes and no; not knowing is an unknown fact")]
pub enum Health {
    /// It does.
    Healthy,
    /// It does not, and what was seen.
    Unhealthy(String),
}

/// One look at the live revision and its health.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Sighting {
    /// What is live.
    pub live: Fact<Live>,
    /// Whether it works.
    pub health: Fact<Health>,
}

impl Sighting {
    /// Collects a look.
    #[must_use]
    pub const fn new(live: Fact<Live>, health: Fact<Health>) -> Self {
        Self { live, health }
    }
}

/// What became of an order, as a person found out.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "whole, not at all, or in part")]
pub enum Outcome {
    /// The target runs everywhere.
    TookEffect,
    /// Nothing was changed.
    NoEffect,
    /// Some of it was changed.
    Partly,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::TookEffect, Self::NoEffect, Self::Partly];

    /// The name in modals, bodies and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TookEffect => "took_effect",
            Self::NoEffect => "no_effect",
            Self::Partly => "partly",
        }
    }

    /// The outcome of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }
}

/// What somebody found out about a rollback whose outcome was unknown.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Settlement {
    /// Who.
    pub actor: Actor,
    /// What the directory says about them now.
    pub standing: Standing,
    /// What became of the order; earlier releases did not ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What they found.
    pub finding: Reason,
}

impl Settlement {
    /// Collects a settlement that does not say what became of the order.
    #[must_use]
    pub const fn new(actor: Actor, standing: Standing, finding: Reason) -> Self {
        Self { actor, standing, outcome: None, finding }
    }

    /// The same, saying what became of the order.
    #[must_use]
    pub const fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = Some(outcome);
        self
    }
}

/// Something to do. Imperative.
#[derive(Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "an engine must decide how to perform each")]
pub enum Effect {
    /// Ask the directory about somebody and send [`Event::StandingObserved`].
    ObserveStanding(UserId),
    /// Read the guards' sources and send [`Event::FactsObserved`].
    GatherFacts,
    /// Get the record of intent acknowledged by every required sink.
    RecordIntent,
    /// Send the order to the CD system, once.
    Trigger(Order),
    /// Ask the CD system whether it would accept the order. Never sends it.
    Rehearse(OrderRef),
    /// Find out by reading what became of the order. Never sends it.
    Reconcile(OrderRef),
    /// Look how far the execution is.
    Observe(OrderRef, Receipt),
    /// Ask the CD system to cancel the execution.
    Cancel(OrderRef, Receipt),
    /// Look at the live revision and its health, of which nothing counts that was seen before this
    /// moment.
    Verify(OrderRef, Receipt, Timestamp),
    /// Keep looking whether an order that was given up has an effect after all.
    WatchForLateEffect(OrderRef),
    /// Tell people.
    Tell(Audience),
}

/// Whom to tell, and where.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "nobody who should be told may be forgotten")]
pub enum Audience {
    /// Everybody who sees the deploy message: bring it up to date.
    Channel,
    /// Everybody who follows its thread: add a line.
    Thread(Line),
    /// The approvers: bring their request up to date.
    Approvers,
    /// One person, where only they see it.
    Privately {
        /// Who.
        to: UserId,
        /// What. Hostile until escaped: it may quote names and reasons.
        text: String,
    },
    /// Whoever deployed what was rolled back.
    Deployer,
    /// Whoever is on call.
    OnCall,
    /// Whoever is on call, of one act that only the emergency group's rule allowed. Appears once.
    BreakGlass {
        /// Who acted.
        by: Actor,
        /// What they did.
        duty: Duty,
    },
}

/// What a line in the thread tells; the rest is in the view of the rollback.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Line {
    /// It was proposed.
    Proposed,
    /// It was confirmed, with a reason.
    Confirmed,
    /// Somebody approved.
    Approved(Actor),
    /// Somebody rejected.
    Rejected(Actor),
    /// A guard said no or could not say.
    Refused,
    /// The order was sent.
    Triggered,
    /// The CD system told a phase.
    Phase(Progress),
    /// Somebody asked to cancel while it ran.
    Cancelling(Actor),
    /// The CD system will not cancel it.
    NotCancelled,
    /// It takes longer than it should, and is still followed.
    Overdue,
    /// It ended: see the state in the view.
    Ended,
    /// The CD system answered again, after the outcome had been called unknown.
    Heard(Progress),
    /// Late effect: an abandoned order ran after all.
    LateEffect,
    /// Somebody settled an unknown outcome.
    Settled(Actor),
    /// Its work ended whoever began it, so that nobody begins it any more.
    PutAside,
    /// Somebody let it go on.
    Released(Actor),
}
