//! Whoever keeps the audit log out of the service's own reach, and signs it.

use super::error::PortError;
use crate::audit;
use alloc::boxed::Box;
use alloc::string::String;
use async_trait::async_trait;
use core::fmt;

/// Keeps audit records where the service itself cannot change them.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuditSink: fmt::Debug + Send + Sync {
    /// Its name, as the outbox keeps it. Must not change between releases.
    fn name(&self) -> &'static str;

    /// Keeps one record, durably, before it answers. The same record twice is kept once.
    ///
    /// # Errors
    ///
    /// [`PortError`] when the record is not certainly kept; it is tried again.
    async fn record(&self, record: &audit::Record) -> Result<(), PortError>;

    /// Who remembers how far the sink has come. The default leaves that to the store.
    ///
    /// # Errors
    ///
    /// [`PortError`] when that cannot be found out; it is asked again.
    async fn kept(&self) -> Result<Kept, PortError> {
        Ok(Kept::ByStore)
    }

    /// Looks whether the next record could be kept, between two records. The default asks how far the
    /// sink has come. What this finds wrong is shown and paged; the next record is tried all the same.
    ///
    /// # Errors
    ///
    /// [`PortError`] when it probably could not.
    async fn look(&self) -> Result<(), PortError> {
        self.kept().await.map(drop)
    }

    /// Keeps a checkpoint, durably, before it answers. A newer one does not replace an older one.
    /// The same twice may be kept twice. The default keeps none.
    ///
    /// # Errors
    ///
    /// [`PortError`] when the checkpoint is not certainly kept; it, or a newer one, comes again.
    async fn checkpoint(&self, checkpoint: &audit::SignedCheckpoint) -> Result<(), PortError> {
        let _kept_by_others = checkpoint;
        Ok(())
    }

    /// The note of the newest checkpoint that is kept. The default keeps none.
    ///
    /// # Errors
    ///
    /// [`PortError`] when that cannot be found out.
    async fn last_checkpoint(&self) -> Result<Option<String>, PortError> {
        Ok(None)
    }
}

/// How far an audit sink has come, and who remembers it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "one or the other")]
pub enum Kept {
    /// The store, by the sink's name, for all processes together: each record goes to the sink of one
    /// of them. For what is one place, whoever writes to it.
    ByStore,
    /// The sink itself: it is a copy of the log that ends with this record, or is empty. Each process
    /// gives its own sink every record. For what belongs to one process, such as a file.
    BySink(Option<audit::Head>),
}

/// Signs checkpoints of the audit log, with a key that whoever administers the database does not
/// have.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait CheckpointSigner: fmt::Debug + Send + Sync {
    /// Signs a checkpoint.
    ///
    /// # Errors
    ///
    /// [`PortError`] when it cannot be written as a note. Nothing was signed.
    fn sign(&self, checkpoint: audit::Checkpoint) -> Result<audit::SignedCheckpoint, PortError>;

    /// Reads a note and checks that this signer, or the one it replaces, signed it.
    ///
    /// # Errors
    ///
    /// [`PortError`] when it did not, or the text is no checkpoint.
    fn open(&self, note: &str) -> Result<audit::SignedCheckpoint, PortError>;
}
