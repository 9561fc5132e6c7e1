//! The invariants, as predicates over what was seen: the log of everything below the engine, the
//! journals, the audit chain and the chat.
//!
//! The names are those of the project's list of invariants; those that a look from outside cannot
//! hold are not here. A checker that nothing was seen of finds nothing: insist on what was seen,
//! too.
//!
//! ```
//! use rollback_testkit::invariants::{Evidence, violations};
//! assert!(violations(&Evidence::default()).is_empty());
//! ```

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a predicate looks for one thing among everything that was seen"
)]

use crate::chat::Message;
use core::fmt;
use rollback_core::audit::{Kind, Record, Verifier};
use rollback_core::journal::Origin;
use rollback_core::notice::Notice;
use rollback_core::ports::{Commit, Instance, Journal};
use rollback_core::{
    Audience, Disposition, Effect, Event, Fact, Health, Label, Line, Plan, Purpose, RevisionId,
    Rollback, RollbackId, RollbackView, ServiceKey, StateName, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// Something seen below the engine.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "whatever is seen must be judged")]
pub enum Seen {
    /// A step was stored.
    Stored {
        /// Of this rollback.
        rollback: RollbackId,
        /// Of this service.
        key: ServiceKey,
        /// How many entries its journal has now.
        entries: u64,
        /// How it stands now.
        state: StateName,
        /// Whether it holds its service now.
        holds: bool,
        /// The fencing number of the claim it was stored under; a person's word needs none.
        fence: Option<u64>,
    },
    /// A rollback was claimed, or the claim on it renewed.
    Claimed {
        /// Which.
        rollback: RollbackId,
        /// By whom.
        owner: Instance,
        /// The fencing number.
        fence: u64,
    },
    /// An order went on its way.
    Sent {
        /// Of this rollback.
        rollback: RollbackId,
        /// What it says.
        plan: Box<Plan>,
        /// When.
        at: Timestamp,
    },
    /// An order changed what is live.
    TookEffect {
        /// Of this rollback.
        rollback: RollbackId,
        /// What was live at that moment.
        live: Option<RevisionId>,
    },
    /// Older orders were fenced off.
    Fenced {
        /// For this rollback.
        rollback: RollbackId,
    },
    /// A required audit sink kept a record.
    Kept {
        /// Which.
        record: Label,
    },
}

impl Seen {
    /// What is seen of a step that is stored.
    #[must_use]
    pub fn stored(commit: &Commit) -> Self {
        Self::Stored {
            rollback: commit.rollback.clone(),
            key: commit.view.key.clone(),
            entries: commit.expected + u64::from(commit.entry.is_some()),
            state: commit.view.state,
            holds: commit.holds_service,
            fence: commit.claim.as_ref().map(|claim| claim.fence),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored { rollback, entries, state, holds, fence, .. } => {
                write!(f, "stored   {rollback} #{entries} {state}, holds {holds}, under {fence:?}")
            }
            Self::Claimed { rollback, owner, fence } => {
                write!(f, "claimed  {rollback} by {} under {fence}", owner.as_str())
            }
            Self::Sent { rollback, plan, at } => {
                write!(f, "sent     {rollback} {} -> {} at {at}", plan.from(), plan.to())
            }
            Self::TookEffect { rollback, live } => write!(f, "effect   {rollback} on {live:?}"),
            Self::Fenced { rollback } => write!(f, "fenced   {rollback}"),
            Self::Kept { record } => write!(f, "kept     {record}"),
        }
    }
}

/// Whether everything has come to rest: then what should happen in the end must have happened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Rest {
    /// It has.
    Reached,
    /// It has not.
    #[default]
    NotYet,
}

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a test collects it field by field")]
pub struct Evidence {
    /// Everything below the engine, in its order.
    pub log: Vec<Seen>,
    /// Every journal.
    pub journals: Vec<Journal>,
    /// Every rollback as the store lists it.
    pub views: Vec<RollbackView>,
    /// The audit chain, and its name.
    pub records: Vec<Record>,
    /// The name of the audit chain.
    pub chain: Label,
    /// The chat.
    pub messages: Vec<Message>,
    /// Whether the CD system compares the live revision itself.
    pub compares: bool,
    /// How many notices still wait.
    pub waiting: usize,
    /// Whether everything has come to rest.
    pub rest: Rest,
}

