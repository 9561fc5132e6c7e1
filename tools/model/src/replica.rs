//! What a replica does: it claims, works, makes sure, sends, finds out, and stores what came of it
//! while it owns the rollback.

use crate::event::{Ev, Look, Odd, Who};
use crate::play::Game;
use crate::table::{Step, Table, Wait};
use crate::world::{Broken, Doubt, Execution, Flaw, Known, Local, Op, Sending, World};
use rollback_core::reconcile::{self, Next};
use rollback_core::{Event, Phase, Receipt, StateName};

impl Game {
    pub(crate) fn person(&self, table: &mut Table, world: &mut World, op: usize, ev: Ev) {
        if !Self::commits(table, world, op, ev).is_some_and(|step| step.counted) {
            return;
        }
        match ev {
            Ev::Withdraw(_) | Ev::Reject(_) => world.budget.words -= 1,
            Ev::Settle(_) => world.budget.words = world.budget.words.saturating_sub(1),
            Ev::ConfirmOtherPair(_) | Ev::ConfirmUnknown(_) => world.budget.odd -= 1,
            _ => {}
        }
    }

    pub(crate) fn claims(&self, world: &mut World, replica: usize, op: usize) {
        let mark = u8::try_from(replica).unwrap_or_default() + 1;
        let stored = *world.op(op);
        let stolen = stored.owner != 0 && !stored.expired && stored.owner != mark;
        if stored.owner != mark {
            let fence = stored.fence + u8::from(!self.has(Flaw::TokensAgain) || stored.fence == 0);
            if fence == stored.fence || stolen {
                world.breaks(op, 22);
            }
            world.op(op).fence = fence;
            if let Some(before) = stored.owner.checked_sub(1)
                && !self.has(Flaw::NoFencing)
            {
                // What it believes in without a claim leads to nothing, but for one thing: it may be
                // about to send.
                let zombie = world.local(usize::from(before), op);
                let sure = zombie.sending == Sending::Sure;
                *zombie = Local::default();
                if sure {
                    zombie.sending = Sending::Sure;
                }
            }
        }
        let stored = world.op(op);
        (stored.owner, stored.expired) = (mark, false);
        let fence = stored.fence;
        world.local(replica, op).claim = fence;
    }

    /// Whether the store takes what a replica writes.
    pub(crate) fn owns(&self, world: &World, replica: usize, op: usize) -> bool {
        let Some(stored) = world.ops.get(op) else { return false };
        let ours = usize::from(stored.owner) == replica + 1;
        let held = ours && stored.fence == world.look(replica, op).claim && !stored.expired;
        held || self.has(Flaw::NoFencing)
    }

    /// A replica brings an event: the store takes it under its claim, or the replica learns that it
    /// has none.
    pub(crate) fn feeds(
        &self,
        table: &mut Table,
        world: &mut World,
        replica: usize,
        op: usize,
        ev: Ev,
    ) {
        if !self.owns(world, replica, op) {
            *world.local(replica, op) = Local::default();
            return;
        }
        let stored = *world.op(op);
        let foreign = usize::from(stored.owner) != replica + 1;
        let before = table.info(stored.state).name;
        let Some(step) = Self::commits(table, world, op, ev) else { return };
        if foreign && step.counted && self.flaw != Some(Flaw::NoFencingNoPrecondition) {
            world.breaks(op, 23);
        }
        let claim = world.look(replica, op).claim;
        if step.ordered {
            world.op(op).given = true;
            world.local(replica, op).sending = Sending::Holds(claim);
        }
        let after = table.info(step.next).name;
        if before != after && !step.ordered {
            let local = world.local(replica, op);
            (local.sending, local.doubt) = (Sending::No, Doubt::No);
        }
    }

    /// Stores a step: the journal and the service's slot, or nothing.
    fn commits(table: &mut Table, world: &mut World, op: usize, ev: Ev) -> Option<Step> {
        let state = world.op(op).state;
        let mut step = table.step(state, ev);
        let holds = |id| table.info(id).holds;
        let taken =
            world.ops.iter().enumerate().any(|(other, stored)| other != op && holds(stored.state));
        if holds(step.next) && !holds(state) && taken {
            step = table.step(state, Ev::SlotTaken);
        }
        if let Some(broken) = step.broken {
            world.op(op).broken.get_or_insert(Broken::Journal(broken));
        }
        if !step.counted {
            return step.broken.map(|_| step);
        }
        world.op(op).state = step.next;
        let info = table.info(step.next);
        let (name, ordered) = (info.name, info.was_ordered);
        Self::judge_end(world, op, name, ordered, ev);
        Some(step)
    }

