//! The real machine as a table: each state that a rollback was ever in has a number, and each step
//! is taken by [`Rollback::step`] once.
//!
//! That is sound because a step is a pure function: the same state, time and event always give the
//! same. Two states are one when everything about them is the same but how many events led there.
//! The time of a step follows from the state and the event (see [`Ev::delay`]), so that the table is
//! finite. Each step that counted is judged by the checker as it is entered, on the journal that led
//! to it and the audit records that it asks for.

use crate::event::{Ev, Who};
use crate::world::Cd;
use rollback_core::audit::Head;
use rollback_core::journal::{Entry, Opening};
use rollback_core::ports::Journal;
use rollback_core::{
    Disposition, Effect, Rollback, Sending, State, StateName, Timestamp, Transition,
};
use rollback_verify::{Evidence, Scope, judge};
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The number of a state.
pub type Id = u32;

/// What a state waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, clippy::exhaustive_enums, reason = "the effects of the core, by name")]
pub enum Wait {
    Nothing,
    Standing,
    Facts,
    Intent,
    Rehearse,
    Reconcile,
    Observe,
    Verify,
    Watch,
}

/// What the world needs to know of a state.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    clippy::struct_excessive_bools,
    reason = "the world reads it; each is a question with two answers"
)]
pub struct Info {
    /// Its name.
    pub name: StateName,
    /// Whether the rollback holds its service.
    pub holds: bool,
    /// What it waits for.
    pub wait: Wait,
    /// Whether its order is in doubt.
    pub in_doubt: bool,
    /// Whether it waits for somebody to confirm.
    pub shown: bool,
    /// Whether somebody has asked the CD system to cancel.
    pub cancelling: bool,
    /// Whether people were told that it takes longer than its limit.
    pub overdue: bool,
    /// Whether the CD system is silent about what it carries out.
    pub silent: bool,
    /// Who asked for it.
    pub requester: Option<Who>,
    /// Whether its order was given.
    pub was_ordered: bool,
    /// The time of its last step, and its deadline.
    pub last: Timestamp,
    /// See [`Self::last`].
    pub deadline: Option<Timestamp>,
}

/// What kind of rollback it is: which of the two, the CD system, how many must approve, whether it
/// was proposed and whether it is a drill.
pub(crate) type Kind = (usize, Cd, u8, bool, bool);

/// What a step did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the world reads it")]
pub struct Step {
    /// The state after it.
    pub next: Id,
    /// Whether it is to be stored.
    pub counted: bool,
    /// Whether it was declined, and somebody told so.
    pub declined: bool,
    /// Whether it gave an order.
    pub ordered: bool,
    /// The violation that the checker found in the journal: its place in [`Table::found`].
    pub broken: Option<u32>,
}

/// A quick hash of small keys: they are all of our own making, and looked up a hundred million times.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(u64::try_from(number).unwrap_or_default());
    }
}

#[derive(Debug)]
struct Path {
    opening: usize,
    events: Vec<(Timestamp, Ev)>,
}

/// Every state and every step that were asked for, and the machine behind them. A clone asks the same
/// machine: what one has asked, the other is told without a step.
#[derive(Clone, Debug, Default)]
pub struct Table {
    infos: Vec<Info>,
    steps: HashMap<(Id, Ev), Step, BuildHasherDefault<Quick>>,
    /// Where each kind of rollback begins.
    pub(crate) begun: HashMap<Kind, Id, BuildHasherDefault<Quick>>,
    machine: Arc<Mutex<Machine>>,
}

/// Every state and every step that were ever taken.
#[derive(Debug, Default)]
struct Machine {
    openings: Vec<Opening>,
    numbers: HashMap<(usize, String), Id>,
    infos: Vec<Info>,
    paths: Vec<Path>,
    steps: HashMap<(Id, Ev), Step, BuildHasherDefault<Quick>>,
    found: Vec<String>,
    seen: BTreeSet<String>,
}

impl Table {
    /// An empty table, with a machine of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a rollback.
    pub fn open(&mut self, opening: &Opening) -> Id {
        let id = self.machine().open(opening);
        self.learn();
        id
    }

    /// What is known of a state.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a number comes from the table")]
    pub fn info(&self, id: Id) -> &Info {
        &self.infos[index(id)]
    }

