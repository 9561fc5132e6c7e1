//! The journal is the truth: what is stored is what happened, never what was concluded from it.
//! A replay takes every event through the same checks again.

use crate::audit::{BackendEntry, Draft, Hash};
use crate::event::{Effect, Event};
use crate::id::{DeployId, Label, Reason, RollbackId};
use crate::machine::{Disposition, Rollback, Transition};
use crate::model::{Actor, Deployer, Plan};
use crate::policy::Policy;
use crate::store::{Journal, Listed};
use crate::time::Timestamp;
use crate::view::{Cause, Proposer, Purpose, RollbackView, StateName};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
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
    /// What was asked for, of a proposal under a key: a digest, by which a repeat is told from another
    /// request under the same key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Hash>,
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
    /// A deadline counts only once it is reached; an order in doubt lasts for `doubt_within`; a rollback
    /// may run past `run_within`, and a CD system that is silent about it is told; a failure or a
    /// cancellation is followed by a look at what is live; approvers are checked again before the
    /// order, on facts read since the last approval; `newer_deploy` goes by what is live; a `Standing`
    /// must name its user.
    V2,
    /// An order in doubt that a person settled is still asked about where the CD system can fence; whoever
    /// was paged is told once they are not needed any more.
    V3,
}

impl Rules {
    /// The rules for newly opened rollbacks.
    pub const LATEST: Self = Self::V3;

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
            request: None,
        }
    }
}

/// One event, when it was taken, and what became of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Event,
    /// What the step came to when it was stored. Journals of the first release do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came_to: Option<CameTo>,
}

impl Entry {
    /// Records an event of which it is not known what it came to.
    #[must_use]
    pub const fn new(at: Timestamp, event: Event) -> Self {
        Self { at, event, came_to: None }
    }

    /// Records an event with what it came to.
    #[must_use]
    pub fn decided(at: Timestamp, event: Event, transition: &Transition) -> Self {
        Self { at, event, came_to: CameTo::of(transition) }
    }
}

/// What a step came to: a replay that comes to something else judges by other rules.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CameTo {
    /// The state after it.
    state: StateName,
    /// Whether the event counted.
    #[serde(default, skip_serializing_if = "Counted::is_applied")]
    event: Counted,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Counted {
    #[default]
    Applied,
    Declined,
}

impl Counted {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_applied(&self) -> bool {
        *self == Self::Applied
    }
}

impl CameTo {
    /// None for an event that was ignored: it leaves no trace, and is never stored.
    fn of(transition: &Transition) -> Option<Self> {
        let event = match &transition.disposition {
            Disposition::Applied => Counted::Applied,
            Disposition::Declined(_) => Counted::Declined,
            Disposition::Ignored(_) => return None,
        };
        Some(Self { state: transition.rollback.state_name(), event })
    }
}

impl fmt::Display for CameTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.event {
            Counted::Applied => write!(f, "`{}`", self.state.as_str()),
            Counted::Declined => write!(f, "`{}`, and was declined", self.state.as_str()),
        }
    }
}

/// Where a replay and what is stored differ. The rules of this release are not those that the
/// rollback was judged by, or what is stored was changed by hand.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// A stored event leaves no trace, or leads elsewhere.
    #[error("entry {entry} of its journal led to {stored}, and this release {replayed}")]
    Entry {
        /// Which, from 1.
        entry: u64,
        /// What it came to when it was stored.
        stored: String,
        /// What this release makes of it.
        replayed: String,
    },
    /// The rollback stands otherwise at the end.
    #[error("its {what} is stored as `{stored}`, and its journal replays to `{replayed}`")]
    End {
        /// What differs.
        what: &'static str,
        /// What is stored.
        stored: String,
        /// What the replay gives.
        replayed: String,
    },
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

