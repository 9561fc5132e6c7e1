//! Random histories: each seed draws what kind of rollbacks there are, how much goes wrong, and how
//! likely each thing is. Some seeds are calm, some lose every second request; averages would hide
//! what only an unlikely mixture shows.

use crate::Setup;
use crate::event::Ev;
use crate::play::Game;
use crate::table::Table;
use crate::world::{Act, Budget, Cd, Flaw, World};
use rollback_core::StateName;
use std::collections::{BTreeMap, BTreeSet};

/// Most moves of a history. One that is longer has stopped getting on.
pub const MOVES_MAX: usize = 400;

/// Deadlines that may pass once nothing goes wrong any more: enough for every wait of two rollbacks.
const DEADLINES_MAX: u8 = 40;

/// Numbers from a seed: always the same ones.
#[derive(Clone, Copy, Debug)]
pub struct Draw(u64);

impl Draw {
    /// The numbers of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub const fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.any() % if bound == 0 { 1 } else { bound }
    }

    /// One of several.
    pub fn one_of<T: Copy + Default>(&mut self, choices: &[T]) -> T {
        let bound = u64::try_from(choices.len()).unwrap_or(1);
        let place = usize::try_from(self.below(bound)).unwrap_or_default();
        choices.get(place).copied().unwrap_or_default()
    }
}

/// How likely each kind of move is, against the others.
const KINDS: usize = 12;

/// What a seed draws.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a failure prints all of it")]
pub struct Options {
    /// The rollbacks, the CD system and the budgets.
    pub setup: Setup,
    /// The weight of each kind of move.
    pub weights: [u32; KINDS],
}

impl Options {
    /// What this seed draws.
    #[must_use]
    pub fn drawn(seed: u64, flaw: Option<Flaw>) -> Self {
        let mut draw = Draw::new(seed ^ 0xC0DE);
        let cds = [Some(Cd::Compares), Some(Cd::Compares), Some(Cd::Ticket), Some(Cd::Neither)];
        let mut setup = Setup::new(draw.one_of(&cds).unwrap_or(Cd::Compares));
        setup.flaw = flaw;
        setup.approvals = [draw.one_of(&[0, 0, 0, 1, 2]), draw.one_of(&[0, 0, 0, 1, 2])];
        setup.proposed = [draw.one_of(&[false, false, false, true]), false];
        setup.drill = [draw.one_of(&[false; 7]) || draw.below(8) == 0, draw.below(16) == 0];
        setup.budget = Budget {
            crashes: draw.one_of(&[0, 0, 1, 2, 4]),
            expiries: draw.one_of(&[0, 0, 1, 2, 4]),
            deploys: draw.one_of(&[0, 0, 0, 1]),
            network: draw.one_of(&[0, 0, 1, 2, 6]),
            words: draw.one_of(&[0, 0, 0, 1, 2]),
            odd: draw.one_of(&[0, 0, 0, 1, 2, 3]),
            deadlines: draw.one_of(&[0, 0, 1, 2]),
            overdue: draw.one_of(&[0, 0, 1, 2, 3]),
            silences: draw.one_of(&[0, 0, 0, 1, 2]),
            early: draw.below(8) == 0,
        };
        let mut weights = [16; KINDS];
        for weight in weights.iter_mut().skip(1) {
            *weight = draw.one_of(&[1, 2, 4, 8, 16, 32]);
        }
        Self { setup, weights }
    }
}

/// The kind of a move: everything that goes as it should is of one kind.
const fn kind(act: Act) -> usize {
    match act {
        Act::Says(..) => 1,
        Act::WorksOddly(..) | Act::Ends(_, false) | Act::FailsBack(_) => 2,
        Act::Arrives { heard: true, again: false, .. } => 3,
        Act::Arrives { .. } | Act::Lost(_) => 4,
        Act::GivesUpWaiting(..) => 5,
        Act::DeadlinePasses(..)
        | Act::DeadlinePassesLate(..)
        | Act::DeadlineIsEarly(..)
        | Act::FallsSilent(..) => 6,
        Act::LeaseEnds(_) => 7,
        Act::Crashes(_) => 8,
        Act::SomebodyDeploys => 9,
        Act::Claims(..) => 10,
        Act::Sends(..) => 11,
        Act::Works(..)
        | Act::Doubts(..)
        | Act::MakesSure(..)
        | Act::StoresAnswer(..)
        | Act::Asks(..)
        | Act::StoresFinding(..)
        | Act::Redeems(_)
        | Act::Ends(_, true)
        | Act::Cancels(..)
        | Act::CancelsUnheard(..)
        | Act::RefusesToCancel(..) => 0,
    }
}