    /// How many states and steps the machine has taken.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let machine = self.machine();
        (machine.infos.len(), machine.steps.len())
    }

    /// What the checker found, in words, by its place.
    #[must_use]
    pub fn found(&self, place: u32) -> Option<String> {
        self.machine().found.get(index(place)).cloned()
    }

    /// The names of the states, the reasons of refusals and the dispositions that were seen.
    #[must_use]
    pub fn seen(&self) -> BTreeSet<String> {
        self.machine().seen.clone()
    }

    /// Takes a step: looked up, or taken by the real machine.
    pub fn step(&mut self, id: Id, ev: Ev) -> Step {
        if let Some(step) = self.steps.get(&(id, ev)) {
            return *step;
        }
        let step = self.machine().step(id, ev);
        self.learn();
        self.steps.insert((id, ev), step);
        step
    }

    /// The machine may have entered new states, for whichever table.
    fn learn(&mut self) {
        let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let new = machine.infos.get(self.infos.len()..).unwrap_or_default();
        self.infos.extend_from_slice(new);
    }
}

impl Machine {
    fn open(&mut self, opening: &Opening) -> Id {
        let number = self.openings.iter().position(|known| known == opening);
        let number = number.unwrap_or_else(|| {
            self.openings.push(opening.clone());
            self.openings.len() - 1
        });
        let rollback = Rollback::open(opening.clone()).rollback;
        self.enter(Path { opening: number, events: Vec::new() }, &rollback)
    }

    fn step(&mut self, id: Id, ev: Ev) -> Step {
        if let Some(step) = self.steps.get(&(id, ev)) {
            return *step;
        }
        let step = self.take(id, ev);
        self.steps.insert((id, ev), step);
        step
    }

    /// The journal that led to a state, with one event more.
    #[expect(clippy::indexing_slicing, reason = "a number comes from the table")]
    fn journal(&self, id: Id, then: Option<Ev>) -> Journal {
        let path = &self.paths[index(id)];
        let info = &self.infos[index(id)];
        let mut entries: Vec<Entry> =
            path.events.iter().map(|(at, ev)| Entry::new(*at, ev.real(*at))).collect();
        if let Some(ev) = then {
            let now = info.last.after(ev.delay(info.last, info.deadline));
            entries.push(Entry::new(now, ev.real(now)));
        }
        Journal::new(self.openings[path.opening].clone(), entries)
    }

    #[expect(clippy::indexing_slicing, reason = "a number comes from the table")]
    fn take(&mut self, id: Id, ev: Ev) -> Step {
        let info = &self.infos[index(id)];
        let now = info.last.after(ev.delay(info.last, info.deadline));
        let journal = self.journal(id, None);
        let before = rollback_core::journal::replay(journal.opening, journal.entries);
        let transition = before.step(now, ev.real(now));
        let (disposition, ordered) = said(&transition);
        self.seen.insert(disposition);
        let nothing = Step { next: id, counted: false, declined: false, ordered, broken: None };
        if matches!(transition.disposition, Disposition::Ignored(_)) {
            return nothing;
        }
        let declined = matches!(transition.disposition, Disposition::Declined(_));
        let broken = self.judge(&self.journal(id, Some(ev)), &transition.rollback);
        // What was declined changes nothing but the count of events.
        if declined {
            return Step { declined, broken, ..nothing };
        }
        let path = &self.paths[index(id)];
        let mut events = path.events.clone();
        events.push((now, ev));
        let path = Path { opening: path.opening, events };
        let next = self.enter(path, &transition.rollback);
        Step { next, counted: true, declined, ordered, broken }
    }

    fn judge(&mut self, journal: &Journal, rollback: &Rollback) -> Option<u32> {
        let whole = rollback_core::journal::replay_whole(
            journal.opening.clone(),
            journal.entries.iter().cloned(),
        );
        let mut head = Head::genesis("model");
        let mut evidence = Evidence { chain: "model".into(), ..Evidence::default() };
        for draft in whole.drafts {
            let record = head.append(draft).ok()?;
            head = Head::after(&record);
            evidence.records.push(record);
        }
        evidence.views.push(rollback.view());
        evidence.journals.push(journal.clone());
        let first = judge(&evidence, Scope::Store).found.into_iter().next()?;
        self.found.push(first.to_string());
        u32::try_from(self.found.len() - 1).ok()
    }

