//! What can happen next in a world, and what comes of it.

use crate::Setup;
use crate::event::{Ev, Look, Odd, Rev, Who};
use crate::table::{Info, Table, Wait};
use crate::world::{
    APPROVERS, Act, Answer, Broken, Cd, Doubt, Execution, Flaw, Known, Local, OPS, Op, REPLICAS,
    Sending, World,
};
use rollback_core::StateName;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A game: what is played with, and the machine that decides.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever plays sets it up")]
pub struct Game {
    /// The CD system.
    pub cd: Cd,
    /// What is wrong with it, to see that it is found.
    pub flaw: Option<Flaw>,
    /// Where it begins.
    pub start: World,
    /// The machine.
    pub table: Mutex<Table>,
}

/// The rollback number `op` is not there: a mistake in the model itself.
const HERE: &str = "the model names what is there";

impl World {
    #[expect(clippy::expect_used, reason = "an index of the model's own")]
    pub(crate) fn op(&mut self, op: usize) -> &mut Op {
        self.ops.get_mut(op).expect(HERE)
    }

    #[expect(clippy::expect_used, reason = "an index of the model's own")]
    pub(crate) fn local(&mut self, replica: usize, op: usize) -> &mut Local {
        self.replicas.get_mut(replica).and_then(|ops| ops.get_mut(op)).expect(HERE)
    }

    pub(crate) fn look(&self, replica: usize, op: usize) -> Local {
        self.replicas.get(replica).and_then(|ops| ops.get(op)).copied().unwrap_or_default()
    }

    pub(crate) fn execution(&self, op: usize) -> Execution {
        self.executions.get(op).copied().unwrap_or_default()
    }

    pub(crate) fn set_execution(&mut self, op: usize, to: Execution) {
        if let Some(execution) = self.executions.get_mut(op) {
            *execution = to;
        }
    }

    pub(crate) fn is_void(&self, op: usize) -> bool {
        self.void.get(op).copied().unwrap_or_default()
    }

    pub(crate) fn breaks(&mut self, op: usize, promise: u8) {
        self.op(op).broken.get_or_insert(Broken::Promise(promise));
    }
}

impl Game {
    /// The game that a setup says, with an empty table.
    #[must_use]
    pub fn of(setup: Setup, start: World) -> Self {
        Self { cd: setup.cd, flaw: setup.flaw, start, table: Mutex::new(Table::new()) }
    }

