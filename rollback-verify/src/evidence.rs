//! What was seen: the evidence that the predicates judge.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use rollback_core::audit::{Head, Record};
use rollback_core::notice::{MessageRef, Notice};
use rollback_core::ports::{Commit, Instance, Journal};
use rollback_core::{
    ChannelId, Label, Plan, RevisionId, RollbackId, RollbackView, ServiceKey, StateName, Timestamp,
};

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
        /// When, by the store's clock.
        at: Timestamp,
        /// Until when, by the same clock.
        until: Timestamp,
    },
    /// A claim was given back.
    GaveBack {
        /// On which rollback.
        rollback: RollbackId,
        /// Its fencing number.
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
                write!(f, "stored   {rollback} #{entries} {state}, ")?;
                f.write_str(if *holds { "holds its service, " } else { "holds nothing, " })?;
                match fence {
                    Some(fence) => write!(f, "under {fence}"),
                    None => f.write_str("without a claim"),
                }
            }
            Self::Claimed { rollback, owner, fence, at, until } => {
                let owner = owner.as_str();
                write!(f, "claimed  {rollback} by {owner} under {fence} at {at} until {until}")
            }
            Self::GaveBack { rollback, fence } => write!(f, "released {rollback} under {fence}"),
            Self::Sent { rollback, plan, at } => {
                write!(f, "sent     {rollback} {} -> {} at {at}", plan.from(), plan.to())
            }
            Self::TookEffect { rollback, live: Some(live) } => {
                write!(f, "effect   {rollback} on `{live}`")
            }
            Self::TookEffect { rollback, live: None } => {
                write!(f, "effect   {rollback} on nothing that is known")
            }
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

/// A message, and everything it ever showed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Message {
    /// The key it was posted with.
    pub key: Label,
    /// Where.
    pub channel: ChannelId,
    /// In whose thread.
    pub thread: Option<MessageRef>,
    /// Its identity.
    pub message: MessageRef,
    /// The versions that it showed, in order.
    pub shown: Vec<(u64, Notice)>,
    /// The end of the audit chain that it was last told with.
    pub witness: Option<Head>,
}

impl Message {
    /// A message that has shown nothing yet.
    #[must_use]
    pub fn new(key: impl Into<Label>, channel: ChannelId, message: MessageRef) -> Self {
        Self { key: key.into(), channel, thread: None, message, shown: Vec::new(), witness: None }
    }

    /// What it shows now.
    #[must_use]
    pub fn now(&self) -> Option<&Notice> {
        self.shown.last().map(|(_, notice)| notice)
    }
}
