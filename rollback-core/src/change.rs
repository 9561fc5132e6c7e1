//! Freezes, and marks on bad revisions: who may set them, and what is recorded.

use crate::access::{Access, Denial, Duty, Moment, Route, Standing};
use crate::audit::{ActorEntry, ChangeEntry, Draft, Kind};
use crate::fact::CLOCK_SKEW_MAX;
use crate::id::{LABEL_LENGTH_MAX, Label, Reason, RevisionId};
use crate::model::{Actor, ServiceKey};
use crate::observed::Freeze;
use crate::time::Timestamp;
use crate::view::Proposer;
use crate::words;
use alloc::format;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// A change of what holds for a service.
///
/// ```
/// use rollback_core::{Label, Reason, ServiceChange};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let change = ServiceChange::Freeze {
///     name: Label::new("black friday"),
///     until: None,
///     reason: Reason::parse("no change before Monday")?,
/// };
/// assert_eq!(change.kind().as_str(), "frozen");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "each store must know how to keep a new one")]
pub enum ServiceChange {
    /// No rollback of the service from now on.
    Freeze {
        /// Its name: the same name again takes its place.
        name: Label,
        /// Until when; without an end until it is lifted.
        until: Option<Timestamp>,
        /// Why, as refusals will say.
        reason: Reason,
    },
    /// Lifts a freeze.
    Unfreeze {
        /// Its name.
        name: Label,
        /// Why; whoever may only through break-glass must say so.
        reason: Option<Reason>,
    },
    /// A revision is no target.
    MarkBad {
        /// Which.
        revision: RevisionId,
        /// Why, as refusals will say.
        reason: Reason,
    },
    /// A revision that was marked bad may be a target again.
    UnmarkBad {
        /// Which.
        revision: RevisionId,
        /// Why; whoever may only through break-glass must say so.
        reason: Option<Reason>,
    },
}

impl ServiceChange {
    /// How the audit record calls it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Freeze { .. } => Kind::Frozen,
            Self::Unfreeze { .. } => Kind::Unfrozen,
            Self::MarkBad { .. } => Kind::MarkedBad,
            Self::UnmarkBad { .. } => Kind::UnmarkedBad,
        }
    }

    /// Why, where that is asked for.
    #[must_use]
    pub const fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Freeze { reason, .. } | Self::MarkBad { reason, .. } => Some(reason),
            Self::Unfreeze { reason, .. } | Self::UnmarkBad { reason, .. } => reason.as_ref(),
        }
    }

    fn entry(&self) -> ChangeEntry {
        let mut entry = ChangeEntry::default();
        match self {
            Self::Freeze { name, until, .. } => {
                (entry.freeze, entry.until) = (Some(name.clone()), *until);
            }
            Self::Unfreeze { name, .. } => entry.freeze = Some(name.clone()),
            Self::MarkBad { revision, .. } | Self::UnmarkBad { revision, .. } => {
                entry.revision = Some(revision.clone());
            }
        }
        entry
    }
}

/// Who changes it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "each is authorized and shown differently")]
pub enum Changer {
    /// A person, authorized by the access policy.
    Person(Actor),
    /// A machine, authorized by its token.
    Machine(Proposer),
}

impl Changer {
    /// What they are called: their name, or else their id.
    #[must_use]
    pub fn name(&self) -> Label {
        match self {
            Self::Person(Actor { id, name, .. }) => {
                name.clone().unwrap_or_else(|| Label::new(id.as_str()))
            }
            Self::Machine(Proposer { id, name, .. }) => name.clone().unwrap_or_else(|| id.clone()),
        }
    }

    fn entry(&self) -> ActorEntry {
        match self {
            Self::Person(actor) => actor.into(),
            Self::Machine(proposer) => proposer.into(),
        }
    }
}

