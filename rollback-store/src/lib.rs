//! The engine's store: everything that must survive a crash, in one SQLite file, or in a PostgreSQL
//! database that several processes share.
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
//! that the durable ones are compared with. All run the conformance suite of `rollback-testkit`.
//!
//! ```
//! use rollback_core::change::by_a_machine;
//! use rollback_core::ports::Services;
//! use rollback_core::{Proposer, Reason, RevisionId, ServiceChange, ServiceKey, Timestamp};
//! use rollback_store::{Options, SqliteStore};
//!
//! # async fn shown(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! let store = SqliteStore::open(folder.join("rollback.db"), Options::default()).await?;
//! let key = ServiceKey::new("checkout".parse()?, "production".parse()?);
//! let leaky: RevisionId = "41".parse()?;
//! let reason = Reason::parse("it leaks memory")?;
//! let change = ServiceChange::MarkBad { revision: leaky.clone(), reason };
//! let by = Proposer::new("watchdog", None);
//! let now = Timestamp::from_millis(1_795_339_800_000);
//! let record = by_a_machine((&key, &change), &by, "token watchdog", now, "change/1".into());
//! store.change(&key, &change, record, Vec::new()).await?;
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
//! # Several processes
//!
//! [`PostgresStore`] holds the same contract in a PostgreSQL database (15 or newer):
//!
//! - **One transaction for each step**, with the claim, the rollback and the end of the audit chain
//!   locked in it, so that steps of all processes are in one order. What was in the way of another
//!   transaction is tried again as a whole. A connection that is lost at a COMMIT is told as in
//!   doubt, and nothing else is.
//! - **Claims expire by the database's clock.** A holder counts from before it asked, so that it
//!   stops before others may start.
//! - **Notices have one process at a time**, by the lane: the channel of one notifier.
//! - **Hints** (LISTEN and NOTIFY) tell the others what was written. They only save time; a proxy
//!   that does not carry them costs seconds, nothing else. Such a proxy must keep a session for each
//!   connection, or know prepared statements.
//! - **A database that went back in time** is noticed by whoever has seen more of it, and not written
//!   until somebody acknowledges it ([`Store::acknowledge_loss`](rollback_core::ports::Store)).
//!
//! - **One schema, one release that decides.** The first process of a newer release brings the tables
//!   up to date; the others that start wait for it. From then on a process of a release that must not
//!   write these tables is refused, also one that runs
//!   ([`StoreError::Newer`](rollback_core::ports::StoreError::Newer)).
//!
//! It needs a database, or a schema, of its own: several stores in one database do not notice each
//! other. TLS with a verified certificate is asked for unless
//! the host is this machine; `sslcert` and `sslkey` in the URL name what this client shows of itself,
//! and `connections_max` how many connections it has.
//!
//! # Features
//!
//! | feature | default | what |
//! |---|---|---|
//! | `sqlite` | yes | [`SqliteStore`]: one file, one process. Compiles SQLite with the C compiler |
//! | `postgres` | yes | [`PostgresStore`]: a database that several processes share |
//!
//! [`MemoryStore`] and [`AuditFile`] are always there.
//!
//! # What is forgotten
//!
//! [`Store::prune`](rollback_core::ports::Store::prune) forgets a step at a time, of each kind the
//! oldest and at most a thousand; the engine asks for it every hour, and at each look while there is
//! more.
//!
//! | what | when |
//! |---|---|
//! | digests of requests | when they cannot come again |
//! | claims | when they have expired |
//! | freezes | 30 days after their end |
//! | lines of threads, private messages | 30 days after they were told or given up |
//! | rollbacks that nobody confirmed | 90 days after their end |
//!
//! Rollbacks that somebody confirmed, those that nobody has settled or released, audit records and
//! deploys are kept for good. So are messages that can be brought up to date: the outbox says where
//! they are.
//!
//! # Limits
//!
//! A question is answered with at most [`PAGE_MAX`] rows; a journal has at most
//! [`ENTRIES_MAX`](rollback_core::journal::ENTRIES_MAX) entries. A process that has just been started has seen
//! nothing of a store yet: that it went back in time is told by a copy of its log
//! ([`Store::compare`](rollback_core::ports::Store::compare)), and without one by nothing. A file on a
//! network file system is not supported: SQLite's log needs memory that processes share.

mod audit_file;
mod hints;
mod memory;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod notices;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod questions;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod rows;
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(dead_code, reason = "the memory needs few of them")
)]
mod rules;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(dead_code, reason = "the memory needs few of them")
)]
mod value;

pub use crate::audit_file::{
    AuditFile, AuditFileOptions, AuditFileProblem, AuditLine, AuditLines, Verified,
    verify_audit_files,
};
pub use crate::memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use crate::postgres::{ConnectError, Judge, PostgresOptions, PostgresStore, Rehearsed};
pub use crate::rules::{CHAIN_DEFAULT, PAGE_MAX};
#[cfg(feature = "sqlite")]
pub use crate::sqlite::{Closed, Location, OpenError, Options, SqliteStore};