    /// What must be true of an end when it is reached.
    fn judge_end(world: &mut World, op: usize, name: StateName, ordered: bool, ev: Ev) {
        let stored = *world.op(op);
        if ev == Ev::Absent && (!stored.fenced || stored.effects > 0) {
            world.breaks(op, 19);
        }
        match name {
            StateName::Succeeded => {
                let drill = !stored.given;
                if stored.effects != u8::from(!drill) {
                    world.breaks(op, 17);
                }
            }
            StateName::Refused | StateName::Denied | StateName::Expired if stored.effects > 0 => {
                world.breaks(op, 18);
            }
            StateName::Withdrawn if !ordered && stored.effects > 0 => world.breaks(op, 18),
            _ => {}
        }
    }

    pub(crate) fn works(&self, table: &mut Table, world: &mut World, replica: usize, op: usize) {
        let state = world.op(op).state;
        let info = *table.info(state);
        let requester = info.requester.unwrap_or(Who::Ana);
        let ev = match info.wait {
            Wait::Standing => Ev::Standing(requester),
            Wait::Facts => Ev::Facts(Self::facts(table, world, op, requester)),
            Wait::Intent => {
                if !self.has(Flaw::RecordsLater) {
                    world.op(op).kept = true;
                }
                Ev::Recorded
            }
            Wait::Rehearse => Ev::Rehearsed(Some(true)),
            Wait::Observe => match world.execution(op) {
                Execution::None | Execution::Queued => return,
                Execution::Running => Ev::Progress(Phase::Started),
                Execution::Complete => Ev::Progress(Phase::Complete),
                Execution::Failed => Ev::Progress(Phase::Failed),
                Execution::Cancelled => Ev::Progress(Phase::Cancelled),
            },
            Wait::Verify => Ev::Seen(world.live, Some(true)),
            Wait::Watch if world.execution(op) != Execution::None => Ev::Found,
            Wait::Watch | Wait::Nothing | Wait::Reconcile => return,
        };
        self.feeds(table, world, replica, op, ev);
    }

    fn facts(table: &Table, world: &World, op: usize, requester: Who) -> Look {
        let others = || world.ops.iter().enumerate().filter(|(other, _)| *other != op);
        let info = |stored: &Op| *table.info(stored.state);
        Look {
            requester,
            live: world.live,
            busy: world.executions.contains(&Execution::Running),
            held: others().any(|(_, stored)| info(stored).holds),
            cooling: others().any(|(_, stored)| {
                let info = info(stored);
                info.name.is_end() && info.was_ordered
            }),
            odd: Odd::Nothing,
        }
    }

    /// Nobody takes the rollback over while the order is on its way.
    pub(crate) fn makes_sure(
        &self,
        table: &mut Table,
        world: &mut World,
        replica: usize,
        op: usize,
    ) {
        let Sending::Holds(fence) = world.look(replica, op).sending else { return };
        let stored = *world.op(op);
        let ours = usize::from(stored.owner) == replica + 1 && stored.fence == fence;
        if ours || self.has(Flaw::NoFencing) {
            world.op(op).expired &= self.has(Flaw::NoFencing);
            world.local(replica, op).sending = Sending::Sure;
            return;
        }
        world.local(replica, op).sending = Sending::Done;
        self.feeds(table, world, replica, op, Ev::Refused);
    }

    pub(crate) fn asks(&self, world: &mut World, replica: usize, op: usize) {
        let next = match world.look(replica, op).doubt {
            Doubt::No => reconcile::begin(),
            Doubt::Finds(looking) => {
                let found = world.execution(op) != Execution::None;
                looking.found(found.then(|| Receipt::new("execution-1")))
            }
            Doubt::Fences(fencing) => fencing.fenced(self.fences(world, op)),
            Doubt::Knows(_) => return,
        };
        world.local(replica, op).doubt = match next {
            Next::Find(looking) => Doubt::Finds(looking),
            Next::Fence(fencing) => Doubt::Fences(fencing),
            Next::Known(Event::OrderFound(_)) => Doubt::Knows(Known::Found),
            Next::Known(Event::OrderAbsent) => Doubt::Knows(Known::Absent),
            Next::Known(_) => Doubt::Knows(Known::Unknown),
        };
    }
}
