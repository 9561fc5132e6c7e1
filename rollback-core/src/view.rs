//! A rollback as others may see it: one serializable value from which every message, API body and
//! page is made.

use crate::event::{Outcome, Progress, Receipt, Settlement};
use crate::guard::{Finding, Report, Warning};
use crate::id::{BackendName, DeployId, Label, Reason, RollbackId};
use crate::model::{Actor, Deployer, RevisionRef, ServiceKey};
use crate::time::Timestamp;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The states of a rollback, as every contract spells them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a new state must be shown somehow by every view")]
pub enum StateName {
    /// Somebody or something suggested it; nobody has clicked yet.
    Proposed,
    /// Somebody clicked; they are being checked.
    Authorizing,
    /// They may, and are looking at what they would do.
    Confirming,
    /// Confirmed; other people must approve.
    Approving,
    /// Approved; the guards are read afresh.
    Checking,
    /// The guards passed; the intent is being recorded.
    Recording,
    /// Recorded; the order is on its way to the CD system.
    Triggering,
    /// The CD system carries it out.
    Running,
    /// The CD system says it is done; the result is being looked at.
    Verifying,
    /// The target is live and healthy.
    Succeeded,
    /// Ordered, and known not to have worked.
    Failed,
    /// Carried out, and not seen to be good.
    NotVerified,
    /// A guard said no, or could not say. Nothing was changed.
    Refused,
    /// The person may not. Nothing was changed.
    Denied,
    /// A person stopped it.
    Withdrawn,
    /// Nobody answered in time. Nothing was changed.
    Expired,
    /// Ordered, and nobody knows what became of it.
    OutcomeUnknown,
}

impl StateName {
    /// Every state, in the order in which a rollback can pass them.
    pub const ALL: [Self; 17] = [
        Self::Proposed,
        Self::Authorizing,
        Self::Confirming,
        Self::Approving,
        Self::Checking,
        Self::Recording,
        Self::Triggering,
        Self::Running,
        Self::Verifying,
        Self::Succeeded,
        Self::Failed,
        Self::NotVerified,
        Self::Refused,
        Self::Denied,
        Self::Withdrawn,
        Self::Expired,
        Self::OutcomeUnknown,
    ];

    /// The state as the contracts spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Authorizing => "authorizing",
            Self::Confirming => "confirming",
            Self::Approving => "approving",
            Self::Checking => "checking",
            Self::Recording => "recording",
            Self::Triggering => "triggering",
            Self::Running => "running",
            Self::Verifying => "verifying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::NotVerified => "not_verified",
            Self::Refused => "refused",
            Self::Denied => "denied",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
            Self::OutcomeUnknown => "outcome_unknown",
        }
    }

    /// Whether nothing more is expected of the engine. An unknown outcome is an end, too: what is
    /// left to do is a person's.
    #[must_use]
    pub const fn is_end(self) -> bool {
        match self {
            Self::Succeeded
            | Self::Failed
            | Self::NotVerified
            | Self::Refused
            | Self::Denied
            | Self::Withdrawn
            | Self::Expired
            | Self::OutcomeUnknown => true,
            Self::Proposed
            | Self::Authorizing
            | Self::Confirming
            | Self::Approving
            | Self::Checking
            | Self::Recording
            | Self::Triggering
            | Self::Running
            | Self::Verifying => false,
        }
    }

    /// Whether the rollback is under way: confirmed, and not ended. While it is, the deploy
    /// message has no button.
    #[must_use]
    pub const fn is_in_flight(self) -> bool {
        match self {
            Self::Approving
            | Self::Checking
            | Self::Recording
            | Self::Triggering
            | Self::Running
            | Self::Verifying => true,
            Self::Proposed
            | Self::Authorizing
            | Self::Confirming
            | Self::Succeeded
            | Self::Failed
            | Self::NotVerified
            | Self::Refused
            | Self::Denied
            | Self::Withdrawn
            | Self::Expired
            | Self::OutcomeUnknown => false,
        }
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether an order is really sent.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a third purpose must be decided at the trigger")]
pub enum Purpose {
    /// It is.
    #[default]
    Real,
    /// Everything is real up to the order, which the CD system is asked about and never sent.
    Drill,
}

/// Who proposed a rollback: a person, a rule or an agent. Not an actor: proposing needs no right
/// and gives none.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Proposer {
    /// Their identity.
    pub id: Label,
    /// Their name, for people.
    #[serde(default)]
    pub name: Option<Label>,
}

impl Proposer {
    /// Names a proposer.
    #[must_use]
    pub fn new(id: impl Into<Label>, name: Option<Label>) -> Self {
        Self { id: id.into(), name }
    }
}

