//! The world around the machine: replicas with claims and fences, a network that delays, loses and
//! repeats, and a CD system.
//!
//! What a replica does is what `rollback-engine` does, reduced to its decisions; what becomes of a
//! rollback is decided by the real machine, and an order in doubt is settled by the real protocol
//! ([`rollback_core::reconcile`]). The CD system is the ground truth, and so are the marks that
//! `Op` keeps for the promises.

use crate::event::{Ev, Rev, Who};
use crate::table::Id;
use rollback_core::reconcile::{Fencing, Looking};

/// How many rollbacks of the one service there are.
pub const OPS: usize = 2;
/// How many replicas there are.
pub const REPLICAS: usize = 3;

/// What a CD system can do.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "what adapters declare")]
pub enum Cd {
    /// It compares the live revision itself, and can be fenced.
    Compares,
    /// An order is a ticket: taken at once, compared when it is redeemed, and void when fenced.
    Ticket,
    /// It can neither compare nor be fenced.
    Neither,
}

/// A mistake in what the model stands for, to see that it is found.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "each is asked for by name")]
pub enum Flaw {
    /// An order whose answer did not come is sent again.
    ResendsAfterTimeout,
    /// The record of intent is acknowledged only after the order was sent.
    RecordsLater,
    /// Whoever takes a rollback over sends its order again.
    RecoveryResends,
    /// The store takes what a replica writes whoever owns the rollback.
    NoFencing,
    /// Both that and the next: nothing stands between two owners and the service.
    NoFencingNoPrecondition,
    /// The CD system does not compare the live revision, whatever it declares.
    DoesNotCompare,
    /// A fence is said to stand and was never written.
    FenceNotWritten,
    /// A lease ends by the clock of whoever wants it.
    LeaseByOwnClock,
    /// A new owner gets the fencing number of the one before.
    TokensAgain,
    /// A fence stops what is on its way, and not the order that is sent after it.
    FenceForgetsTheOrder,
}

impl Flaw {
    /// Every flaw, with its name and the promise that it breaks first.
    pub const ALL: [(Self, &'static str, &'static str); 10] = [
        (Self::ResendsAfterTimeout, "resend-after-timeout", "INV-14"),
        (Self::RecordsLater, "audit-after-effect", "INV-29"),
        (Self::RecoveryResends, "crash-recovery-resends", "INV-14"),
        (Self::NoFencing, "no-fencing", "INV-23"),
        (Self::NoFencingNoPrecondition, "no-fencing-no-precondition", "INV-10"),
        (Self::DoesNotCompare, "no-cd-precondition", "INV-10"),
        (Self::FenceNotWritten, "fence-not-written", "INV-19"),
        (Self::LeaseByOwnClock, "wall-clock-lease", "INV-22"),
        (Self::TokensAgain, "token-reuse-after-restore", "INV-22"),
        (Self::FenceForgetsTheOrder, "fence-forgets-the-order", "INV-19"),
    ];
}

/// How often each thing may still go wrong. All are finite, so that every path ends.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "whoever plays says how much may go wrong")]
pub struct Budget {
    /// A replica dies and starts again.
    pub crashes: u8,
    /// A lease runs out while its owner lives.
    pub expiries: u8,
    /// Somebody deploys a newer revision, past us.
    pub deploys: u8,
    /// A request to the CD system is lost, or its answer is, or it is repeated.
    pub network: u8,
    /// A person changes their mind.
    pub words: u8,
    /// A source does not say, or says no.
    pub odd: u8,
    /// A deadline passes that need not.
    pub deadlines: u8,
    /// The same after the order: the CD system takes longer than its limit, or is silent.
    pub overdue: u8,
    /// The CD system falls silent about what it carries out.
    pub silences: u8,
    /// Deadlines are told before they are reached, too. That must never change anything.
    pub early: bool,
}

/// A rollback, as the store has it, and what was seen of it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question with two answers")]
pub(crate) struct Op {
    pub(crate) state: Id,
    /// The replica that owns it, from 1; 0 is nobody.
    pub(crate) owner: u8,
    pub(crate) fence: u8,
    pub(crate) expired: bool,
    /// The required sink has the record of intent.
    pub(crate) kept: bool,
    /// The store has the step that gave the order.
    pub(crate) given: bool,
    pub(crate) sends: u8,
    pub(crate) effects: u8,
    pub(crate) fenced: bool,
    pub(crate) broken: Option<Broken>,
}

/// A promise that was broken, by its number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "the promises of the list")]
pub enum Broken {
    /// A predicate over the journal: the place in [`crate::table::Table::found`].
    Journal(u32),
    /// By the number of the invariant.
    Promise(u8),
}

/// How far a replica is with sending an order.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Sending {
    #[default]
    No,
    /// It has the order of the step that it stored, under this claim.
    Holds(u8),
    /// It has made sure of its claim; the next thing it does is send.
    Sure,
    /// It waits for the answer.
    Waits,
    /// It was answered.
    Heard(Answer),
    /// It is over with it.
    Done,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Answer {
    Accepted,
    Refused,
    Conflict,
}

/// How far a replica is with finding out about an order.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Doubt {
    #[default]
    No,
    Finds(Looking),
    Fences(Fencing),
    Knows(Known),
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Known {
    Found,
    Absent,
    Unknown,
}

