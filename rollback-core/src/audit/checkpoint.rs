//! Checkpoints: the end of the chain at a moment, signed, for places that whoever can change the
//! database cannot.

use super::Head;
use crate::time::Timestamp;
use alloc::string::String;

/// The end of a chain at a moment.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// How far the chain went, and its hash there.
    pub head: Head,
    /// When it was made.
    pub at: Timestamp,
    /// Since when the process that made it has been making them. Between two of one process there
    /// is a bound on the time, so that silence can be told from checkpoints that were taken away.
    pub epoch: Timestamp,
}

impl Checkpoint {
    /// A checkpoint.
    #[must_use]
    pub const fn new(head: Head, at: Timestamp, epoch: Timestamp) -> Self {
        Self { head, at, epoch }
    }
}

/// A checkpoint as a note that carries its signatures. That they are good is known by whoever made
/// this value: [`CheckpointSigner`](crate::ports::CheckpointSigner).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SignedCheckpoint {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// The note: the text that was signed, and the signatures.
    pub note: String,
}

impl SignedCheckpoint {
    /// A checkpoint with the note that it was signed as.
    #[must_use]
    pub const fn new(checkpoint: Checkpoint, note: String) -> Self {
        Self { checkpoint, note }
    }
}