/// Replays a journal as the store has it, and insists that it comes to what was stored: each entry to
/// what it came to then, and all of them to how the rollback is listed.
///
/// # Errors
///
/// [`Mismatch`] with the first difference. Nothing must be done for such a rollback: what this
/// release would do next is not what follows from what was done before.
pub fn resume(journal: Journal, listed: &Listed) -> Result<Rollback, Mismatch> {
    let Transition { mut rollback, .. } = Rollback::open(journal.opening);
    for (number, entry) in (1_u64..).zip(journal.entries) {
        let Entry { at, event, came_to } = entry;
        let step = rollback.step(at, event);
        compare(number, came_to, &step)?;
        rollback = step.rollback;
    }
    differs(&listed.view, &rollback.view())?;
    let flags = [
        ("hold on its service", listed.holds_service, rollback.holds_service()),
        ("order", listed.was_ordered, rollback.was_ordered()),
    ];
    for (what, stored, replayed) in flags {
        same(what, if stored { "yes" } else { "no" }, if replayed { "yes" } else { "no" })?;
    }
    Ok(rollback)
}

/// Whether a stored entry comes to what it came to when it was stored.
///
/// # Errors
///
/// [`Mismatch`] when it does not, or leaves no trace.
pub fn compare(number: u64, stored: Option<CameTo>, step: &Transition) -> Result<(), Mismatch> {
    let replayed = CameTo::of(step);
    if replayed.is_some() && (stored.is_none() || stored == replayed) {
        return Ok(());
    }
    Err(Mismatch::Entry {
        entry: number,
        stored: stored.map_or_else(|| "a step".to_string(), |came_to| came_to.to_string()),
        replayed: replayed.map_or_else(
            || "ignores it".to_string(),
            |came_to| alloc::format!("leads to {came_to}"),
        ),
    })
}

/// Whether two views are of a rollback that stands alike. Words are not compared: they may be
/// improved.
///
/// # Errors
///
/// [`Mismatch`] with the first difference.
pub fn differs(stored: &RollbackView, replayed: &RollbackView) -> Result<(), Mismatch> {
    same("state", stored.state.as_str(), replayed.state.as_str())?;
    for ((what, stored), (_, replayed)) in standing(stored).into_iter().zip(standing(replayed)) {
        same(what, &stored, &replayed)?;
    }
    Ok(())
}

fn same(what: &'static str, stored: &str, replayed: &str) -> Result<(), Mismatch> {
    if stored == replayed {
        return Ok(());
    }
    Err(Mismatch::End { what, stored: stored.into(), replayed: replayed.into() })
}

/// How a rollback stands, in what no release may say otherwise.
fn standing(view: &RollbackView) -> [(&'static str, String); 11] {
    fn written(value: Option<impl fmt::Display>) -> String {
        value.map_or_else(|| "none".to_string(), |value| value.to_string())
    }
    let approvers: Vec<&str> = view.approved_by.iter().map(|actor| actor.id.as_str()).collect();
    // Stopping at a mismatch is no event of the journal.
    let aside = view.put_aside.filter(|aside| aside.cause == Cause::Crashes);
    let phase = view.progress.as_ref().map(|progress| alloc::format!("{:?}", progress.phase));
    [
        ("number of steps", view.steps.to_string()),
        ("service", view.key.to_string()),
        ("revision to leave", view.from.revision.to_string()),
        ("revision to return to", view.to.revision.to_string()),
        ("requester", written(view.requested_by.as_ref().map(|actor| &actor.id))),
        ("approvers", approvers.join(", ")),
        ("execution", written(view.execution.as_ref().map(|execution| &execution.id))),
        ("phase", written(phase)),
        ("end", written(view.ended_at)),
        ("settlement", view.settled.to_string()),
        ("quarantine", aside.is_some().to_string()),
    ]
}

/// Replays a journal and compares it with nothing: for what is not stored. Proofs are not loaded:
/// the checks that make them run again.
#[must_use]
pub fn replay(opening: Opening, entries: impl IntoIterator<Item = Entry>) -> Rollback {
    let Transition { mut rollback, .. } = Rollback::open(opening);
    for Entry { at, event, .. } in entries {
        rollback = rollback.step(at, event).rollback;
    }
    rollback
}

/// Replays a journal and keeps everything it asked for, for tests and for verification.
#[must_use]
pub fn replay_whole(opening: Opening, entries: impl IntoIterator<Item = Entry>) -> Replayed {
    let Transition { mut rollback, effects, mut drafts, .. } = Rollback::open(opening);
    let mut all: Vec<(u64, Effect)> = effects.into_iter().map(|effect| (0, effect)).collect();
    for Entry { at, event, .. } in entries {
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
