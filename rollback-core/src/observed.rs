//! What the guards look at: one bundle of facts, each known or not, each with its own time.

use crate::fact::Fact;
use crate::guard::Explanation;
use crate::id::{DeployId, GuardName, Label, Reason, RevisionId, RollbackId};
use crate::model::{Plan, Restorable, Revision, RevisionRef};
use crate::presence::Presence;
use crate::time::Timestamp;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// What is live, and what the CD system is doing to it. From [`crate::ports::CdBackend::live`].
///
/// The default is what is known before anybody looked: nothing runs that is known, and whether
/// anything is in progress cannot be told.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Live {
    /// The revision that runs now; none when nothing does.
    pub revision: Option<RevisionRef>,
    /// What is in progress.
    #[serde(default = "Presence::nothing")]
    pub in_progress: Presence<InProgress>,
}

impl Default for Live {
    fn default() -> Self {
        let unsaid = "the backend does not say whether a deploy or a rollback is in progress";
        Self { revision: None, in_progress: Presence::cannot_tell(unsaid) }
    }
}

impl Live {
    /// This revision runs and nothing is in progress.
    #[must_use]
    pub const fn running(revision: RevisionRef) -> Self {
        Self { revision: Some(revision), in_progress: Presence::Nothing }
    }
}

/// An operation the CD system is carrying out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InProgress {
    /// What kind.
    pub kind: OperationKind,
    /// The rollback of ours that it carries out, if it is one.
    #[serde(default)]
    pub operation_id: Option<RollbackId>,
    /// Since when.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

impl InProgress {
    /// An operation of which only the kind is known.
    #[must_use]
    pub const fn new(kind: OperationKind) -> Self {
        Self { kind, operation_id: None, since: None }
    }
}

/// What kind of operation is in progress.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the wire contract has these two")]
pub enum OperationKind {
    /// A deploy.
    Deploy,
    /// A rollback.
    Rollback,
}

/// Whether the CD system would take this rollback, and what it would mean.
/// From [`crate::ports::CdBackend::preflight`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Preflight {
    /// Whether it would be accepted.
    pub acceptance: Acceptance,
    /// What would undo the rollback afterwards, such as a GitOps controller with auto-sync on.
    #[serde(default = "Presence::nothing")]
    pub undone_by: Presence<String>,
    /// Whose word it is that nothing would undo it, where the backend itself cannot see that: the
    /// finding of the guard names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouched_by: Option<String>,
    /// What a person should know will not be undone, one line each.
    #[serde(default)]
    pub not_undone: Vec<String>,
    /// How long it is expected to take.
    #[serde(default)]
    pub expected: Option<ExpectedDuration>,
}

impl Preflight {
    /// The CD system would accept it. Whether anything would undo it cannot be told yet: a backend
    /// that can see that sets [`Self::undone_by`].
    #[must_use]
    pub fn accepted() -> Self {
        let unsaid = "the backend does not say whether anything would undo it";
        Self {
            acceptance: Acceptance::Accepted,
            undone_by: Presence::cannot_tell(unsaid),
            vouched_by: None,
            not_undone: Vec::new(),
            expected: None,
        }
    }

    /// What a history says of a rollback: it would be accepted if the history has the target and can
    /// restore it. Who would undo it a history does not say.
    #[must_use]
    pub fn from_history(history: &[Revision], plan: &Plan) -> Self {
        let to = plan.to();
        let target = history.iter().find(|revision| revision.id == to.revision);
        match target.map(|target| target.restorable) {
            Some(Restorable::Yes) => Self::accepted(),
            Some(Restorable::No) => Self::rejected(alloc::format!("{to} cannot be restored")),
            Some(Restorable::Unknown) => {
                Self::rejected(alloc::format!("whether {to} can be restored is unknown"))
            }
            None => Self::rejected(alloc::format!("{to} is not in the deploy history")),
        }
    }

    /// The same where it is known that nothing would undo it.
    #[must_use]
    pub fn undone_by_nothing(mut self) -> Self {
        self.undone_by = Presence::Nothing;
        self
    }

    /// The CD system would not accept it. What would undo it was not looked for.
    #[must_use]
    pub fn rejected(why: impl Into<String>) -> Self {
        let unsaid = "it was not looked for, because the CD system would not accept the rollback";
        Self {
            acceptance: Acceptance::Rejected(why.into()),
            undone_by: Presence::cannot_tell(unsaid),
            ..Self::accepted()
        }
    }
}

/// How long a rollback is expected to take, in whole milliseconds on the wire.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ExpectedDuration(#[serde(with = "crate::time::millis")] Duration);

impl ExpectedDuration {
    /// About this long.
    #[must_use]
    pub const fn about(duration: Duration) -> Self {
        Self(duration)
    }

    /// How long.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

/// Whether the CD system would accept an order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "yes and no; not knowing is an unknown fact")]
pub enum Acceptance {
    /// It would.
    Accepted,
    /// It would not, and why.
    Rejected(String),
}

/// What we ourselves know about a service: from the store, not from the CD system.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ServiceRecord {
    /// The rollback that holds the service now.
    pub in_flight: Option<RollbackId>,
    /// The last rollback that ended after its order was given.
    pub last_rollback: Option<LastRollback>,
    /// Revisions that a rollback led away from.
    pub rolled_back_from: BTreeSet<RevisionId>,
    /// Revisions that somebody marked bad, and why.
    pub marked_bad: BTreeMap<RevisionId, Label>,
    /// The newest deploy that was reported to us.
    pub latest_deploy: Option<LatestDeploy>,
}

