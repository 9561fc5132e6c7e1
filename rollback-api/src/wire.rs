//! The bodies of the API, exactly as they go over the wire. Extended only compatibly.

use rollback_core::known_good::Skipped;
use rollback_core::notice::DeployCard;
use rollback_core::{
    Actor, Execution, GuardView, Migrations, Outcome, Restorable, Reversible, RevisionRef,
    RevisionStatus, RollbackView, StateName, Timestamp, WarningView,
};
use rollback_engine::ServiceStatus;
use serde::Serialize;

/// A revision, as far as it is known.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Revision {
    /// The CD system's own identity of it.
    id: String,
    /// Its version, for people.
    version: Option<String>,
    /// The commit it was built from.
    commit: Option<String>,
    /// When it went live.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    deployed_at: Option<String>,
    /// How its deploy ended; `unknown` also where nobody asked the CD system.
    status: Status,
    /// Whether the CD system could restore it; `null` when that is not known.
    restorable: Option<bool>,
    /// The migrations it brought; `null` when that is not known, empty when there were none.
    migrations: Option<Vec<Migration>>,
    /// What people call it besides: each can be given where a revision is asked for. Empty also where
    /// nobody asked the CD system.
    names: Vec<String>,
}

/// How a deploy ended.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(inline))]
pub(crate) enum Status {
    Succeeded,
    Failed,
    Superseded,
    Unknown,
}

/// A change of data or schema.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Migration {
    /// Its name.
    id: String,
    /// Whether the earlier code still works after it.
    reversible: Answer,
}

/// Yes, no, or nobody knows.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(inline))]
pub(crate) enum Answer {
    Yes,
    No,
    Unknown,
}

impl From<&rollback_core::Revision> for Revision {
    fn from(revision: &rollback_core::Revision) -> Self {
        let migration = |one: &rollback_core::Migration| Migration {
            id: one.id.to_string(),
            reversible: match one.reversible {
                Reversible::Yes => Answer::Yes,
                Reversible::No => Answer::No,
                Reversible::Unknown => Answer::Unknown,
            },
        };
        Self {
            id: revision.id.to_string(),
            version: revision.version.as_ref().map(ToString::to_string),
            commit: revision.commit.as_ref().map(ToString::to_string),
            deployed_at: revision.deployed_at.map(|at| at.to_string()),
            status: match revision.status {
                RevisionStatus::Succeeded => Status::Succeeded,
                RevisionStatus::Failed => Status::Failed,
                RevisionStatus::Superseded => Status::Superseded,
                RevisionStatus::Unknown => Status::Unknown,
            },
            restorable: match revision.restorable {
                Restorable::Yes => Some(true),
                Restorable::No => Some(false),
                Restorable::Unknown => None,
            },
            migrations: match &revision.migrations {
                Migrations::Unknown => None,
                Migrations::Known(list) => Some(list.iter().map(migration).collect()),
            },
            names: revision.names.iter().map(|named| named.name.to_string()).collect(),
        }
    }
}

impl From<&RevisionRef> for Revision {
    fn from(reference: &RevisionRef) -> Self {
        let mut revision = rollback_core::Revision::new(reference.revision.clone());
        revision.version.clone_from(&reference.version);
        revision.commit.clone_from(&reference.commit);
        Self::from(&revision)
    }
}

/// A revision that is no target, and why.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct SkippedRevision {
    /// The revision.
    revision: Revision,
    /// Why it was passed over.
    why: String,
}

impl From<&Skipped> for SkippedRevision {
    fn from(skipped: &Skipped) -> Self {
        Self { revision: (&skipped.revision).into(), why: skipped.skip.to_string() }
    }
}

/// A deploy that was taken, and the way back from it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct DeployTaken {
    /// The deploy, as its reporter named it.
    pub(crate) id: String,
    /// The service.
    service: String,
    /// The environment.
    environment: String,
    /// What its button would go back to; `null` when there is nothing.
    target: Option<Revision>,
    /// Why that, or why nothing.
    why: String,
    /// Everything that was passed over.
    skipped: Vec<SkippedRevision>,
}

