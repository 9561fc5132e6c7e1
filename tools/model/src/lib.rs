//! The real state machine in a small world: two rollbacks of one service, three replicas with claims
//! and fences, people whose roles overlap, a network that delays, loses and repeats, a CD system that
//! compares and fences, that takes tickets, or that can do neither.
//!
//! | part | what it is |
//! |---|---|
//! | [`table`] | the real `Rollback::step`, each step taken once; each journal judged by `rollback-verify` |
//! | [`world`], [`play`] | everything around it, and what can happen next; `replica`, `system`: what comes of it |
//! | [`swarm`] | random histories, each seed with faults of its own share |
//! | `tests/exhaustive.rs` | every interleaving for small bounds, with `stateright` |
//! | `tests/swarm.rs` | random histories beyond those bounds |
#![expect(clippy::wildcard_enum_match_arm, reason = "a model looks for one thing among many")]

pub mod event;
pub mod play;
mod replica;
pub mod swarm;
mod system;
pub mod table;
pub mod world;

use crate::event::Who;
use crate::play::Game;
use crate::table::{Id, Table, Wait};
use crate::world::{Act, Broken, Budget, Cd, Flaw, OPS, World};
use rollback_core::Purpose;
use rollback_core::audit::BackendEntry;
use rollback_core::journal::Opening;
use rollback_core::ports::{Cancel, Capabilities, CompareAndSet, Fence};
use rollback_testkit::fixtures::{self, parsed};
use stateright::{Model, Property};
use std::sync::Mutex;
use std::time::Duration;

/// What kind of rollback each of the two is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "whoever plays sets it up")]
pub struct Setup {
    /// The CD system.
    pub cd: Cd,
    /// How many people must approve each.
    pub approvals: [u8; OPS],
    /// Whether each was proposed by an agent, and not clicked.
    pub proposed: [bool; OPS],
    /// Whether each is a drill.
    pub drill: [bool; OPS],
    /// What may go wrong.
    pub budget: Budget,
    /// What is wrong.
    pub flaw: Option<Flaw>,
}

impl Setup {
    /// Two real rollbacks that Ana and Bo clicked; nothing goes wrong.
    #[must_use]
    pub fn new(cd: Cd) -> Self {
        Self {
            cd,
            approvals: [0; OPS],
            proposed: [false; OPS],
            drill: [false; OPS],
            budget: Budget::default(),
            flaw: None,
        }
    }

    /// The game, with a table of its own.
    #[must_use]
    pub fn game(self) -> Game {
        let mut table = Table::new();
        let start = self.world(&mut table);
        Game { cd: self.cd, flaw: self.flaw, start, table: Mutex::new(table) }
    }

    /// The world at its beginning.
    pub fn world(self, table: &mut Table) -> World {
        let mut states = [0; OPS];
        for (op, state) in states.iter_mut().enumerate() {
            let of = |both: [bool; OPS]| both.get(op).copied().unwrap_or_default();
            let approvals = self.approvals.get(op).copied().unwrap_or_default();
            let kind = (op, self.cd, approvals, of(self.proposed), of(self.drill));
            *state = match table.begun.get(&kind) {
                Some(begun) => *begun,
                None => {
                    let begun = table.open(&self.opening(op));
                    table.begun.insert(kind, begun);
                    begun
                }
            };
        }
        World::new(states, self.budget)
    }

    fn opening(self, op: usize) -> Opening {
        let who = if op == 0 { Who::Ana } else { Who::Bo };
        let of = |both: [bool; OPS]| both.get(op).copied().unwrap_or_default();
        let mut policy = fixtures::policy();
        policy.approvals_min = self.approvals.get(op).copied().unwrap_or_default();
        policy.limits.click_within = Duration::from_secs(900);
        let mut opening = if of(self.proposed) {
            fixtures::proposed(policy)
        } else {
            fixtures::clicked_by(&who.person(), policy)
        };
        opening.id = parsed(&format!("rb-{}", op + 1));
        opening.purpose = if of(self.drill) { Purpose::Drill } else { Purpose::Real };
        let capabilities = match self.cd {
            Cd::Compares => Capabilities::new(CompareAndSet::Yes, Fence::Yes).cancels(Cancel::Yes),
            Cd::Ticket => Capabilities::new(CompareAndSet::Ticket, Fence::Yes).cancels(Cancel::Yes),
            Cd::Neither => Capabilities::new(CompareAndSet::No, Fence::No).cancels(Cancel::Yes),
        };
        opening.backend = BackendEntry::new(parsed("prod"), capabilities);
        opening
    }
}

impl Game {
    /// Whether everything has ended, as far as the engine is concerned.
    #[must_use]
    pub fn has_ended(table: &Table, world: &World) -> bool {
        world.states().into_iter().all(|state: Id| table.info(state).name.is_end())
    }

    /// Whether something has not ended and nothing can happen any more.
    #[must_use]
    pub fn is_stuck(&self, world: &World) -> bool {
        // Where a person is waited for, a deadline ends it.
        let table = self.table();
        let rests = |state: Id| {
            let info = table.info(state);
            info.name.is_end() || (info.wait == Wait::Nothing && info.deadline.is_some())
        };
        let at_rest = world.states().into_iter().all(rests);
        drop(table);
        if world.broken().is_some() || at_rest {
            return false;
        }
        let mut acts = Vec::new();
        let mut table = self.table();
        self.acts(&table, world, &mut acts);
        !acts.into_iter().any(|act| self.after(&mut table, world, act).is_some())
    }

    /// A broken promise in words.
    #[must_use]
    pub fn words(table: &Table, broken: Broken) -> String {
        match broken {
            Broken::Promise(number) => {
                let prefix = format!("INV-{number:02} ");
                let name = rollback_verify::names().find(|name| name.starts_with(&prefix));
                name.unwrap_or(&prefix).to_owned()
            }
            Broken::Journal(place) => table.found(place).unwrap_or_default(),
        }
    }
}

impl Model for Game {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        vec![self.start.clone()]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Act>) {
        self.acts(&self.table(), state, actions);
    }

    fn next_state(&self, last: &World, act: Act) -> Option<World> {
        self.after(&mut self.table(), last, act)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("every promise holds", |_: &Self, world: &World| {
                world.broken().is_none()
            }),
            Property::always("nothing is stuck", |game: &Self, world: &World| {
                !game.is_stuck(world)
            }),
        ]
    }
}