/// What was seen in many histories; what never happens was not tested.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "quotas are asked of each")]
pub struct Counts {
    /// How many there were.
    pub histories: u64,
    /// How many moves they had.
    pub moves: u64,
    /// In how many an order was sent.
    pub sent: u64,
    /// In how many an order took effect.
    pub took_effect: u64,
    /// In how many a rollback was taken over after its order was given.
    pub taken_over: u64,
    /// In how many a process was about to send, and had lost its claim.
    pub zombies: u64,
    /// How often an order in doubt was found, and was proved absent.
    pub found: u64,
    /// See [`Self::found`].
    pub absent: u64,
    /// How often a fence was put up.
    pub fences: u64,
    /// How often a request came twice.
    pub repeated: u64,
    /// How often an order took effect after its outcome was called unknown.
    pub late: u64,
    /// Histories in which two rollbacks were confirmed.
    pub both: u64,
    /// How each rollback ended.
    pub ends: BTreeMap<StateName, u64>,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.histories += other.histories;
        self.moves += other.moves;
        self.sent += other.sent;
        self.took_effect += other.took_effect;
        self.taken_over += other.taken_over;
        self.zombies += other.zombies;
        self.found += other.found;
        self.absent += other.absent;
        self.fences += other.fences;
        self.repeated += other.repeated;
        self.late += other.late;
        self.both += other.both;
        for (end, times) in other.ends {
            *self.ends.entry(end).or_default() += times;
        }
        self
    }
}

/// A history that broke a promise.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a failure prints all of it")]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// What the seed drew.
    pub options: Options,
    /// The promise, in words.
    pub broken: String,
    /// The moves that led there, made short.
    pub moves: Vec<Act>,
}

/// Plays histories on one table.
#[derive(Debug)]
pub struct Player {
    table: Table,
    acts: Vec<Act>,
    weights: Vec<u32>,
    made: Vec<Act>,
    /// What was seen so far.
    pub counts: Counts,
}

impl Default for Player {
    fn default() -> Self {
        Self::new()
    }
}

impl Player {
    /// Nothing was played yet.
    #[must_use]
    pub fn new() -> Self {
        Self::on(&Table::new())
    }