impl DeployTaken {
    pub(crate) fn new(id: String, card: &DeployCard) -> Self {
        Self {
            id,
            service: card.deploy.service.to_string(),
            environment: card.deploy.environment.to_string(),
            target: card.choice.target.as_ref().map(Revision::from),
            why: card.choice.why.clone(),
            skipped: card.choice.skipped.iter().map(SkippedRevision::from).collect(),
        }
    }
}

/// What a guard says.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Guard {
    /// The guard.
    name: String,
    /// `pass`, `warn`, `block` or `unknown`. The first lets a rollback through; the second does where
    /// whoever confirms acknowledges each warning.
    #[cfg_attr(test, schemars(extend("enum" = ["pass", "warn", "block", "unknown"])))]
    verdict: String,
    /// The verdict in words.
    explanation: String,
    /// The warnings, where it warns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    acknowledge: Vec<Warning>,
}

/// Something to acknowledge before a rollback.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Warning {
    /// How the confirmation names it: the guard, or the id of a fix.
    id: String,
    /// What is taken away, in words.
    what: String,
}

impl From<&WarningView> for Warning {
    fn from(view: &WarningView) -> Self {
        Self { id: view.id.to_string(), what: view.what.clone() }
    }
}

impl From<&GuardView> for Guard {
    fn from(view: &GuardView) -> Self {
        Self {
            name: view.name.to_string(),
            verdict: view.verdict.to_string(),
            explanation: view.explanation.clone(),
            acknowledge: view.acknowledge.iter().map(Warning::from).collect(),
        }
    }
}

/// How a service stands.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Service {
    /// The service.
    service: String,
    /// The environment.
    environment: String,
    /// What runs now; `null` when nothing does, or nobody can say.
    live: Option<Revision>,
    /// What a rollback would go back to.
    target: Option<Revision>,
    /// Why that, or why nothing.
    why: String,
    /// Everything that was passed over.
    skipped: Vec<SkippedRevision>,
    /// The guards as they stand now; empty when there is no target to judge.
    guards: Vec<Guard>,
    /// The freezes, also those that begin later or are over; `null` when that is not known.
    freezes: Option<Vec<Freeze>>,
    /// The rollback that holds the service.
    rollback: Option<String>,
}

/// A time without rollbacks.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Freeze {
    /// Its name.
    name: String,
    /// Since when.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    from: String,
    /// Until when; `null` until it is lifted.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    until: Option<String>,
    /// Why; `null` when that is not known.
    reason: Option<String>,
    /// Who set it; `null` when that is not known.
    by: Option<String>,
}

impl From<&rollback_core::observed::Freeze> for Freeze {
    fn from(freeze: &rollback_core::observed::Freeze) -> Self {
        Self {
            name: freeze.name.to_string(),
            from: freeze.from.to_string(),
            until: freeze.until.map(|until| until.to_string()),
            reason: freeze.reason.as_ref().map(ToString::to_string),
            by: freeze.by.as_ref().map(ToString::to_string),
        }
    }
}

/// Something was changed about a service.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Changed {
    /// The service.
    service: String,
    /// The environment.
    environment: String,
}

impl Changed {
    pub(crate) fn new(key: &rollback_core::ServiceKey) -> Self {
        Self { service: key.service.to_string(), environment: key.environment.to_string() }
    }
}

impl Service {
    pub(crate) fn new(key: &rollback_core::ServiceKey, status: &ServiceStatus) -> Self {
        Self {
            service: key.service.to_string(),
            environment: key.environment.to_string(),
            live: status.live.as_ref().map(Revision::from),
            target: status.target.as_ref().map(Revision::from),
            why: status.why.clone(),
            skipped: status.skipped.iter().map(SkippedRevision::from).collect(),
            guards: status.guards.iter().map(Guard::from).collect(),
            freezes: status.freezes.as_ref().map(|all| all.iter().map(Freeze::from).collect()),
            rollback: status.rollback.as_ref().map(ToString::to_string),
        }
    }
}