/// A service was changed, as people are told of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ServiceChanged {
    /// The service.
    pub key: ServiceKey,
    /// What was changed.
    pub change: ServiceChange,
    /// By whom.
    pub by: Changer,
    /// When.
    pub at: Timestamp,
    /// Whether this is told to whoever is on call, because only the emergency group's rule allowed it.
    #[serde(default)]
    pub through_break_glass: bool,
}

impl ServiceChanged {
    /// Tells of a change.
    #[must_use]
    pub const fn new(key: ServiceKey, change: ServiceChange, by: Changer, at: Timestamp) -> Self {
        Self { key, change, by, at, through_break_glass: false }
    }
}

/// What the rules say of a change that a person asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "they may or they may not")]
pub enum Judged {
    /// They may, this way, with what is to be recorded.
    Allowed(Route, Draft),
    /// They may not, with what they are told and what is to be recorded.
    Denied(Denial, String, Draft),
}

/// Decides whether a person may change a service: whoever may ask for its rollback. `id` becomes the
/// identity of the record.
#[must_use]
pub fn judge(
    (key, change): (&ServiceKey, &ServiceChange),
    (actor, standing): (&Actor, &Standing),
    access: &Access,
    moment: Moment,
    id: Label,
) -> Judged {
    let decision = access.decide(Duty::Operate, actor, standing, moment);
    let denial = decision.verdict.as_ref().err();
    let kind = if denial.is_some() { Kind::Denied } else { change.kind() };
    let mut draft = recorded(id, kind, (key, change), &Changer::Person(actor.clone()), moment.now);
    draft.decision = Some(words::decision(decision.rule, denial));
    match decision.verdict {
        Ok(route) => Judged::Allowed(route, draft),
        Err(denial) => {
            let text = words::denied(key, Duty::Operate, &denial, access);
            draft.explanation = Some(text.clone());
            Judged::Denied(denial, text, draft)
        }
    }
}

/// The record of a change that a machine makes, whose token may: `rule` says which one.
#[must_use]
pub fn by_a_machine(
    (key, change): (&ServiceKey, &ServiceChange),
    by: &Proposer,
    rule: &str,
    at: Timestamp,
    id: Label,
) -> Draft {
    let by = Changer::Machine(by.clone());
    let mut draft = recorded(id, change.kind(), (key, change), &by, at);
    draft.decision = Some(words::decision(rule, None));
    draft
}

fn recorded(
    id: Label,
    kind: Kind,
    (key, change): (&ServiceKey, &ServiceChange),
    by: &Changer,
    at: Timestamp,
) -> Draft {
    let mut draft = Draft::of_service(id, at, kind, key);
    draft.actor = Some(by.entry());
    draft.reason = change.reason().cloned();
    draft.change = Some(change.entry());
    draft
}

/// The freeze that a store keeps after this was recorded. It begins a little earlier: a process whose clock
/// is behind must not take it for one that is still to come.
#[must_use]
pub fn freeze(name: &Label, until: Option<Timestamp>, record: &Draft) -> Freeze {
    let from = record.at.before(CLOCK_SKEW_MAX);
    let mut freeze = Freeze::new(name.clone(), from, until);
    freeze.reason.clone_from(&record.reason);
    freeze.by = who(record);
    freeze
}

/// Why a revision is bad, as a store keeps it after this was recorded.
#[must_use]
pub fn why_bad(record: &Draft) -> Label {
    let why = record.reason.as_ref().map_or("no reason is recorded", Reason::as_str);
    match who(record) {
        Some(who) => {
            // A long reason does not push out who is to be asked about it.
            let room = LABEL_LENGTH_MAX.saturating_sub(who.as_str().len()).saturating_sub(3);
            let why: String = why.chars().take(room).collect();
            Label::new(format!("{why} ({who})"))
        }
        None => Label::new(why),
    }
}

fn who(record: &Draft) -> Option<Label> {
    let actor = record.actor.as_ref()?;
    Some(actor.name.clone().unwrap_or_else(|| actor.id.clone()))
}