    /// The machine.
    pub fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        let both = matches!(flaw, Flaw::NoFencing | Flaw::DoesNotCompare)
            && self.flaw == Some(Flaw::NoFencingNoPrecondition);
        both || self.flaw == Some(flaw)
    }

    /// Everything that can happen next.
    pub fn acts(&self, table: &Table, world: &World, acts: &mut Vec<Act>) {
        if world.broken().is_some() {
            return;
        }
        for (op, state) in world.states().into_iter().enumerate() {
            self.acts_on(world, op, table.info(state), acts);
        }
        for (request, sent) in world.net.iter().enumerate() {
            acts.push(Act::Arrives { request, heard: true, again: false });
            if world.budget.network > 0 {
                acts.push(Act::Arrives { request, heard: false, again: false });
                acts.push(Act::Arrives { request, heard: true, again: true });
                if world.execution(usize::from(sent.op)) == Execution::None {
                    acts.push(Act::Lost(request));
                }
            }
        }
        if world.budget.crashes > 0 {
            let alive = |replica: &usize| {
                world.replicas.get(*replica).is_some_and(|ops| *ops != [Local::default(); OPS])
            };
            acts.extend((0..REPLICAS).filter(alive).map(Act::Crashes));
        }
        if world.budget.deploys > 0 && world.live != Rev::Newer {
            acts.push(Act::SomebodyDeploys);
        }
    }

    fn acts_on(&self, world: &World, op: usize, info: &Info, acts: &mut Vec<Act>) {
        Self::says(world, op, info, acts);
        if world.execution(op) == Execution::Queued {
            acts.push(Act::Redeems(op));
        }
        if world.execution(op) == Execution::Running {
            acts.push(Act::Ends(op, true));
            if world.budget.odd > 0 {
                acts.push(Act::Ends(op, false));
                acts.push(Act::FailsBack(op));
            }
        }
        let Some(stored) = world.ops.get(op) else { return };
        if stored.owner != 0 && !stored.expired && world.budget.expiries > 0 {
            acts.push(Act::LeaseEnds(op));
        }
        let waits = info.wait != Wait::Nothing || info.deadline.is_some();
        let mut newcomer = false;
        for replica in 0..REPLICAS {
            let local = world.look(replica, op);
            let free = stored.owner == 0 || stored.expired || self.has(Flaw::LeaseByOwnClock);
            if waits && free && local.claim == 0 {
                // Replicas that know nothing at all differ in nothing.
                let blank = world.replicas.get(replica) == Some(&[Local::default(); OPS]);
                if !(blank && newcomer) {
                    acts.push(Act::Claims(replica, op));
                }
                newcomer |= blank;
            }
            self.acts_of(world, (replica, op), local, info, acts);
        }
    }

    fn acts_of(
        &self,
        world: &World,
        (replica, op): (usize, usize),
        local: Local,
        info: &Info,
        acts: &mut Vec<Act>,
    ) {
        match local.sending {
            Sending::Holds(_) => acts.push(Act::MakesSure(replica, op)),
            Sending::Sure => acts.push(Act::Sends(replica, op)),
            Sending::Waits => acts.push(Act::GivesUpWaiting(replica, op)),
            Sending::Heard(_) => acts.push(Act::StoresAnswer(replica, op)),
            Sending::No | Sending::Done => {}
        }
        match local.doubt {
            Doubt::Finds(_) | Doubt::Fences(_) => acts.push(Act::Asks(replica, op)),
            Doubt::Knows(_) => acts.push(Act::StoresFinding(replica, op)),
            Doubt::No => {}
        }
        if local.claim == 0 {
            return;
        }
        match info.wait {
            Wait::Nothing => {}
            Wait::Reconcile if info.in_doubt => {
                if local.doubt == Doubt::No {
                    acts.push(Act::Asks(replica, op));
                }
            }
            Wait::Reconcile => {
                if local.sending == Sending::No {
                    acts.push(Act::Doubts(replica, op));
                }
            }
            Wait::Standing
            | Wait::Facts
            | Wait::Intent
            | Wait::Rehearse
            | Wait::Observe
            | Wait::Verify
            | Wait::Watch => {
                acts.push(Act::Works(replica, op));
                if info.cancelling {
                    acts.push(Act::RefusesToCancel(replica, op));
                    if world.execution(op) == Execution::Running {
                        acts.push(Act::Cancels(replica, op));
                        acts.push(Act::CancelsUnheard(replica, op));
                    }
                }
                if info.name == StateName::Running && !info.silent && world.budget.silences > 0 {
                    acts.push(Act::FallsSilent(replica, op));
                }
                if world.budget.odd > 0 {
                    odd(info, |ev| acts.push(Act::WorksOddly(replica, op, ev)));
                }
            }
        }
        // A process that is about to send does not stand still for half an hour.
        let sends = matches!(local.sending, Sending::Holds(_) | Sending::Sure);
        if info.deadline.is_some() && !sends {
            let budget = world.budget;
            if budget.deadlines > 0 || (info.was_ordered && budget.overdue > 0) {
                acts.push(Act::DeadlinePasses(replica, op));
            }
            if budget.deadlines > 0 {
                acts.push(Act::DeadlinePassesLate(replica, op));
            }
            if budget.early && self.owns(world, replica, op) {
                acts.push(Act::DeadlineIsEarly(replica, op));
            }
        }
    }

    fn says(world: &World, op: usize, info: &Info, acts: &mut Vec<Act>) {
        let mut say = |ev| acts.push(Act::Says(op, ev));
        let Some(requester) = info.requester else {
            if info.name == StateName::Proposed {
                say(Ev::Click(Who::Ana));
                say(Ev::Click(Who::Eve));
            }
            return;
        };
        if info.shown {
            say(Ev::Confirm(requester));
            if world.budget.odd > 0 {
                say(Ev::Confirm(Who::Eve));
                say(Ev::ConfirmOtherPair(requester));
                say(Ev::ConfirmUnknown(requester));
            }
        }
        if info.name == StateName::Approving {
            for who in APPROVERS.get(op).into_iter().flatten() {
                say(Ev::Approve(*who));
            }
            if world.budget.odd > 0 {
                say(Ev::ApproveUnknown(Who::Bo));
                say(Ev::Approve(Who::Cleo));
            }
            if world.budget.words > 0 {
                say(Ev::Reject(Who::Cleo));
            }
        }
        if world.budget.words > 0 && !info.name.is_end() {
            say(Ev::Withdraw(requester));
            say(Ev::Withdraw(Who::Eve));
        }
        let unknown = info.name == StateName::OutcomeUnknown && info.holds;
        if unknown || (info.overdue && world.budget.words > 0) {
            say(Ev::Settle(Who::Ana));
            say(Ev::Settle(Who::Eve));
        }
    }

    /// The world after something happened; none when nothing changed.
    #[must_use]
    pub fn after(&self, table: &mut Table, before: &World, act: Act) -> Option<World> {
        let mut world = before.clone();
        self.happens(table, &mut world, act);
        (world != *before).then(|| {
            world.sort_replicas();
            world
        })
    }

    /// Lets something happen.
    pub fn happens(&self, table: &mut Table, world: &mut World, act: Act) {
        match act {
            Act::Says(op, ev) => self.person(table, world, op, ev),
            Act::Claims(replica, op) => self.claims(world, replica, op),
            Act::Works(replica, op) => self.works(table, world, replica, op),
            Act::WorksOddly(replica, op, ev) => {
                world.budget.odd -= 1;
                self.feeds(table, world, replica, op, ev);
            }
            Act::Doubts(replica, op) => {
                if self.has(Flaw::RecoveryResends) {
                    world.local(replica, op).sending =
                        Sending::Holds(world.look(replica, op).claim);
                } else {
                    self.feeds(table, world, replica, op, Ev::InDoubt);
                }
            }
            Act::MakesSure(replica, op) => self.makes_sure(table, world, replica, op),
            Act::Sends(replica, op) => self.sends(world, replica, op),
            Act::Arrives { request, heard, again } => {
                self.arrives(table, world, request, heard, again);
            }
            Act::Lost(request) => {
                world.budget.network -= 1;
                world.net.remove(request);
            }
            Act::GivesUpWaiting(replica, op) => {
                let again = self.has(Flaw::ResendsAfterTimeout);
                world.local(replica, op).sending =
                    if again { Sending::Sure } else { Sending::Done };
                if !again {
                    self.feeds(table, world, replica, op, Ev::InDoubt);
                }
            }
            Act::StoresAnswer(replica, op) => {
                let Sending::Heard(answer) = world.look(replica, op).sending else { return };
                world.local(replica, op).sending = Sending::Done;
                let ev = match answer {
                    Answer::Accepted => Ev::Accepted,
                    Answer::Refused => Ev::Refused,
                    Answer::Conflict => Ev::Conflicted,
                };
                self.feeds(table, world, replica, op, ev);
            }
            Act::Asks(replica, op) => self.asks(world, replica, op),
            Act::StoresFinding(replica, op) => {
                let Doubt::Knows(known) = world.look(replica, op).doubt else { return };
                world.local(replica, op).doubt = Doubt::No;
                let ev = match known {
                    Known::Found => Ev::Found,
                    Known::Absent => Ev::Absent,
                    Known::Unknown => Ev::DoubtRemained,
                };
                self.feeds(table, world, replica, op, ev);
            }
            Act::DeadlinePasses(replica, op) => {
                let ordered = table.info(world.op(op).state).was_ordered;
                let budget = &mut world.budget;
                if ordered && budget.overdue > 0 {
                    budget.overdue -= 1;
                } else {
                    budget.deadlines -= 1;
                }
                self.feeds(table, world, replica, op, Ev::Deadline);
            }
            other => self.answers(table, world, other),
        }
    }

    /// What the CD system says about what it carries out, and deadlines out of time.
    fn answers(&self, table: &mut Table, world: &mut World, act: Act) {
        match act {
            Act::DeadlinePassesLate(replica, op) => {
                world.budget.deadlines -= 1;
                self.feeds(table, world, replica, op, Ev::DeadlineLate);
            }
            Act::DeadlineIsEarly(replica, op) => {
                self.feeds(table, world, replica, op, Ev::DeadlineEarly);
            }
            Act::FallsSilent(replica, op) => {
                world.budget.silences -= 1;
                self.feeds(table, world, replica, op, Ev::Unseen);
            }
            Act::Cancels(replica, op) => {
                Self::stops(world, op);
                self.feeds(table, world, replica, op, Ev::CancelAccepted);
            }
            Act::RefusesToCancel(replica, op) => {
                self.feeds(table, world, replica, op, Ev::CancelRefused);
            }
            other => self.befalls(table, world, other),
        }
    }

    fn stops(world: &mut World, op: usize) {
        world.set_execution(op, Execution::Cancelled);
        if world.live == Rev::To {
            world.live = Rev::From;
        }
    }

    /// What nobody here does: the CD system gets on, or something goes wrong.
    fn befalls(&self, table: &Table, world: &mut World, act: Act) {
        match act {
            Act::Redeems(op) => self.redeems(table, world, op),
            Act::Ends(op, well) => {
                world.budget.odd -= u8::from(!well);
                world.set_execution(op, if well { Execution::Complete } else { Execution::Failed });
            }
            Act::FailsBack(op) => {
                world.budget.odd -= 1;
                world.set_execution(op, Execution::Failed);
                if world.live == Rev::To {
                    world.live = Rev::From;
                }
            }
            // It says that it is cancelled, and what it did stays.
            Act::CancelsUnheard(_, op) => world.set_execution(op, Execution::Cancelled),
            Act::LeaseEnds(op) => {
                world.budget.expiries -= 1;
                world.op(op).expired = true;
            }
            Act::Crashes(replica) => {
                world.budget.crashes -= 1;
                for op in 0..OPS {
                    *world.local(replica, op) = Local::default();
                    // The same name is never used again: its claim runs out and is nobody's.
                    let mark = u8::try_from(replica).unwrap_or_default() + 1;
                    let stored = world.op(op);
                    if stored.owner == mark {
                        stored.owner = 0;
                    }
                }
            }
            Act::SomebodyDeploys => {
                world.budget.deploys -= 1;
                world.live = Rev::Newer;
            }
            Act::Says(..)
            | Act::Claims(..)
            | Act::Works(..)
            | Act::WorksOddly(..)
            | Act::Doubts(..)
            | Act::MakesSure(..)
            | Act::Sends(..)
            | Act::Arrives { .. }
            | Act::Lost(_)
            | Act::GivesUpWaiting(..)
            | Act::StoresAnswer(..)
            | Act::Asks(..)
            | Act::StoresFinding(..)
            | Act::DeadlinePasses(..)
            | Act::DeadlinePassesLate(..)
            | Act::DeadlineIsEarly(..)
            | Act::FallsSilent(..)
            | Act::Cancels(..)
            | Act::RefusesToCancel(..) => {}
        }
    }
}

/// What a source can say besides what it should.
fn odd(info: &Info, mut add: impl FnMut(Ev)) {
    let requester = info.requester.unwrap_or(Who::Ana);
    match info.wait {
        Wait::Standing => {
            add(Ev::StandingUnknown);
            add(Ev::Standing(Who::Eve));
        }
        Wait::Facts => {
            for odd in Odd::ALL {
                let live = Rev::From;
                add(Ev::Facts(Look {
                    requester,
                    live,
                    busy: false,
                    held: false,
                    cooling: false,
                    odd,
                }));
            }
        }
        Wait::Intent => {
            add(Ev::NotRecorded);
            add(Ev::RecordedLate);
        }
        Wait::Rehearse => {
            add(Ev::Rehearsed(Some(false)));
            add(Ev::Rehearsed(None));
        }
        Wait::Verify => {
            add(Ev::Seen(Rev::To, Some(false)));
            add(Ev::Seen(Rev::To, None));
            add(Ev::Seen(Rev::From, Some(true)));
            add(Ev::SeenNothing);
        }
        Wait::Observe => {
            add(Ev::Accepted);
            add(Ev::Absent);
        }
        Wait::Nothing | Wait::Reconcile | Wait::Watch => {}
    }
}