/// Somebody, by identity and name.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Person {
    /// Their identity.
    id: String,
    /// Their name, for people.
    name: Option<String>,
}

impl From<&Actor> for Person {
    fn from(actor: &Actor) -> Self {
        let name = actor.name.as_ref().map(ToString::to_string);
        Self { id: actor.id.to_string(), name }
    }
}

/// The execution at the CD system.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ExecutionEntry {
    /// The configured backend.
    backend: String,
    /// The CD system's own name for it.
    id: String,
    /// Where a person looks at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl From<&Execution> for ExecutionEntry {
    fn from(execution: &Execution) -> Self {
        Self {
            backend: execution.backend.to_string(),
            id: execution.id.to_string(),
            url: execution.url.clone(),
        }
    }
}

/// Where a rollback stands. The moments of checking a person and of writing the intent down are
/// told as the states that they are part of.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(inline))]
pub(crate) enum State {
    Proposed,
    Confirming,
    Approving,
    Checking,
    Triggering,
    Running,
    Verifying,
    Succeeded,
    Failed,
    NotVerified,
    Refused,
    Denied,
    Withdrawn,
    Expired,
    OutcomeUnknown,
}

impl State {
    pub(crate) const ALL: [Self; 15] = [
        Self::Proposed,
        Self::Confirming,
        Self::Approving,
        Self::Checking,
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

    /// The state as the contract spells it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Confirming => "confirming",
            Self::Approving => "approving",
            Self::Checking => "checking",
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

    /// The states of the machine that are told as this one.
    pub(crate) fn covers(self) -> impl Iterator<Item = StateName> {
        StateName::ALL.into_iter().filter(move |name| Self::from(*name) == self)
    }
}

impl From<StateName> for State {
    fn from(name: StateName) -> Self {
        match name {
            StateName::Proposed => Self::Proposed,
            StateName::Authorizing | StateName::Confirming => Self::Confirming,
            StateName::Approving => Self::Approving,
            StateName::Checking | StateName::Recording => Self::Checking,
            StateName::Triggering => Self::Triggering,
            StateName::Running => Self::Running,
            StateName::Verifying => Self::Verifying,
            StateName::Succeeded => Self::Succeeded,
            StateName::Failed => Self::Failed,
            StateName::NotVerified => Self::NotVerified,
            StateName::Refused => Self::Refused,
            StateName::Denied => Self::Denied,
            StateName::Withdrawn => Self::Withdrawn,
            StateName::Expired => Self::Expired,
            StateName::OutcomeUnknown => Self::OutcomeUnknown,
        }
    }
}

/// A proposal that was made.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Proposed {
    /// The rollback.
    pub(crate) id: String,
    /// Where it stands.
    pub(crate) state: State,
}

/// Rollbacks, newest first.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Rollbacks {
    /// The rollbacks.
    pub(crate) rollbacks: Vec<Rollback>,
}

/// A rollback.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Rollback {
    /// Which one.
    id: String,
    /// The service.
    service: String,
    /// The environment.
    environment: String,
    /// Where it stands.
    state: State,
    /// The revision to leave, as it was known when the rollback was opened.
    from: Revision,
    /// The revision to return to, as it was known when the rollback was opened.
    to: Revision,
    /// Who asked for it; `null` while it is only proposed.
    requested_by: Option<Person>,
    /// Who approved it.
    approved_by: Vec<Person>,
    /// Who proposed it, if somebody did.
    proposed_by: Option<Person>,
    /// Why: the requester's words, or the proposer's while nobody has confirmed.
    reason: Option<String>,
    /// What the guards said when they were last evaluated.
    guards: Vec<Guard>,
    /// The execution at the CD system, once there is one.
    execution: Option<ExecutionEntry>,
    /// When it was opened.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    opened_at: String,
    /// When it ended.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    ended_at: Option<String>,
    /// Where it stands, in words, with what to do next.
    explanation: String,
    /// Whether it is a drill, whose order is never sent.
    drill: bool,
    /// The deploy that it takes back, where one was reported.
    deploy: Option<String>,
    /// The rule that let the requester in, or kept them out.
    rule: Option<String>,
    /// Whether the requester came in through the emergency group.
    break_glass: bool,
    /// The warnings that whoever confirmed acknowledged.
    acknowledged: Vec<String>,
    /// How a person settled it, where its outcome was unknown; `null` while nobody has.
    settled: Option<Settled>,
    /// Whether it is quarantined: it crashed the service, or its journal does not replay. No work is
    /// done on it until a person decides.
    put_aside: bool,
}

