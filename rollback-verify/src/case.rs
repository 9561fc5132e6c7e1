//! The evidence, prepared: every journal taken again, step by step.

use crate::evidence::{Evidence, Seen};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use rollback_core::audit::Record;
use rollback_core::journal::{self, Mismatch};
use rollback_core::ports::Journal;
use rollback_core::{
    Audience, Disposition, Effect, Event, Label, Line, Plan, RevisionId, Rollback, RollbackId,
    RollbackView, StateName, Timestamp, Transition,
};

/// One step of a journal, taken again.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) at: Timestamp,
    pub(crate) event: Event,
    pub(crate) before: StateName,
    pub(crate) after: StateName,
    pub(crate) deadline_before: Option<Timestamp>,
    pub(crate) applied: bool,
    /// Whether the rollback holds its service after it.
    pub(crate) holds: bool,
    /// The identities of the audit records that were due.
    pub(crate) records: Vec<Label>,
    /// What it asked for that touches an order.
    pub(crate) asked: Asked,
    /// How often whoever is on call is told of an act through break-glass.
    pub(crate) pages: usize,
}

/// What a step asked for that touches an order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Asked {
    Nothing,
    Trigger,
    Reconcile,
}

/// One rollback: its journal, taken step by step.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    pub(crate) journal: &'a Journal,
    pub(crate) steps: Vec<Step>,
    pub(crate) lines: Vec<Line>,
    /// Every audit record that was due, in order.
    pub(crate) due: Vec<Label>,
    pub(crate) last: RollbackView,
    /// The first entry that comes to something else than when it was stored.
    pub(crate) mismatch: Option<Mismatch>,
    pub(crate) was_ordered: bool,
    /// What the journal's order says, and when it was given.
    pub(crate) given: Option<(Plan, Timestamp)>,
}

pub(crate) struct Case<'a> {
    pub(crate) evidence: &'a Evidence,
    pub(crate) walks: BTreeMap<&'a RollbackId, Walk<'a>>,
    records: BTreeMap<&'a RollbackId, Vec<&'a Record>>,
}

fn lines(effects: &[Effect]) -> impl Iterator<Item = Line> {
    effects.iter().filter_map(|effect| match effect {
        Effect::Tell(Audience::Thread(line)) => Some(line.clone()),
        _ => None,
    })
}

fn asked(effects: &[Effect]) -> Asked {
    let of = |effect: &Effect| match effect {
        Effect::Trigger(_) => Some(Asked::Trigger),
        Effect::Reconcile(_) => Some(Asked::Reconcile),
        _ => None,
    };
    effects.iter().find_map(of).unwrap_or(Asked::Nothing)
}

fn pages(effects: &[Effect]) -> usize {
    let is_page = |effect: &&Effect| matches!(effect, Effect::Tell(Audience::BreakGlass { .. }));
    effects.iter().filter(is_page).count()
}

fn ids(transition: &Transition) -> impl Iterator<Item = Label> {
    transition.drafts.iter().map(|draft| draft.id.clone())
}

impl<'a> Walk<'a> {
    fn new(journal: &'a Journal) -> Self {
        let opened = Rollback::open(journal.opening.clone());
        let mut told: Vec<Line> = lines(&opened.effects).collect();
        let mut due: Vec<Label> = ids(&opened).collect();
        let mut given = None;
        let mut rollback = opened.rollback;
        let (mut steps, mut mismatch) = (Vec::new(), None);
        for (number, entry) in (1_u64..).zip(&journal.entries) {
            let (before, deadline_before) = (rollback.state_name(), rollback.deadline());
            let step = rollback.step(entry.at, entry.event.clone());
            let compared = journal::compare(number, entry.came_to, &step);
            mismatch = mismatch.or_else(|| compared.err());
            told.extend(lines(&step.effects));
            let order = step.effects.iter().find_map(|effect| match effect {
                Effect::Trigger(order) => Some((order.plan().clone(), entry.at)),
                _ => None,
            });
            given = given.or(order);
            let records: Vec<Label> = ids(&step).collect();
            due.extend(records.iter().cloned());
            steps.push(Step {
                at: entry.at,
                event: entry.event.clone(),
                before,
                after: step.rollback.state_name(),
                deadline_before,
                applied: step.disposition == Disposition::Applied,
                holds: step.rollback.holds_service(),
                records,
                asked: asked(&step.effects),
                pages: pages(&step.effects),
            });
            rollback = step.rollback;
        }
        let (last, was_ordered) = (rollback.view(), rollback.was_ordered());
        Self { journal, steps, lines: told, due, last, mismatch, was_ordered, given }
    }

    pub(crate) fn applied(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.applied)
    }

    pub(crate) const fn id(&self) -> &'a RollbackId {
        &self.journal.opening.id
    }
}

impl<'a> Case<'a> {
    pub(crate) fn new(evidence: &'a Evidence) -> Self {
        let walks = evidence.journals.iter().map(|j| (&j.opening.id, Walk::new(j))).collect();
        let mut records: BTreeMap<&RollbackId, Vec<&Record>> = BTreeMap::new();
        for record in &evidence.records {
            if let Some(id) = &record.draft.operation_id {
                records.entry(id).or_default().push(record);
            }
        }
        Self { evidence, walks, records }
    }

    /// The orders that were seen on their way, with their place in the log.
    pub(crate) fn sent(&self) -> impl Iterator<Item = (usize, &RollbackId, &Plan, Timestamp)> {
        self.evidence.log.iter().enumerate().filter_map(|(place, seen)| match seen {
            Seen::Sent { rollback, plan, at } => Some((place, rollback, plan.as_ref(), *at)),
            _ => None,
        })
    }

    /// Every order: those that a journal says were given, and those that were seen on their way.
    pub(crate) fn orders(&self) -> impl Iterator<Item = (&RollbackId, &Plan, Timestamp)> {
        let given = self
            .walks
            .values()
            .filter_map(|walk| walk.given.as_ref().map(|(plan, at)| (walk.id(), plan, *at)));
        given.chain(self.sent().map(|(_, id, plan, at)| (id, plan, at)))
    }

    /// The rollbacks of which there is an order, with what it says and when.
    pub(crate) fn ordered(&self) -> impl Iterator<Item = (&Walk<'a>, &Plan, Timestamp)> {
        self.orders().filter_map(|(id, plan, at)| self.walks.get(id).map(|walk| (walk, plan, at)))
    }

    pub(crate) fn effects(
        &self,
    ) -> impl Iterator<Item = (usize, &RollbackId, Option<&RevisionId>)> {
        self.evidence.log.iter().enumerate().filter_map(|(place, seen)| match seen {
            Seen::TookEffect { rollback, live } => Some((place, rollback, live.as_ref())),
            _ => None,
        })
    }

    pub(crate) fn effects_of(&self, id: &RollbackId) -> usize {
        self.effects().filter(|(_, of, _)| *of == id).count()
    }

    pub(crate) fn records_of(&self, id: &RollbackId) -> impl Iterator<Item = &'a Record> {
        self.records.get(id).into_iter().flatten().copied()
    }

    pub(crate) fn before(&self, place: usize) -> impl Iterator<Item = &Seen> {
        self.evidence.log.iter().take(place)
    }
}