/// An invariant that does not hold.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a name and the words for it")]
pub struct Violation {
    /// Which: `INV-01 …`.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// A predicate: what it finds, one line each.
type Check = fn(&Case<'_>) -> Vec<String>;

/// The names of the invariants that are held here.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

const ALL: &[(&str, Check)] = &[
    ("INV-01 an order is sent only for what its requester confirmed", sent_as_confirmed),
    ("INV-03 enough other people approved, each of them once", approved_by_others),
    ("INV-04 whoever asks is checked at the click and again before the order", checked_twice),
    ("INV-06 a rollback ends once", ends_once),
    ("INV-07 nothing a person says counts after the deadline", nothing_counts_late),
    ("INV-08 an order is sent only while every guard passes on fresh facts", guards_pass),
    ("INV-09 every end explains itself", ends_explained),
    ("INV-10 an order takes effect only on the revision that was shown", effect_on_shown),
    ("INV-11 the target is another revision, and was in the history", target_known),
    ("INV-12 one rollback at a time holds a service", one_at_a_time),
    ("INV-13 an order is stored before it is sent", stored_before_sent),
    ("INV-14 an order is sent once", sent_once),
    ("INV-16 an order takes effect once", effect_once),
    ("INV-17 a success is one effect, seen live and healthy", success_is_seen),
    ("INV-18 what was refused, denied or expired never takes effect", stopped_without_effect),
    ("INV-19 what was not executed was fenced off first", fenced_before_absent),
    ("INV-20 nothing takes effect after a definite end", no_late_effect),
    ("INV-21 a person clicked before anything was ordered", clicked_by_somebody),
    ("INV-22 fencing numbers grow with every owner", fences_grow),
    ("INV-23 only the owner of the moment stores what the engine did", stored_by_owner),
    ("INV-25 the journal replays to what is stored", replays_to_stored),
    ("INV-27 every order is between a record of intent and one of its outcome", audited_around),
    ("INV-28 the audit chain is whole", chain_is_whole),
    ("INV-29 the record of intent is kept before the order", audited_before),
    ("INV-30 who confirmed and who approved is on record", actors_on_record),
    ("INV-33 messages only go forward, and end at the last state", messages_go_forward),
    ("INV-33 a thread line appears once, in order", lines_once_in_order),
    ("INV-35 everything ends", everything_ends),
];

/// Every violation of every invariant.
#[must_use]
pub fn violations(evidence: &Evidence) -> Vec<Violation> {
    let case = Case::new(evidence);
    let found = ALL.iter().flat_map(|(invariant, check)| {
        check(&case).into_iter().map(|what| Violation { invariant, what })
    });
    found.collect()
}

/// Insists that every invariant holds.
///
/// # Panics
///
/// When one does not, with everything that was found.
pub fn assert_hold(evidence: &Evidence, context: &str) {
    let found = violations(evidence);
    if found.is_empty() {
        return;
    }
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    let log: Vec<String> = evidence.log.iter().map(ToString::to_string).collect();
    panic!("{context}\n{}\nseen:\n{}", lines.join("\n"), log.join("\n"));
}

/// One step of a journal, taken again.
#[derive(Debug)]
struct Step {
    at: Timestamp,
    event: Event,
    before: StateName,
    after: StateName,
    deadline_before: Option<Timestamp>,
    applied: bool,
}

/// One rollback: its journal, taken step by step.
#[derive(Debug)]
struct Walk<'a> {
    journal: &'a Journal,
    steps: Vec<Step>,
    lines: Vec<Line>,
    last: RollbackView,
    was_ordered: bool,
}

struct Case<'a> {
    evidence: &'a Evidence,
    walks: BTreeMap<&'a RollbackId, Walk<'a>>,
}

fn lines(effects: &[Effect]) -> Vec<Line> {
    let line = |effect: &Effect| match effect {
        Effect::Tell(Audience::Thread(line)) => Some(line.clone()),
        Effect::Tell(_)
        | Effect::ObserveStanding(_)
        | Effect::GatherFacts
        | Effect::RecordIntent
        | Effect::Trigger(_)
        | Effect::Rehearse(_)
        | Effect::Reconcile(_)
        | Effect::Observe(..)
        | Effect::Cancel(..)
        | Effect::Verify(..)
        | Effect::WatchForLateEffect(_) => None,
    };
    effects.iter().filter_map(line).collect()
}