/// How a person settled a rollback whose outcome was unknown. All but the keys is `null` where a release
/// settled it that did not keep them.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Settled {
    /// What became of it.
    #[cfg_attr(test, schemars(extend("enum" = ["took_effect", "no_effect", "partly", null])))]
    outcome: Option<&'static str>,
    /// Who said so.
    by: Option<Person>,
    /// How they know.
    reason: Option<String>,
    /// When they said so.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    at: Option<String>,
}

impl Settled {
    fn of(view: &RollbackView) -> Option<Self> {
        let Some(told) = &view.settlement else {
            let of_an_earlier_release = Self { outcome: None, by: None, reason: None, at: None };
            return view.settled.then_some(of_an_earlier_release);
        };
        Some(Self {
            outcome: told.outcome.map(Outcome::as_str),
            by: Some((&told.actor).into()),
            reason: Some(told.finding.to_string()),
            at: Some(told.at.to_string()),
        })
    }
}

impl From<&RollbackView> for Rollback {
    fn from(view: &RollbackView) -> Self {
        let reason = view.reason.as_ref().or(view.proposed_because.as_ref());
        let proposer = |by: &rollback_core::Proposer| Person {
            id: by.id.to_string(),
            name: by.name.as_ref().map(ToString::to_string),
        };
        Self {
            id: view.id.to_string(),
            service: view.key.service.to_string(),
            environment: view.key.environment.to_string(),
            state: view.state.into(),
            from: (&view.from).into(),
            to: (&view.to).into(),
            requested_by: view.requested_by.as_ref().map(Person::from),
            approved_by: view.approved_by.iter().map(Person::from).collect(),
            proposed_by: view.proposed_by.as_ref().map(proposer),
            reason: reason.map(ToString::to_string),
            guards: view.guards.iter().map(Guard::from).collect(),
            execution: view.execution.as_ref().map(ExecutionEntry::from),
            opened_at: view.opened_at.to_string(),
            ended_at: view.ended_at.map(|at| at.to_string()),
            explanation: view.explanation.clone(),
            drill: view.purpose == rollback_core::Purpose::Drill,
            deploy: view.deploy.as_ref().map(ToString::to_string),
            rule: view.rule.as_ref().map(ToString::to_string),
            break_glass: view.break_glass,
            acknowledged: view.acknowledged.iter().map(ToString::to_string).collect(),
            settled: Settled::of(view),
            put_aside: view.put_aside.is_some(),
        }
    }
}

/// What a look at the whole audit chain found.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Verification {
    /// Every record is there, and none was changed.
    Whole {
        /// Always `true`.
        ok: bool,
        /// How many records there are.
        records: u64,
        /// The hash of the last: keep it elsewhere, and nobody can rewrite the log unseen.
        head: String,
        /// The last checkpoint, with which the log agrees; absent where none are made.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, schemars(with = "LastCheckpoint"))]
        checkpoint: Option<LastCheckpoint>,
    },
    /// Something is wrong.
    Broken {
        /// Always `false`.
        ok: bool,
        /// The first record with which something is wrong.
        sequence: u64,
        /// What is wrong with it.
        problem: String,
    },
}