/// A guard, the verdict on it and the words for it, as the contracts have them.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GuardView {
    /// The guard.
    pub name: Label,
    /// `pass`, `warn`, `block` or `unknown`.
    pub verdict: Label,
    /// The verdict in words.
    pub explanation: String,
    /// What must be acknowledged, where it warns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acknowledge: Vec<WarningView>,
}

/// A warning, to be acknowledged by its id.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WarningView {
    /// How the confirmation names it.
    pub id: Label,
    /// What is taken away, in words.
    pub what: String,
}

impl From<&Finding> for GuardView {
    fn from(finding: &Finding) -> Self {
        Self {
            name: Label::new(finding.guard.name()),
            verdict: Label::new(finding.verdict_name()),
            explanation: finding.explanation(),
            acknowledge: finding.warnings().iter().map(WarningView::from).collect(),
        }
    }
}

impl From<&Warning> for WarningView {
    fn from(warning: &Warning) -> Self {
        Self { id: warning.id.clone(), what: warning.what.clone() }
    }
}

impl Report {
    /// The report as the contracts have it.
    #[must_use]
    pub fn views(&self) -> Vec<GuardView> {
        self.findings().iter().map(GuardView::from).collect()
    }
}

/// The execution at the CD system.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Execution {
    /// The configured backend.
    pub backend: BackendName,
    /// The CD system's own name for the execution.
    pub id: Label,
    /// Where a person looks at it. Hostile until checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Execution {
    pub(crate) fn new(backend: BackendName, receipt: &Receipt) -> Self {
        Self { backend, id: receipt.execution.clone(), url: receipt.url.clone() }
    }
}

/// Why a rollback is quarantined.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a new cause must say what a person can do about it")]
pub enum Cause {
    /// The service crashed several times in a row while it processed the rollback.
    #[default]
    Crashes,
    /// Its journal does not replay to the stored state: it was judged by other rules than this
    /// version's.
    Replay,
}

impl Cause {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_crashes(&self) -> bool {
        *self == Self::Crashes
    }
}

/// A rollback that is quarantined: nobody works on it until a person has decided.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PutAside {
    /// Crashes in a row; 0 for a replay mismatch.
    pub attempts: u32,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    #[serde(default, skip_serializing_if = "Cause::is_crashes")]
    pub cause: Cause,
}

impl PutAside {
    /// Says how many times and since when.
    #[must_use]
    pub const fn new(attempts: u32, since: Timestamp) -> Self {
        Self { attempts, since, cause: Cause::Crashes }
    }

    /// Because its journal does not replay to what is stored.
    #[must_use]
    pub const fn not_replayed(since: Timestamp) -> Self {
        Self { attempts: 0, since, cause: Cause::Replay }
    }
}

/// What became of a person's wish to cancel what runs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "each must be shown somehow")]
pub enum Cancellation {
    /// The CD system is being asked.
    Asked,
    /// It will stop the execution.
    Accepted,
    /// It will not.
    Refused,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_not(flag: &bool) -> bool {
    !*flag
}

/// How much a rollback matters on the message of its deploy. Of several the greatest is shown, and of
/// equal ones the newest: what stands is never hidden by what came later.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "stores keep the rank; a new one needs a migration")]
pub enum Prominence {
    /// Not shown: not confirmed, or ended without a confirmation.
    None,
    /// A guard refused it before the confirmation.
    Refused,
    /// Confirmed and ended.
    Ended,
    /// Proposed and still open: somebody may take it up, so no end hides it.
    Proposed,
    /// Quarantined before the confirmation, until a person releases it.
    PutAside,
    /// It holds its service: confirmed and not ended, or of an unknown outcome that is not settled.
    /// There is one at most.
    Holds,
}

impl Prominence {
    /// Every one, the least first.
    pub const ALL: [Self; 6] =
        [Self::None, Self::Refused, Self::Ended, Self::Proposed, Self::PutAside, Self::Holds];

    /// The number by which a store keeps it; grows with it, and never changes its meaning.
    #[must_use]
    pub const fn rank(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Refused => 1,
            Self::Ended => 2,
            Self::Proposed => 3,
            Self::PutAside => 4,
            Self::Holds => 5,
        }
    }
}