impl<'a> Walk<'a> {
    fn new(journal: &'a Journal) -> Self {
        let opened = Rollback::open(journal.opening.clone());
        let mut told = lines(&opened.effects);
        let mut rollback = opened.rollback;
        let mut steps = Vec::new();
        for entry in &journal.entries {
            let (before, deadline_before) = (rollback.state_name(), rollback.deadline());
            let step = rollback.step(entry.at, entry.event.clone());
            told.extend(lines(&step.effects));
            steps.push(Step {
                at: entry.at,
                event: entry.event.clone(),
                before,
                after: step.rollback.state_name(),
                deadline_before,
                applied: step.disposition == Disposition::Applied,
            });
            rollback = step.rollback;
        }
        let (last, was_ordered) = (rollback.view(), rollback.was_ordered());
        Self { journal, steps, lines: told, last, was_ordered }
    }

    fn applied(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.applied)
    }

    fn id(&self) -> &RollbackId {
        &self.journal.opening.id
    }
}

impl<'a> Case<'a> {
    fn new(evidence: &'a Evidence) -> Self {
        let walks = evidence.journals.iter().map(|j| (&j.opening.id, Walk::new(j))).collect();
        Self { evidence, walks }
    }

    fn sent(&self) -> impl Iterator<Item = (usize, &RollbackId, &Plan, Timestamp)> {
        self.evidence.log.iter().enumerate().filter_map(|(place, seen)| match seen {
            Seen::Sent { rollback, plan, at } => Some((place, rollback, plan.as_ref(), *at)),
            Seen::Stored { .. }
            | Seen::Claimed { .. }
            | Seen::TookEffect { .. }
            | Seen::Fenced { .. }
            | Seen::Kept { .. } => None,
        })
    }

    /// The rollbacks of which an order was sent, with the place in the log and the time.
    fn sent_walks(&self) -> impl Iterator<Item = (usize, &Walk<'a>, &Plan, Timestamp)> {
        self.sent().filter_map(|(place, id, plan, at)| {
            self.walks.get(id).map(|walk| (place, walk, plan, at))
        })
    }

    fn effects(&self) -> impl Iterator<Item = (usize, &RollbackId, Option<&RevisionId>)> {
        self.evidence.log.iter().enumerate().filter_map(|(place, seen)| match seen {
            Seen::TookEffect { rollback, live } => Some((place, rollback, live.as_ref())),
            Seen::Stored { .. }
            | Seen::Claimed { .. }
            | Seen::Sent { .. }
            | Seen::Fenced { .. }
            | Seen::Kept { .. } => None,
        })
    }

    fn effects_of(&self, id: &RollbackId) -> usize {
        self.effects().filter(|(_, of, _)| *of == id).count()
    }

    fn records_of(&self, id: &RollbackId) -> impl Iterator<Item = &Record> {
        self.evidence.records.iter().filter(move |record| record.draft.operation_id == *id)
    }

    fn before(&self, place: usize) -> impl Iterator<Item = &Seen> {
        self.evidence.log.iter().take(place)
    }
}

fn sent_as_confirmed(case: &Case<'_>) -> Vec<String> {
    let confirmed = |walk: &Walk<'_>, plan: &Plan| {
        let asked = walk.last.requested_by.as_ref();
        walk.applied().any(|step| match &step.event {
            Event::ConfirmationGiven(given) => {
                step.before == StateName::Confirming
                    && matches!(step.after, StateName::Approving | StateName::Checking)
                    && asked.is_some_and(|asked| asked.is(&given.actor))
                    && given.shown == plan.pair()
            }
            _ => false,
        })
    };
    let mut found = Vec::new();
    for (_, id, plan, _) in case.sent() {
        match case.walks.get(id) {
            None => found.push(format!("an order of `{id}` was sent, which was never stored")),
            Some(walk) if *plan != walk.journal.opening.plan => {
                found.push(format!("the order of `{id}` says something else than its plan"));
            }
            Some(walk) if !confirmed(walk, plan) => {
                found.push(format!("the order of `{id}` was sent without a confirmation"));
            }
            Some(_) => {}
        }
    }
    found
}