/// What a replica believes about one rollback.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Local {
    /// The fencing number of the claim it believes in; 0 is none.
    pub(crate) claim: u8,
    pub(crate) sending: Sending,
    pub(crate) doubt: Doubt,
}

/// An order on its way.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Sent {
    pub(crate) op: u8,
    /// Who waits for the answer.
    pub(crate) replica: u8,
    /// How many fences stood when it was sent.
    pub(crate) generation: u8,
}

/// An order at the CD system.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Execution {
    #[default]
    None,
    /// A ticket that is not redeemed yet.
    Queued,
    Running,
    Complete,
    Failed,
    Cancelled,
}

/// Everything there is.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct World {
    pub(crate) ops: [Op; OPS],
    pub(crate) replicas: [[Local; OPS]; REPLICAS],
    pub(crate) live: Rev,
    pub(crate) generation: u8,
    /// The orders that a fence names.
    pub(crate) void: [bool; OPS],
    pub(crate) executions: [Execution; OPS],
    pub(crate) net: Vec<Sent>,
    pub(crate) budget: Budget,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(missing_docs, clippy::exhaustive_enums, reason = "the moves of the model, read aloud")]
pub enum Act {
    /// A person says something about a rollback.
    Says(usize, Ev),
    /// A replica claims a rollback.
    Claims(usize, usize),
    /// A replica does what the state waits for, and stores what came of it.
    Works(usize, usize),
    /// The same, and a source says something odd.
    WorksOddly(usize, usize, Ev),
    /// A replica finds an order that it has not sent and does not have.
    Doubts(usize, usize),
    /// A replica makes sure of its claim before it sends.
    MakesSure(usize, usize),
    Sends(usize, usize),
    /// A request arrives, and its sender hears the answer, or does not.
    Arrives {
        request: usize,
        heard: bool,
        again: bool,
    },
    Lost(usize),
    GivesUpWaiting(usize, usize),
    StoresAnswer(usize, usize),
    /// The next question of the protocol is asked.
    Asks(usize, usize),
    StoresFinding(usize, usize),
    DeadlinePasses(usize, usize),
    DeadlinePassesLate(usize, usize),
    DeadlineIsEarly(usize, usize),
    FallsSilent(usize, usize),
    /// A ticket is redeemed.
    Redeems(usize),
    /// The CD system gets on with an execution.
    Ends(usize, bool),
    /// The CD system gives an execution up, and puts back what was live.
    FailsBack(usize),
    LeaseEnds(usize),
    Crashes(usize),
    SomebodyDeploys,
    Cancels(usize, usize),
    /// The same, and the answer is lost.
    CancelsUnheard(usize, usize),
    RefusesToCancel(usize, usize),
}

impl World {
    /// Two rollbacks, and nobody has done anything.
    #[must_use]
    pub fn new(states: [Id; OPS], budget: Budget) -> Self {
        let op = |state| Op {
            state,
            owner: 0,
            fence: 0,
            expired: false,
            kept: false,
            given: false,
            sends: 0,
            effects: 0,
            fenced: false,
            broken: None,
        };
        Self {
            ops: states.map(op),
            replicas: [[Local::default(); OPS]; REPLICAS],
            live: Rev::From,
            generation: 0,
            void: [false; OPS],
            executions: [Execution::None; OPS],
            net: Vec::new(),
            budget,
        }
    }

    /// The promise that was broken, if one was.
    #[must_use]
    pub fn broken(&self) -> Option<Broken> {
        self.ops.iter().find_map(|op| op.broken)
    }

    /// The states of the rollbacks.
    #[must_use]
    pub fn states(&self) -> [Id; OPS] {
        self.ops.map(|op| op.state)
    }

    /// How many orders were sent, and how many took effect.
    #[must_use]
    pub fn count(&self) -> (u32, u32) {
        let sum = |of: fn(&Op) -> u8| self.ops.iter().map(|op| u32::from(of(op))).sum();
        (sum(|op| op.sends), sum(|op| op.effects))
    }

    /// Replicas differ in nothing but their number: worlds that differ in nothing else are one.
    pub(crate) fn sort_replicas(&mut self) {
        let mut order = [0, 1, 2];
        let owned = |replica: usize| self.ops.map(|op| usize::from(op.owner) == replica + 1);
        order.sort_by_key(|replica| (self.replicas.get(*replica).copied(), owned(*replica)));
        if order == [0, 1, 2] {
            return;
        }
        let place = |old: u8| {
            let found = order.iter().position(|replica| *replica == usize::from(old));
            u8::try_from(found.unwrap_or_default()).unwrap_or_default()
        };
        for op in &mut self.ops {
            if let Some(owner) = op.owner.checked_sub(1) {
                op.owner = place(owner) + 1;
            }
        }
        for sent in &mut self.net {
            sent.replica = place(sent.replica);
        }
        self.net.sort_unstable();
        let before = self.replicas;
        for (to, from) in self.replicas.iter_mut().zip(order) {
            *to = before.get(from).copied().unwrap_or_default();
        }
    }
}

/// Who says what about each rollback, and who approves it: roles overlap.
pub(crate) const APPROVERS: [[Who; 3]; OPS] =
    [[Who::Bo, Who::AnaAgain, Who::Ana], [Who::AnaAgain, Who::Bo, Who::Eve]];