/// A rollback as others may see it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question that a message asks by itself"
)]
pub struct RollbackView {
    /// Which one.
    pub id: RollbackId,
    /// The service and environment.
    #[serde(flatten)]
    pub key: ServiceKey,
    /// Where it stands.
    pub state: StateName,
    /// How many events it has taken: a later view has more.
    pub steps: u64,
    /// The revision to leave.
    pub from: RevisionRef,
    /// The revision to return to.
    pub to: RevisionRef,
    /// Who asked for it.
    pub requested_by: Option<Actor>,
    /// Who approved it.
    pub approved_by: Vec<Actor>,
    /// How many approvals it needs.
    pub approvals_min: u8,
    /// Why.
    pub reason: Option<Reason>,
    /// What the guards said when they were last evaluated.
    pub guards: Vec<GuardView>,
    /// The warnings that whoever confirmed acknowledged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acknowledged: Vec<Label>,
    /// What a person should know will not be undone.
    pub not_undone: Vec<String>,
    /// How long it is expected to take, in milliseconds.
    pub expected_ms: Option<u64>,
    /// The execution at the CD system.
    pub execution: Option<Execution>,
    /// The last phase the CD system told.
    pub progress: Option<Progress>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When the state it is in will have lasted too long.
    pub deadline: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Where it stands, in words, with what to do next.
    pub explanation: String,
    /// Who may do what is waited for, or what was denied: `user U1`, `group S1`.
    pub who_may: Vec<Label>,
    /// The rule that let the requester in, or kept them out.
    pub rule: Option<Label>,
    /// Whether the requester came in through the emergency group.
    pub break_glass: bool,
    /// Who proposed it, if somebody did.
    pub proposed_by: Option<Proposer>,
    /// Why they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed_because: Option<Reason>,
    /// Whether a person has settled an unknown outcome.
    #[serde(default, skip_serializing_if = "is_not")]
    pub settled: bool,
    /// Whether an order that had been given up took effect after all.
    #[serde(default, skip_serializing_if = "is_not")]
    pub late: bool,
    /// How a person settled it; none where an earlier release settled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settlement: Option<SettledBy>,
    /// Quarantined, until a person releases or settles it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_aside: Option<PutAside>,
    /// The deploy whose button it was.
    pub deploy: Option<DeployId>,
    /// Who had deployed what is rolled back.
    pub deployer: Option<Deployer>,
    /// Whether the order is really sent.
    pub purpose: Purpose,
    /// Whether it can still be cancelled.
    pub cancellable: bool,
    /// Whether it is unknown if the CD system accepted the order; that is being checked.
    #[serde(default, skip_serializing_if = "is_not")]
    pub in_doubt: bool,
    /// Whether it takes longer than its limit; it is still followed.
    #[serde(default, skip_serializing_if = "is_not")]
    pub overdue: bool,
    /// Since when the CD system does not answer about what it carries out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_since: Option<Timestamp>,
    /// What became of the wish to cancel it, if somebody wished that while it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<Cancellation>,
}

/// How a person settled a rollback whose outcome was unknown.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SettledBy {
    /// Who.
    pub actor: Actor,
    /// What became of the order, where they said so.
    pub outcome: Option<Outcome>,
    /// What they found.
    pub finding: Reason,
    /// When.
    pub at: Timestamp,
}

impl SettledBy {
    pub(crate) fn new(settlement: &Settlement, at: Timestamp) -> Self {
        let Settlement { actor, outcome, finding, .. } = settlement.clone();
        Self { actor, outcome, finding, at }
    }
}

impl RollbackView {
    /// Whether a person may settle it: its outcome is unknown, it takes longer than its limit, or it is
    /// quarantined after its order.
    #[must_use]
    pub fn can_be_settled(&self) -> bool {
        match self.put_aside {
            Some(PutAside { cause: Cause::Replay, .. }) => true,
            Some(_) => match self.state {
                StateName::OutcomeUnknown => !self.settled,
                StateName::Triggering | StateName::Running | StateName::Verifying => {
                    self.purpose == Purpose::Real
                }
                StateName::Proposed
                | StateName::Authorizing
                | StateName::Confirming
                | StateName::Approving
                | StateName::Checking
                | StateName::Recording
                | StateName::Succeeded
                | StateName::Failed
                | StateName::NotVerified
                | StateName::Refused
                | StateName::Denied
                | StateName::Withdrawn
                | StateName::Expired => false,
            },
            None => self.needs_somebody(),
        }
    }

    /// Whether whoever is on call is needed: it is quarantined, takes longer than its limit, or nobody
    /// knows its outcome. A page about it is resolved once this is false.
    #[must_use]
    pub fn needs_somebody(&self) -> bool {
        let unsettled = self.state == StateName::OutcomeUnknown && !self.settled;
        self.put_aside.is_some() || self.overdue || unsettled
    }

    /// How much it matters on the message of its deploy.
    #[must_use]
    pub fn prominence(&self) -> Prominence {
        let unsettled = self.state == StateName::OutcomeUnknown && !self.settled;
        if self.state.is_in_flight() || unsettled {
            Prominence::Holds
        } else if self.put_aside.is_some() {
            Prominence::PutAside
        } else if self.reason.is_some() && self.ended_at.is_some() {
            Prominence::Ended
        } else if self.proposed_by.is_some() && self.ended_at.is_none() {
            Prominence::Proposed
        } else if self.state == StateName::Refused {
            Prominence::Refused
        } else {
            Prominence::None
        }
    }
}