fn approved_by_others(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (_, walk, _, _) in case.sent_walks() {
        let mut accounts = BTreeSet::new();
        let mut people = BTreeSet::new();
        let mut same = 0;
        for step in walk.applied() {
            let Event::ApprovalGiven(said) = &step.event else { continue };
            accounts.insert(said.actor.id.clone());
            if let Some(person) = said.standing.person()
                && !people.insert(person.clone())
            {
                same += 1;
            }
        }
        let own = walk.last.requested_by.as_ref().is_some_and(|by| accounts.contains(&by.id));
        let enough = accounts.len() >= usize::from(walk.last.approvals_min);
        if own || same > 0 || !enough {
            found.push(format!(
                "`{}`: approved by {accounts:?}, {} wanted, requester among them: {own}",
                walk.id(),
                walk.last.approvals_min
            ));
        }
    }
    found
}

fn checked_twice(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (_, walk, _, _) in case.sent_walks() {
        let click = walk.applied().any(|step| {
            step.before == StateName::Authorizing && step.after == StateName::Confirming
        });
        let again = walk.applied().any(|step| match &step.event {
            Event::FactsObserved(observation) => {
                step.before == StateName::Checking
                    && step.after == StateName::Recording
                    && observation.requester.profile.value().is_some()
            }
            _ => false,
        });
        if !click || !again {
            found.push(format!("`{}`: at the click {click}, before the order {again}", walk.id()));
        }
    }
    found
}

fn ends_once(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values() {
        let ends = walk.steps.iter().filter(|s| !s.before.is_end() && s.after.is_end()).count();
        let revived = walk.steps.iter().any(|s| s.before.is_end() && s.after != s.before);
        if ends > 1 || revived {
            found.push(format!("`{}` ended {ends} times, revived: {revived}", walk.id()));
        }
    }
    found
}

fn nothing_counts_late(case: &Case<'_>) -> Vec<String> {
    let late = |step: &&Step| {
        let asked = matches!(
            step.event,
            Event::Clicked(_) | Event::ConfirmationGiven(_) | Event::ApprovalGiven(_)
        );
        let moved = step.after != step.before
            && !matches!(step.after, StateName::Expired | StateName::Proposed);
        asked && moved && step.deadline_before.is_some_and(|deadline| step.at >= deadline)
    };
    let walks = case.walks.values();
    walks
        .flat_map(|walk| walk.applied().filter(late).map(|step| (walk.id(), step.before)))
        .map(|(id, state)| format!("`{id}` went on from {state} after its deadline"))
        .collect()
}

fn guards_pass(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (_, walk, _, at) in case.sent_walks() {
        let fresh = walk.journal.opening.policy.limits.fact_age_max;
        let observed = walk.applied().find_map(|step| match &step.event {
            Event::FactsObserved(observation) if step.before == StateName::Checking => {
                Some(observation)
            }
            _ => None,
        });
        let age = observed.and_then(|seen| seen.facts.oldest()).map(|oldest| at.since(oldest));
        let passed = !walk.last.guards.is_empty()
            && walk.last.guards.iter().all(|guard| guard.verdict.as_str() == "pass");
        if !passed || age.is_none_or(|age| age > fresh) {
            found.push(format!("`{}`: guards pass {passed}, facts are {age:?} old", walk.id()));
        }
    }
    found
}

fn ends_explained(case: &Case<'_>) -> Vec<String> {
    let silent = |walk: &&Walk<'_>| walk.last.state.is_end() && walk.last.explanation.is_empty();
    let walks = case.walks.values();
    walks.filter(silent).map(|walk| format!("`{}` ended without a word", walk.id())).collect()
}

