//! The journal is the truth: what is stored is what happened, never what was concluded from it.
//! A replay takes every event through the same checks again.

use crate::audit::{BackendEntry, Draft};
use crate::event::{Effect, Event};
use crate::id::{DeployId, Label, Reason, RollbackId};
use crate::machine::{Rollback, Transition};
use crate::model::{Actor, Deployer, Plan};
use crate::policy::Policy;
use crate::time::Timestamp;
use crate::view::{Proposer, Purpose};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Most entries a journal may have. A rollback that watches a chatty CD system for half an hour
/// writes about 2,000; more than this is a fault that must not fill the disk.
pub const ENTRIES_MAX: usize = 20_000;

/// The first entry: everything that a replay needs besides the events.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Opening {
    /// Which rollback.
    pub id: RollbackId,
    /// What it would do, pinned.
    pub plan: Plan,
    /// What it is held to, pinned.
    pub policy: Policy,
    /// How it came about.
    pub origin: Origin,
    /// Whether the order is really sent.
    #[serde(default)]
    pub purpose: Purpose,
    /// The deploy whose message it belongs to.
    #[serde(default)]
    pub deploy: Option<DeployId>,
    /// Who had deployed what is rolled back.
    #[serde(default)]
    pub deployer: Option<Deployer>,
    /// The backend that would carry it out, and what it declared.
    pub backend: BackendEntry,
    /// When it was opened.
    pub at: Timestamp,
    /// The version of the rules that it is judged by. A journal without one is of the first.
    #[serde(default = "Rules::first")]
    pub rules: Rules,
}

/// The version of the rules that a rollback is judged by, named in its opening: a newer release
/// replays an older journal by the rules under which its steps were decided.
///
/// A change that makes the machine decide an ordinary event otherwise than before gets a version of
/// its own, and asks for it: `if turn.opening.rules >= Rules::V2`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rules {
    /// Journals that name no version.
    V1,
    /// Deadlines count only once they are reached; an end after the order rests on what is live.
    V2,
}

impl Rules {
    /// The rules that a rollback is judged by which is opened now.
    pub const LATEST: Self = Self::V2;

    const fn first() -> Self {
        Self::V1
    }
}

/// How a rollback came about.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a new origin must say who is asked to click")]
pub enum Origin {
    /// Somebody clicked the button of a deploy message.
    Click(Actor),
    /// Somebody or something proposed it.
    Proposal {
        /// Who.
        by: Proposer,
        /// Why.
        reason: Reason,
    },
}

impl Opening {
    /// Opens a journal for a real rollback of no particular deploy.
    #[must_use]
    pub const fn new(
        id: RollbackId,
        plan: Plan,
        policy: Policy,
        origin: Origin,
        backend: BackendEntry,
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            plan,
            policy,
            origin,
            purpose: Purpose::Real,
            deploy: None,
            deployer: None,
            backend,
            at,
            rules: Rules::LATEST,
        }
    }
}

/// One event, and when it was taken.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}

impl Entry {
    /// Records an event.
    #[must_use]
    pub const fn new(at: Timestamp, event: Event) -> Self {
        Self { at, event }
    }
}

/// Everything that one step of a replay gave.
#[derive(Debug)]
#[non_exhaustive]
pub struct Replayed {
    /// The rollback as it stands.
    pub rollback: Rollback,
    /// Every effect that was asked for, in order, with the step that asked.
    pub effects: Vec<(u64, Effect)>,
    /// Every audit record that was due, in order.
    pub drafts: Vec<Draft>,
}

/// Replays a journal. Proofs are not loaded: the checks that make them run again.
#[must_use]
pub fn replay(opening: Opening, entries: impl IntoIterator<Item = Entry>) -> Rollback {
    let Transition { mut rollback, .. } = Rollback::open(opening);
    for Entry { at, event } in entries {
        rollback = rollback.step(at, event).rollback;
    }
    rollback
}

/// Replays a journal and keeps everything it asked for, for tests and for verification.
#[must_use]
pub fn replay_whole(opening: Opening, entries: impl IntoIterator<Item = Entry>) -> Replayed {
    let Transition { mut rollback, effects, mut drafts, .. } = Rollback::open(opening);
    let mut all: Vec<(u64, Effect)> = effects.into_iter().map(|effect| (0, effect)).collect();
    for Entry { at, event } in entries {
        let step = rollback.step(at, event);
        rollback = step.rollback;
        let number = rollback.steps();
        all.extend(step.effects.into_iter().map(|effect| (number, effect)));
        drafts.extend(step.drafts);
    }
    Replayed { rollback, effects: all, drafts }
}

/// The identity of an audit record: the same step and place always give the same one.
pub(crate) fn draft_id(rollback: &RollbackId, step: u64, place: usize) -> Label {
    Label::new(alloc::format!("{rollback}/{step}/{place}"))
}