    fn enter(&mut self, path: Path, rollback: &Rollback) -> Id {
        let key = (path.opening, image(rollback));
        if let Some(id) = self.numbers.get(&key) {
            return *id;
        }
        let id = Id::try_from(self.infos.len()).unwrap_or(Id::MAX);
        let info = Info::of(rollback);
        self.seen.insert(format!("state {}", info.name));
        if info.overdue {
            self.seen.insert(format!("overdue {}", info.name));
        }
        if info.silent {
            self.seen.insert("silent".to_owned());
        }
        if info.name.is_end() && info.was_ordered {
            let explanation = rollback.view().explanation;
            for said in FOUND.into_iter().filter(|said| explanation.contains(said)) {
                self.seen.insert(format!("{}: {said}", info.name));
            }
        }
        if info.name == StateName::Refused {
            for guard in rollback.view().guards {
                self.seen.insert(format!("refused by {}: {}", guard.name, guard.verdict));
            }
        }
        self.numbers.insert(key, id);
        self.infos.push(info);
        self.paths.push(path);
        id
    }
}

/// What an end that was no success can say of what is live, and what is heard after a silence.
const FOUND: [&str; 5] =
    ["live after all", "nothing changed", "neither", "could not be read", "answers again"];

fn index(id: Id) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

fn said(transition: &Transition) -> (String, bool) {
    let ordered = transition.effects.iter().any(|effect| matches!(effect, Effect::Trigger(_)));
    let said = match &transition.disposition {
        Disposition::Applied => "applied".to_owned(),
        Disposition::Declined(declined) => {
            let words = format!("declined {declined:?}");
            words.split([' ', '{']).take(2).collect::<Vec<_>>().join(" ")
        }
        Disposition::Ignored(why) => format!("ignored {why:?}"),
    };
    (said, ordered)
}

/// Everything about a rollback but its opening and how many events it took.
fn image(rollback: &Rollback) -> String {
    let Ok(mut value) = serde_json::to_value(rollback) else { return String::new() };
    if let Some(fields) = value.as_object_mut() {
        fields.remove("steps");
        fields.remove("opening");
    }
    value.to_string()
}

impl Info {
    fn of(rollback: &Rollback) -> Self {
        let view = rollback.view();
        let requester = view
            .requested_by
            .as_ref()
            .and_then(|actor| Who::ALL.into_iter().find(|who| who.person().actor().is(actor)));
        Self {
            name: rollback.state_name(),
            holds: rollback.holds_service(),
            wait: wait(rollback),
            in_doubt: matches!(rollback.state(), State::Triggering(_, Sending::InDoubt(_))),
            shown: rollback.state_name() == StateName::Confirming && !view.guards.is_empty(),
            cancelling: rollback.pending().iter().any(|e| matches!(e, Effect::Cancel(..))),
            overdue: view.overdue,
            silent: view.silent_since.is_some(),
            requester,
            was_ordered: rollback.was_ordered(),
            last: time(rollback),
            deadline: rollback.deadline(),
        }
    }
}

/// The time of the last step, which the machine shows in its image alone.
fn time(rollback: &Rollback) -> Timestamp {
    let now = serde_json::to_value(rollback).ok().and_then(|value| value.get("now").cloned());
    now.and_then(|now| serde_json::from_value(now).ok()).unwrap_or_else(|| rollback.opening().at)
}

fn wait(rollback: &Rollback) -> Wait {
    let of = |effect: &Effect| match effect {
        Effect::ObserveStanding(_) => Some(Wait::Standing),
        Effect::GatherFacts => Some(Wait::Facts),
        Effect::RecordIntent => Some(Wait::Intent),
        Effect::Rehearse(_) => Some(Wait::Rehearse),
        Effect::Reconcile(_) => Some(Wait::Reconcile),
        Effect::Observe(..) => Some(Wait::Observe),
        Effect::Verify(..) => Some(Wait::Verify),
        Effect::WatchForLateEffect(_) => Some(Wait::Watch),
        Effect::Trigger(_) | Effect::Cancel(..) | Effect::Tell(_) => None,
    };
    rollback.pending().iter().find_map(of).unwrap_or(Wait::Nothing)
}
