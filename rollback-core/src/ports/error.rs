//! What an adapter's error says: what to do about it, and of what.

use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;

/// What a caller should do about a failed read, or about a write that certainly did not happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Trying again may help, after this long if the source said so.
    Retry(Option<Duration>),
    /// Trying again will not help.
    Rejected,
    /// The adapter or its credentials are set up wrongly.
    Misconfigured,
    /// The adapter cannot do this; see its capabilities.
    Unsupported,
}

/// An error of an adapter. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("{adapter} could not {operation}: {what}")]
#[non_exhaustive]
pub struct PortError {
    /// What to do about it.
    pub kind: ErrorKind,
    /// Which adapter.
    pub adapter: &'static str,
    /// During what.
    pub operation: &'static str,
    /// What happened and what to do next, fit for a chat: no secret, no address with a token.
    pub what: String,
    source: Option<Box<dyn core::error::Error + Send + Sync>>,
}

impl PortError {
    /// Describes an error.
    #[must_use]
    pub fn new(
        kind: ErrorKind,
        adapter: &'static str,
        operation: &'static str,
        what: impl Into<String>,
    ) -> Self {
        Self { kind, adapter, operation, what: what.into(), source: None }
    }

    /// Adds what caused it, for logs.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn core::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }
}