fn effect_on_shown(case: &Case<'_>) -> Vec<String> {
    if !case.evidence.compares {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (_, id, live) in case.effects() {
        let from = case.walks.get(id).map(|walk| &walk.last.from.revision);
        if from.is_none() || from != live {
            found.push(format!("`{id}` took effect on {live:?}, not on {from:?}"));
        }
    }
    found
}

fn target_known(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (_, walk, plan, _) in case.sent_walks() {
        let target = &plan.to().revision;
        let known = walk.applied().any(|step| match &step.event {
            Event::FactsObserved(seen) => match &seen.facts.history {
                Fact::Known { value, .. } => value.iter().any(|revision| revision.id == *target),
                Fact::Unknown { .. } => false,
            },
            _ => false,
        });
        if !known || plan.from().revision == *target {
            found.push(format!("`{}` goes to `{target}`, known: {known}", walk.id()));
        }
    }
    found
}

fn one_at_a_time(case: &Case<'_>) -> Vec<String> {
    let mut holders: BTreeMap<&ServiceKey, &RollbackId> = BTreeMap::new();
    let mut found = Vec::new();
    for seen in &case.evidence.log {
        let Seen::Stored { rollback, key, holds, .. } = seen else { continue };
        match holders.get(key) {
            Some(holder) if *holder == rollback && !holds => {
                holders.remove(key);
            }
            Some(holder) if *holder != rollback && *holds => {
                found.push(format!("`{rollback}` holds {key}, and so does `{holder}`"));
            }
            None if *holds => {
                holders.insert(key, rollback);
            }
            Some(_) | None => {}
        }
    }
    found
}

fn stored_before_sent(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (place, id, _, _) in case.sent() {
        let last = case.before(place).filter_map(|seen| match seen {
            Seen::Stored { rollback, state, .. } if rollback == id => Some(*state),
            _ => None,
        });
        let last = last.last();
        if last != Some(StateName::Triggering) {
            found.push(format!("the order of `{id}` was sent in state {last:?}"));
        }
    }
    found
}

fn sent_once(case: &Case<'_>) -> Vec<String> {
    let mut sent: BTreeMap<&RollbackId, usize> = BTreeMap::new();
    for (_, id, _, _) in case.sent() {
        *sent.entry(id).or_default() += 1;
    }
    let often = sent.into_iter().filter(|(_, times)| *times > 1);
    often.map(|(id, times)| format!("the order of `{id}` was sent {times} times")).collect()
}

fn effect_once(case: &Case<'_>) -> Vec<String> {
    let often = case.walks.keys().map(|id| (id, case.effects_of(id))).filter(|(_, n)| *n > 1);
    often.map(|(id, times)| format!("`{id}` took effect {times} times")).collect()
}

fn success_is_seen(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values().filter(|walk| walk.last.state == StateName::Succeeded) {
        let effects = case.effects_of(walk.id());
        let ok = match walk.last.purpose {
            Purpose::Drill => effects == 0,
            Purpose::Real => {
                let good = walk.applied().last().is_some_and(|step| match &step.event {
                    Event::OutcomeObserved(sighting) => {
                        let live = sighting.live.value().and_then(|live| live.revision.as_ref());
                        live.is_some_and(|live| live.revision == walk.last.to.revision)
                            && sighting.health.value() == Some(&Health::Healthy)
                    }
                    _ => false,
                });
                effects == 1 && good
            }
        };
        if !ok {
            found.push(format!("`{}` succeeded after {effects} effects", walk.id()));
        }
    }
    found
}

fn stopped_without_effect(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values() {
        let stopped = match walk.last.state {
            StateName::Refused | StateName::Denied | StateName::Expired => true,
            StateName::Withdrawn => !walk.was_ordered,
            _ => false,
        };
        let effects = case.effects_of(walk.id());
        if effects > 0 && (stopped || walk.last.purpose == Purpose::Drill) {
            found.push(format!("`{}` is {} and took effect", walk.id(), walk.last.state));
        }
    }
    found
}

fn fenced_before_absent(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values() {
        let absent = walk.applied().any(|step| matches!(step.event, Event::OrderAbsent));
        if !absent {
            continue;
        }
        let place = case.evidence.log.iter().position(|seen| match seen {
            Seen::Stored { rollback, state, .. } => rollback == walk.id() && state.is_end(),
            _ => false,
        });
        let before = case.before(place.unwrap_or(usize::MAX));
        let mut fenced = before
            .filter(|seen| matches!(seen, Seen::Fenced { rollback } if rollback == walk.id()));
        if fenced.next().is_none() || case.effects_of(walk.id()) > 0 {
            found.push(format!("`{}` was declared not executed without a fence", walk.id()));
        }
    }
    found
}

fn no_late_effect(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (place, id, _) in case.effects() {
        let ended = case.before(place).filter_map(|seen| match seen {
            Seen::Stored { rollback, state, .. } if rollback == id && state.is_end() => Some(state),
            _ => None,
        });
        match ended.last() {
            None => {}
            Some(StateName::OutcomeUnknown) => {
                let told = case.walks.get(id).is_some_and(|walk| {
                    let settled =
                        walk.applied().any(|step| matches!(step.event, Event::Settled(_)));
                    settled || walk.last.execution.is_some()
                });
                if case.evidence.rest == Rest::Reached && !told {
                    found.push(format!("`{id}` took effect late and nobody noticed"));
                }
            }
            Some(state) => found.push(format!("`{id}` took effect after it was {state}")),
        }
    }
    found
}

fn clicked_by_somebody(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (_, walk, _, _) in case.sent_walks() {
        let clicked = match &walk.journal.opening.origin {
            Origin::Click(_) => true,
            Origin::Proposal { .. } => {
                walk.applied().any(|step| matches!(step.event, Event::Clicked(_)))
            }
        };
        if !clicked {
            found.push(format!("nobody clicked on `{}`", walk.id()));
        }
    }
    found
}

fn fences_grow(case: &Case<'_>) -> Vec<String> {
    let mut last: BTreeMap<&RollbackId, (&Instance, u64)> = BTreeMap::new();
    let mut found = Vec::new();
    for seen in &case.evidence.log {
        let Seen::Claimed { rollback, owner, fence } = seen else { continue };
        if let Some((before, number)) = last.insert(rollback, (owner, *fence))
            && (*fence < number || (before != owner && *fence == number))
        {
            found.push(format!("`{rollback}`: fence {fence} after {number}"));
        }
    }
    found
}

fn stored_by_owner(case: &Case<'_>) -> Vec<String> {
    let mut owner: BTreeMap<&RollbackId, u64> = BTreeMap::new();
    let mut found = Vec::new();
    for seen in &case.evidence.log {
        match seen {
            Seen::Claimed { rollback, fence, .. } => {
                owner.insert(rollback, *fence);
            }
            Seen::Stored { rollback, fence: Some(fence), .. }
                if owner.get(rollback) != Some(fence) =>
            {
                found.push(format!("`{rollback}` was written under the old claim {fence}"));
            }
            Seen::Stored { .. }
            | Seen::Sent { .. }
            | Seen::TookEffect { .. }
            | Seen::Fenced { .. }
            | Seen::Kept { .. } => {}
        }
    }
    found
}

fn replays_to_stored(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for view in &case.evidence.views {
        match case.walks.get(&view.id) {
            Some(walk) if walk.last == *view => {}
            Some(_) | None => found.push(format!("`{}` replays to something else", view.id)),
        }
    }
    found
}

/// Whether a record says how a rollback ended.
const fn says_end(kind: Kind) -> bool {
    match kind {
        Kind::Refused
        | Kind::Succeeded
        | Kind::Failed
        | Kind::NotVerified
        | Kind::OutcomeUnknown
        | Kind::Cancelled
        | Kind::Expired => true,
        Kind::Requested
        | Kind::Denied
        | Kind::Confirmed
        | Kind::Approved
        | Kind::Rejected
        | Kind::Triggered
        | Kind::Phase
        | Kind::Settled => false,
    }
}

fn audited_around(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (_, walk, _, _) in case.sent_walks() {
        let kinds: Vec<Kind> = case.records_of(walk.id()).map(|r| r.draft.kind).collect();
        let intents = kinds.iter().filter(|kind| **kind == Kind::Triggered).count();
        let after = kinds.iter().skip_while(|kind| **kind != Kind::Triggered);
        let ended = after.filter(|kind| says_end(**kind)).count() > 0;
        if intents != 1 || (walk.last.state.is_end() && !ended) {
            found.push(format!("the records of `{}` are {kinds:?}", walk.id()));
        }
    }
    found
}

fn chain_is_whole(case: &Case<'_>) -> Vec<String> {
    let mut verifier = Verifier::new(case.evidence.chain.clone());
    let mut found = Vec::new();
    for record in &case.evidence.records {
        if let Err(error) = verifier.check(record) {
            found.push(error.to_string());
            break;
        }
    }
    for walk in case.walks.values() {
        let drafts = rollback_core::journal::replay_whole(
            walk.journal.opening.clone(),
            walk.journal.entries.iter().cloned(),
        )
        .drafts;
        let due: Vec<&Label> = drafts.iter().map(|draft| &draft.id).collect();
        let kept: Vec<&Label> = case.records_of(walk.id()).map(|r| &r.draft.id).collect();
        if due != kept {
            found.push(format!("`{}` should have the records {due:?}, not {kept:?}", walk.id()));
        }
    }
    found
}

fn audited_before(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (place, id, _, _) in case.sent() {
        let intent = case.records_of(id).find(|record| record.draft.kind == Kind::Triggered);
        let kept = intent.is_some_and(|intent| {
            case.before(place)
                .any(|seen| matches!(seen, Seen::Kept { record } if *record == intent.draft.id))
        });
        if !kept {
            found.push(format!("the order of `{id}` was sent before its intent was kept"));
        }
    }
    found
}

fn actors_on_record(case: &Case<'_>) -> Vec<String> {
    let nobody = |record: &&Record| {
        let named = matches!(record.draft.kind, Kind::Confirmed | Kind::Approved | Kind::Rejected);
        named && record.draft.actor.is_none()
    };
    let records = case.evidence.records.iter();
    records.filter(nobody).map(|r| format!("record {} names nobody", r.sequence)).collect()
}

fn messages_go_forward(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut keys = BTreeSet::new();
    for message in &case.evidence.messages {
        if !keys.insert(&message.key) {
            found.push(format!("`{}` was posted twice", message.key));
        }
        let back = message.shown.windows(2).any(|pair| match pair {
            [(before, _), (after, _)] => after < before,
            _ => false,
        });
        if back {
            found.push(format!("`{}` went backwards", message.key));
        }
        if case.evidence.rest == Rest::NotYet {
            continue;
        }
        let shown = match message.now() {
            Some(Notice::Deploy(card)) => card.rollback.as_ref(),
            Some(Notice::Deployer { view, .. }) => Some(view.as_ref()),
            Some(Notice::Approval(view)) if view.state == StateName::Approving => {
                Some(view.as_ref())
            }
            // Once approved, the request says so and rests; a page is not brought up to date.
            Some(
                Notice::Approval(_)
                | Notice::OnCall(_)
                | Notice::Line { .. }
                | Notice::Private { .. },
            )
            | None => None,
        };
        let Some(shown) = shown else { continue };
        let now = case.walks.get(&shown.id).map(|walk| walk.last.state);
        if now != Some(shown.state) {
            found.push(format!(
                "`{}` shows `{}` as {}, and it is {now:?}",
                message.key, shown.id, shown.state
            ));
        }
    }
    found
}

fn lines_once_in_order(case: &Case<'_>) -> Vec<String> {
    let mut told: BTreeMap<&RollbackId, Vec<&Line>> = BTreeMap::new();
    for message in &case.evidence.messages {
        if let Some((_, Notice::Line { view, line })) = message.shown.first() {
            told.entry(&view.id).or_default().push(line);
        }
    }
    let mut found = Vec::new();
    for walk in case.walks.values() {
        let lines = told.remove(walk.id()).unwrap_or_default();
        let due: Vec<&Line> = walk.lines.iter().collect();
        let ok = match case.evidence.rest {
            Rest::Reached => lines == due,
            Rest::NotYet => due.starts_with(&lines),
        };
        if !ok {
            found.push(format!("the thread of `{}` says {lines:?}, not {due:?}", walk.id()));
        }
    }
    found
}

fn everything_ends(case: &Case<'_>) -> Vec<String> {
    if case.evidence.rest == Rest::NotYet {
        return Vec::new();
    }
    let mut found: Vec<String> = case
        .walks
        .values()
        .filter(|walk| !walk.last.state.is_end())
        .map(|walk| format!("`{}` is still {}", walk.id(), walk.last.state))
        .collect();
    if case.evidence.waiting > 0 {
        found.push(format!("{} notices still wait", case.evidence.waiting));
    }
    found
}