/// The last checkpoint of the audit log that this process knows.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct LastCheckpoint {
    /// How many records the log had.
    pub(crate) sequence: u64,
    /// The hash of the last one.
    pub(crate) hash: String,
    /// When it was signed.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) at: Timestamp,
    /// The signed note: keep it elsewhere, and verify the log with it.
    pub(crate) note: String,
    /// Why no newer one is signed; absent while all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) problem: Option<String>,
}

/// Whether the process lives, or is ready.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Health {
    /// `ok` or `ready`.
    pub(crate) status: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_the_machine_is_told_as_one_of_the_contract() {
        for state in State::ALL {
            assert!(state.covers().count() >= 1, "{state:?} covers nothing");
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        let covered: usize = State::ALL.into_iter().map(|state| state.covers().count()).sum();
        assert_eq!(covered, StateName::ALL.len());
    }

    #[test]
    fn a_state_that_the_contract_names_keeps_its_name() {
        for name in StateName::ALL {
            let told = State::from(name).as_str();
            let renamed = matches!(name, StateName::Authorizing | StateName::Recording);
            assert_eq!(told == name.as_str(), !renamed, "{name}");
        }
    }
}

/// What blocks a rollback now.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct HealthReport {
    /// Whether anything blocks rollbacks: all of them, or those of some services.
    blocked: bool,
    /// When this was looked up.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    at: String,
    /// What blocks rollbacks, each by its name.
    blockers: Vec<Blocker>,
    /// Every part that was asked something since the process started.
    parts: Vec<Part>,
    /// Quarantined rollbacks: they crashed the service, or their journal does not replay. Each waits for
    /// a person's decision. `null` where that could not be looked up.
    put_aside: Option<Vec<String>>,
    /// Rollbacks with an unknown outcome that nobody has settled; `null` where that could not be
    /// looked up.
    unsettled: Option<Vec<String>>,
}

/// Something that blocks rollbacks.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Blocker {
    /// What kind of part it is: `store`, `cd`, `service` (one service of a CD system that answers for
    /// others), `chat`, `channel`, `notice` (one message that cannot be read), `directory`, `audit_sink`,
    /// `engine` or `loop`; more may come.
    kind: &'static str,
    /// Which of its kind.
    name: String,
    /// Since when it is so.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    since: String,
    /// What is wrong with it.
    why: String,
}

/// Something that a rollback needs, or that is told of it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Part {
    /// What kind of part it is, as in a blocker.
    kind: &'static str,
    /// Which of its kind.
    name: String,
    /// Whether it answered when it was last asked.
    ok: bool,
    /// Whether rollbacks are blocked while it does not.
    blocks: bool,
    /// When it last answered or failed to.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    seen_at: String,
    /// Since when it does not; `null` while it does.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    since: Option<String>,
    /// What is wrong with it; `null` while it answers.
    why: Option<String>,
}

impl From<&rollback_engine::Status> for HealthReport {
    fn from(status: &rollback_engine::Status) -> Self {
        let blocker =
            |(part, trouble): (&rollback_engine::Part, &rollback_engine::Trouble)| Blocker {
                kind: part.kind(),
                name: part.name(),
                since: trouble.since.to_string(),
                why: trouble.why.clone(),
            };
        let blockers: Vec<Blocker> = status.blockers().map(blocker).collect();
        let part = |standing: &rollback_engine::PartStanding| Part {
            kind: standing.part.kind(),
            name: standing.part.name(),
            ok: standing.trouble.is_none(),
            blocks: standing.part.blocks(),
            seen_at: standing.seen_at.to_string(),
            since: standing.trouble.as_ref().map(|trouble| trouble.since.to_string()),
            why: standing.trouble.as_ref().map(|trouble| trouble.why.clone()),
        };
        Self {
            blocked: !blockers.is_empty(),
            at: status.at.to_string(),
            blockers,
            parts: status.parts.iter().map(part).collect(),
            put_aside: status.put_aside.as_deref().map(named),
            unsettled: status.unsettled.as_deref().map(named),
        }
    }
}

fn named(rollbacks: &[rollback_core::RollbackId]) -> Vec<String> {
    rollbacks.iter().map(ToString::to_string).collect()
}