/// The last rollback of a service.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LastRollback {
    /// Which one.
    pub id: RollbackId,
    /// When it ended.
    pub ended_at: Timestamp,
}

impl LastRollback {
    /// Names it.
    #[must_use]
    pub const fn new(id: RollbackId, ended_at: Timestamp) -> Self {
        Self { id, ended_at }
    }
}

/// The newest deploy that was reported.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LatestDeploy {
    /// Which one.
    pub id: DeployId,
    /// The revision that went live, if it is known.
    pub revision: Option<RevisionId>,
    /// When it went live.
    pub deployed_at: Timestamp,
}

impl LatestDeploy {
    /// Names it.
    #[must_use]
    pub const fn new(id: DeployId, revision: Option<RevisionId>, deployed_at: Timestamp) -> Self {
        Self { id, revision, deployed_at }
    }
}

/// A time in which nothing may be changed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Freeze {
    /// Its name.
    pub name: Label,
    /// From when on.
    pub from: Timestamp,
    /// Until when; without an end until it is lifted.
    pub until: Option<Timestamp>,
    /// Why, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Who set it, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Label>,
}

impl Freeze {
    /// A freeze or a lock.
    #[must_use]
    pub fn new(name: impl Into<Label>, from: Timestamp, until: Option<Timestamp>) -> Self {
        Self { name: name.into(), from, until, reason: None, by: None }
    }

    /// Whether it holds at `now`; its end is no longer part of it.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        now >= self.from && self.until.is_none_or(|until| now < until)
    }
}

/// What a source of the host's own says about one of its guards.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Read", into = "Written")]
#[expect(clippy::exhaustive_enums, reason = "as the verdicts; not knowing is an unknown fact")]
pub enum Reading {
    /// The guard holds; with what that means, in words for people.
    Holds(Option<String>),
    /// It holds for whoever acknowledges this.
    Warns(Explanation),
    /// It does not hold.
    Blocks(Explanation),
}

impl Reading {
    /// The guard holds.
    #[must_use]
    pub const fn holds() -> Self {
        Self::Holds(None)
    }

    /// It holds, which means this: `the error budget is not spent`.
    #[must_use]
    pub fn holds_since(promise: impl Into<String>) -> Self {
        Self::Holds(Some(promise.into()))
    }

    /// It does not hold: what is the matter, and what to do next.
    #[must_use]
    pub fn blocks(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Blocks(Explanation::new(what, next))
    }

    /// It holds for whoever acknowledges this: what is the matter, and what to do next.
    #[must_use]
    pub fn warns(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Warns(Explanation::new(what, next))
    }
}

/// A reading as it is written.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    Holds,
    HoldsSince(String),
    Warns(Explanation),
    Blocks(Explanation),
}

/// A reading as it was written, now or by the first release.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Read {
    Holds,
    HoldsSince(String),
    Warns(Explanation),
    Blocks(Explanation),
    Violated(String),
}

impl From<Reading> for Written {
    fn from(reading: Reading) -> Self {
        match reading {
            Reading::Holds(None) => Self::Holds,
            Reading::Holds(Some(promise)) => Self::HoldsSince(promise),
            Reading::Warns(explanation) => Self::Warns(explanation),
            Reading::Blocks(explanation) => Self::Blocks(explanation),
        }
    }
}

impl From<Read> for Reading {
    fn from(read: Read) -> Self {
        match read {
            Read::Holds => Self::Holds(None),
            Read::HoldsSince(promise) => Self::Holds(Some(promise)),
            Read::Warns(explanation) => Self::Warns(explanation),
            Read::Blocks(explanation) => Self::Blocks(explanation),
            Read::Violated(what) => {
                Self::blocks(what, "see the guard's own documentation, then click again")
            }
        }
    }
}

/// Everything the guards look at.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Facts {
    /// What is live.
    pub live: Fact<Live>,
    /// The deploy history, newest first.
    pub history: Fact<Vec<Revision>>,
    /// Whether the CD system would take the rollback.
    pub preflight: Fact<Preflight>,
    /// What we know ourselves.
    pub record: Fact<ServiceRecord>,
    /// The freezes and locks of the service.
    pub freezes: Fact<Vec<Freeze>>,
    /// What the host's own sources say, by guard.
    #[serde(default)]
    pub custom: BTreeMap<GuardName, Fact<Reading>>,
}

impl Facts {
    /// Nothing is known, and why. The start from which a gatherer fills in what it sees.
    #[must_use]
    pub fn unknown(why: &str) -> Self {
        Self {
            live: Fact::unknown(why),
            history: Fact::unknown(why),
            preflight: Fact::unknown(why),
            record: Fact::unknown(why),
            freezes: Fact::unknown(why),
            custom: BTreeMap::new(),
        }
    }

    /// When the oldest known fact was observed. What is decided on facts is good no longer than
    /// that one.
    #[must_use]
    pub fn oldest(&self) -> Option<Timestamp> {
        [
            self.live.observed_at(),
            self.history.observed_at(),
            self.preflight.observed_at(),
            self.record.observed_at(),
            self.freezes.observed_at(),
        ]
        .into_iter()
        .chain(self.custom.values().map(Fact::observed_at))
        .flatten()
        .min()
    }
}
