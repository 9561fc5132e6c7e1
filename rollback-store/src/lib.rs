//! The engine's store: everything that must survive a crash, in one SQLite file.
//!
//! ```text
//!   commit ──┐  ┌──────── the writer ────────┐
//!   claim  ──┼─>│ BEGIN                      │      ┌─────────────┐
//!   commit ──┤  │   a savepoint for each     │─────>│ rollback.db │  one flush for all of them,
//!   queue  ──┘  │ COMMIT, then all answers   │      └─────────────┘  and only then an answer
//!               └────────────────────────────┘        │       │
//!   load, list, record, due, audit  <───────────── reader   reader
//! ```
//!
//! - **Durable before answered.** Every write is flushed to the disk before its caller hears of it.
//!   Writes that wait together are flushed together, each in a savepoint of its own, so that one
//!   that is refused takes nothing of the others with it.
//! - **A step is whole or not there**: journal, service's slot, audit records and notices are one
//!   transaction. When it cannot be known whether it was taken, the error says so and nothing else
//!   does ([`StoreError::InDoubt`](rollback_core::ports::StoreError::InDoubt)).
//! - **One owner.** A second process that opens the file is refused.
//! - **Nothing is skipped.** A row that cannot be read is an error that names it.
//! - **Private.** On Unix nobody but the owner of the process can read the files.
//!
//! [`MemoryStore`] gives the same answers without a disk: for tests, for demos, and as the model
//! that the durable store is compared with. Both run the conformance suite of `rollback-testkit`.
//!
//! ```
//! use rollback_core::ports::Store;
//! use rollback_core::{RevisionId, ServiceKey};
//! use rollback_store::{Options, SqliteStore};
//!
//! # async fn shown(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! let store = SqliteStore::open(folder.join("rollback.db"), Options::default()).await?;
//! let key = ServiceKey::new("checkout".parse()?, "production".parse()?);
//! let leaky: RevisionId = "41".parse()?;
//! store.mark_bad(&key, &leaky, &"leaks memory".into()).await?;
//! store.close().await;
//!
//! let store = SqliteStore::open(folder.join("rollback.db"), Options::default()).await?;
//! assert!(store.record(&key).await?.marked_bad.contains_key(&leaky));
//! # Ok(())
//! # }
//! # let folder = tempfile::tempdir()?;
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(shown(folder.path()))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`AuditFile`] keeps the audit log a second time, as files of JSON lines.
//!
//! # Limits
//!
//! A question is answered with at most [`PAGE_MAX`] rows; a journal has at most
//! [`ENTRIES_MAX`](rollback_core::journal::ENTRIES_MAX) entries. Messages that were delivered stay
//! in the outbox, for they say which message to bring up to date. A file on a network file system
//! is not supported: SQLite's log needs memory that processes share.

mod audit_file;
mod hints;
mod memory;
mod rules;
mod sqlite;

pub use crate::audit_file::{
    AuditFile, AuditFileOptions, AuditFileProblem, AuditLine, AuditLines, Verified,
    verify_audit_files,
};
pub use crate::memory::MemoryStore;
pub use crate::rules::{CHAIN_DEFAULT, PAGE_MAX};
pub use crate::sqlite::{Location, OpenError, Options, SqliteStore};
