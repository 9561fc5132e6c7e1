//! The CD system, which is the ground truth: what it receives, compares, carries out and fences off.

use crate::event::Rev;
use crate::play::Game;
use crate::table::Table;
use crate::world::{Answer, Cd, Execution, Flaw, Sending, Sent, World};
use rollback_core::StateName;
use rollback_core::ports::Fenced;

impl Game {
    fn compares(&self) -> bool {
        self.cd != Cd::Neither && !self.has(Flaw::DoesNotCompare)
    }

    pub(crate) fn sends(&self, world: &mut World, replica: usize, op: usize) {
        let stored = world.op(op);
        stored.sends = stored.sends.saturating_add(1);
        let (given, kept, sends) = (stored.given, stored.kept, stored.sends);
        for (broken, promise) in [(!given, 13), (sends > 1, 14), (!kept, 29)] {
            if broken {
                world.breaks(op, promise);
            }
        }
        // An adapter looks first.
        let heard = if world.live != Rev::From && !self.has(Flaw::DoesNotCompare) {
            Sending::Heard(Answer::Conflict)
        } else {
            let number = |value: usize| u8::try_from(value).unwrap_or_default();
            let (op, replica) = (number(op), number(replica));
            world.net.push(Sent { op, replica, generation: world.generation });
            world.net.sort_unstable();
            Sending::Waits
        };
        world.local(replica, op).sending = heard;
    }

    pub(crate) fn arrives(
        &self,
        table: &Table,
        world: &mut World,
        request: usize,
        heard: bool,
        again: bool,
    ) {
        let Some(sent) = world.net.get(request).copied() else { return };
        world.budget.network -= u8::from(!heard || again);
        if !again {
            world.net.remove(request);
        }
        let op = usize::from(sent.op);
        let answer = self.receives(table, world, op, sent.generation);
        let local = world.local(usize::from(sent.replica), op);
        if heard && local.sending == Sending::Waits {
            local.sending = Sending::Heard(answer);
        }
    }

    fn receives(&self, table: &Table, world: &mut World, op: usize, generation: u8) -> Answer {
        if world.execution(op) != Execution::None {
            return Answer::Accepted;
        }
        if world.is_void(op) || generation < world.generation {
            return Answer::Refused;
        }
        if self.cd == Cd::Ticket {
            world.set_execution(op, Execution::Queued);
            return Answer::Accepted;
        }
        if self.compares() && world.live != Rev::From {
            return Answer::Conflict;
        }
        if world.executions.contains(&Execution::Running) {
            return Answer::Refused;
        }
        self.takes_effect(table, world, op);
        Answer::Accepted
    }

    pub(crate) fn redeems(&self, table: &Table, world: &mut World, op: usize) {
        let stale = self.compares() && world.live != Rev::From;
        if world.is_void(op) || stale {
            world.set_execution(op, Execution::Failed);
        } else {
            self.takes_effect(table, world, op);
        }
    }

    /// The ground truth.
    fn takes_effect(&self, table: &Table, world: &mut World, op: usize) {
        let declared = self.cd != Cd::Neither;
        if declared && world.live != Rev::From {
            world.breaks(op, 10);
        }
        world.live = Rev::To;
        world.set_execution(op, Execution::Running);
        let stored = world.op(op);
        stored.effects = stored.effects.saturating_add(1);
        let (effects, state) = (stored.effects, stored.state);
        if effects > 1 {
            world.breaks(op, 16);
        }
        let name = table.info(state).name;
        if name.is_end() && name != StateName::OutcomeUnknown {
            world.breaks(op, 20);
        }
    }

    pub(crate) fn fences(&self, world: &mut World, op: usize) -> Fenced {
        if self.cd == Cd::Neither {
            return Fenced::Unsupported;
        }
        world.op(op).fenced = true;
        if self.has(Flaw::FenceNotWritten) {
            return Fenced::Done;
        }
        if self.cd == Cd::Compares {
            world.generation = world.generation.saturating_add(1);
        }
        if !self.has(Flaw::FenceForgetsTheOrder)
            && let Some(void) = world.void.get_mut(op)
        {
            *void = true;
        }
        Fenced::Done
    }
}
