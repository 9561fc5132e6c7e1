//! What a server remembers of the orders that came to it: written before it acts, read after a
//! crash.

use crate::wire::OrderBody;
use async_trait::async_trait;
use rollback_core::{Label, Receipt, RevisionRef, RollbackId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Keeps what happened to orders. Records of one order are read in the order in which they were
/// written.
#[async_trait]
pub trait OrderLog: fmt::Debug + Send + Sync {
    /// Keeps one record, durably, before it answers: a record of an order that is about to be
    /// carried out must be there after the next crash.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the record is not certainly kept. It may be there nevertheless; an order
    /// whose record came to nothing is never carried out.
    async fn append(&self, record: &LogRecord) -> Result<(), LogError>;

    /// Everything that is known about an order; none when it never came.
    ///
    /// # Errors
    ///
    /// [`LogError`] when that cannot be read. Nothing is guessed.
    async fn read(&self, operation: &RollbackId) -> Result<Option<Logged>, LogError>;
}

/// Why the log could not be used.
#[derive(Debug, thiserror::Error)]
#[error("the log of orders cannot be used: {what}")]
#[non_exhaustive]
pub struct LogError {
    /// What happened and what to do next.
    pub what: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl LogError {
    /// Describes an error.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }

    /// Adds what caused it.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// One thing that happened to an order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum LogRecord {
    /// It came, and will be carried out next. From here on it is never carried out again.
    Received(Received),
    /// The CD system took it.
    #[non_exhaustive]
    Accepted {
        /// Which order.
        operation_id: RollbackId,
        /// When that was known.
        at: Timestamp,
        /// The CD system's receipt.
        receipt: Receipt,
    },
    /// It was turned away, and nothing happened.
    #[non_exhaustive]
    Refused {
        /// Which order.
        operation_id: RollbackId,
        /// When.
        at: Timestamp,
        /// Why.
        refusal: Refusal,
    },
    /// It is void: should it come, or come again, it is turned away.
    #[non_exhaustive]
    Voided {
        /// Which order.
        operation_id: RollbackId,
        /// When.
        at: Timestamp,
    },
}

impl LogRecord {
    /// Which order it is about.
    #[must_use]
    pub const fn operation(&self) -> &RollbackId {
        match self {
            Self::Received(received) => &received.order.operation_id,
            Self::Accepted { operation_id, .. }
            | Self::Refused { operation_id, .. }
            | Self::Voided { operation_id, .. } => operation_id,
        }
    }
}

/// An order as it came.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Received {
    /// When.
    pub at: Timestamp,
    pub(crate) order: OrderBody,
}

impl Received {
    pub(crate) const fn new(at: Timestamp, order: OrderBody) -> Self {
        Self { at, order }
    }
}

/// Why an order was turned away.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Refusal {
    /// In which way.
    pub because: Because,
    /// In words.
    pub why: Label,
    /// What was live instead, if that was told.
    pub live: Option<RevisionRef>,
}

impl Refusal {
    pub(crate) fn new(because: Because, why: impl Into<Label>) -> Self {
        Self { because, why: why.into(), live: None }
    }
}

/// In which way an order was turned away.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the wire contract has these three")]
pub enum Because {
    /// There is no such target, or no such service.
    Missing,
    /// Something else is live.
    LiveHasMoved,
    /// The CD system refused it.
    Refused,
}

/// Everything that is known about one order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Logged {
    /// The order as it came first; none when it was voided before it came.
    pub received: Option<Received>,
    /// What became of it; none when that is in doubt.
    pub outcome: Option<Outcome>,
}

/// What became of an order.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a fourth outcome must be decided by the server")]
pub enum Outcome {
    /// The CD system took it.
    Accepted(Receipt),
    /// It was turned away, and nothing happened.
    Refused(Refusal),
    /// It is void.
    Voided,
}

impl Logged {
    /// Takes one more record in. What came first stands: an order is received once, and has one
    /// outcome.
    pub fn take(&mut self, record: &LogRecord) {
        match record {
            LogRecord::Received(received) => {
                self.received.get_or_insert_with(|| received.clone());
            }
            LogRecord::Accepted { receipt, .. } => self.ended(Outcome::Accepted(receipt.clone())),
            LogRecord::Refused { refusal, .. } => self.ended(Outcome::Refused(refusal.clone())),
            LogRecord::Voided { .. } => self.ended(Outcome::Voided),
        }
    }

    fn ended(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
    }
}

/// Everything, by order.
#[derive(Debug, Default)]
pub(super) struct Index(BTreeMap<RollbackId, Logged>);

impl Index {
    pub(super) fn take(&mut self, record: &LogRecord) {
        self.0.entry(record.operation().clone()).or_default().take(record);
    }

    pub(super) fn read(&self, operation: &RollbackId) -> Option<Logged> {
        self.0.get(operation).cloned()
    }
}

/// A log that is gone with the process: for tests, and for a CD system that is gone with it too.
#[derive(Debug, Default)]
pub struct MemoryLog(Mutex<Index>);

#[async_trait]
impl OrderLog for MemoryLog {
    async fn append(&self, record: &LogRecord) -> Result<(), LogError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(record);
        Ok(())
    }

    async fn read(&self, operation: &RollbackId) -> Result<Option<Logged>, LogError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).read(operation))
    }
}