    /// Nothing was played yet, on a table that others play on, too.
    #[must_use]
    pub fn on(table: &Table) -> Self {
        Self {
            table: table.clone(),
            acts: Vec::new(),
            weights: Vec::new(),
            made: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Plays the history of a seed.
    ///
    /// # Errors
    ///
    /// [`Failure`] when a promise is broken.
    pub fn play(&mut self, seed: u64, flaw: Option<Flaw>) -> Result<(), Box<Failure>> {
        let options = Options::drawn(seed, flaw);
        let Self { table, acts, weights, made, counts } = self;
        let mut world = options.setup.world(table);
        let game = Game::of(options.setup, World::new(world.states(), Budget::default()));
        let mut draw = Draw::new(seed);
        made.clear();
        counts.histories += 1;
        let mut once = Once::default();
        for _move in 0..MOVES_MAX {
            acts.clear();
            game.acts(table, &world, acts);
            let Some(act) = choose(acts, &options.weights, weights, &mut draw) else { break };
            once.before(table, &world, act, counts);
            game.happens(table, &mut world, act);
            counts.moves += 1;
            made.push(act);
            if let Some(broken) = world.broken() {
                let broken = Game::words(table, broken);
                let moves = shortened(&game, table, &options, made);
                return Err(Box::new(Failure { seed, options, broken, moves }));
            }
        }
        // Nothing goes wrong from now on, and time passes: everything must end.
        world.budget = Budget { deadlines: DEADLINES_MAX, ..Budget::default() };
        let mut calm = [16; KINDS];
        // People have said what they had to say, and time passes slowly.
        for rare in [Act::Says(0, Ev::Deadline), Act::DeadlinePasses(0, 0)] {
            if let Some(weight) = calm.get_mut(kind(rare)) {
                *weight = 2;
            }
        }
        for _move in 0..MOVES_MAX {
            if Game::has_ended(table, &world) {
                break;
            }
            acts.clear();
            game.acts(table, &world, acts);
            let Some(act) = choose(acts, &calm, weights, &mut draw) else { break };
            game.happens(table, &mut world, act);
            made.push(act);
        }
        if !Game::has_ended(table, &world) || world.broken().is_some() {
            let broken = world.broken().map(|broken| Game::words(table, broken));
            let broken = broken.unwrap_or_else(|| "INV-35 everything ends: it did not".to_owned());
            let moves = made.clone();
            return Err(Box::new(Failure { seed, options, broken, moves }));
        }
        once.after(table, &world, counts);
        Ok(())
    }

    /// What the machine was seen to do: states, refusals by guard and verdict, dispositions.
    #[must_use]
    pub fn seen(&self) -> BTreeSet<String> {
        self.table.seen()
    }

    /// How many states and steps of the machine there were.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.table.size()
    }
}

/// One of these, each as likely as its kind weighs. `weights` is scratch paper.
fn choose(
    acts: &[Act],
    kinds: &[u32; KINDS],
    weights: &mut Vec<u32>,
    draw: &mut Draw,
) -> Option<Act> {
    weights.clear();
    weights.extend(acts.iter().map(|act| kinds.get(kind(*act)).copied().unwrap_or(1)));
    let all: u32 = weights.iter().sum();
    if all == 0 {
        return None;
    }
    let mut left = draw.below(u64::from(all));
    for (act, own) in acts.iter().zip(weights) {
        let own = u64::from(*own);
        if left < own {
            return Some(*act);
        }
        left -= own;
    }
    None
}

/// The same end with fewer moves: each is left out if the rest still breaks the promise.
fn shortened(game: &Game, table: &mut Table, options: &Options, made: &[Act]) -> Vec<Act> {
    let mut breaks = |moves: &[Act]| {
        let mut world = options.setup.world(table);
        let mut possible = Vec::new();
        for act in moves {
            possible.clear();
            game.acts(table, &world, &mut possible);
            if !possible.contains(act) {
                return false;
            }
            game.happens(table, &mut world, *act);
        }
        world.broken().is_some()
    };
    let mut short = made.to_vec();
    let mut place = 0;
    while place < short.len() {
        let mut without = short.clone();
        without.remove(place);
        if breaks(&without) {
            short = without;
        } else {
            place += 1;
        }
    }
    short
}

/// What is counted once for each history.
#[derive(Debug, Default)]
struct Once {
    taken_over: bool,
    zombie: bool,
}

impl Once {
    fn before(&mut self, table: &Table, world: &World, act: Act, counts: &mut Counts) {
        match act {
            Act::Claims(_, op) => {
                let given = world.ops.get(op).is_some_and(|op| op.given && op.fence > 0);
                if given && !self.taken_over {
                    self.taken_over = true;
                    counts.taken_over += 1;
                }
            }
            Act::Sends(replica, op) => {
                let owner = world.ops.get(op).map_or(0, |op| usize::from(op.owner));
                if owner != replica + 1 && !self.zombie {
                    self.zombie = true;
                    counts.zombies += 1;
                }
            }
            Act::StoresFinding(replica, op) => {
                use crate::world::{Doubt, Known};
                let doubt = world.replicas.get(replica).and_then(|ops| ops.get(op));
                match doubt.map(|local| local.doubt) {
                    Some(Doubt::Knows(Known::Found)) => counts.found += 1,
                    Some(Doubt::Knows(Known::Absent)) => counts.absent += 1,
                    _ => {}
                }
            }
            Act::Asks(replica, op) => {
                use crate::world::Doubt;
                let local = world.replicas.get(replica).and_then(|ops| ops.get(op));
                counts.fences +=
                    u64::from(local.is_some_and(|l| matches!(l.doubt, Doubt::Fences(_))));
            }
            Act::Arrives { again: true, .. } => counts.repeated += 1,
            Act::Arrives { request, .. } => {
                let op =
                    world.net.get(request).and_then(|sent| world.ops.get(usize::from(sent.op)));
                let unknown = op.is_some_and(|op| {
                    op.effects == 0 && table.info(op.state).name == StateName::OutcomeUnknown
                });
                counts.late += u64::from(unknown);
            }
            _ => {}
        }
    }

    fn after(&self, table: &Table, world: &World, counts: &mut Counts) {
        let (sends, effects) = world.count();
        counts.sent += u64::from(sends > 0);
        counts.took_effect += u64::from(effects > 0);
        counts.both += u64::from(world.ops.iter().all(|op| op.given));
        for state in world.states() {
            *counts.ends.entry(table.info(state).name).or_default() += 1;
        }
    }
}
