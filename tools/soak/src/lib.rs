//! Load: thousands of rollbacks on three processes that share a real PostgreSQL, and what they cost.
//!
//! ```text
//!            ┌── replica ──┐      each a process: engine, store, signed callbacks
//!  people ──▶├── replica ──┼──▶ PostgreSQL (tools/postgres-lab)
//!            └── replica ──┘
//!               │       │
//!               ▼       ▼
//!        a CD system   a chat that says "too fast"      in the process that drives
//! ```
//!
//! `cargo run --release -p soak` plays all of it and prints figures; `tests/small.rs` plays a little
//! of it and insists on the counts and on every invariant. No figure is a test.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a stage for tests: what goes wrong ends it, and says so"
)]

mod callbacks;
mod cd;
mod chat;
mod figures;
mod load;
mod outages;
mod replica;
mod verdict;
mod world;

pub use callbacks::Acknowledged;
pub use figures::{Cost, Percentiles};
pub use load::{Hot, Opened, Round};
pub use outages::{Killed, Silent};
pub use replica::{ReplicaOptions, run};
pub use verdict::Judged;
pub use world::{Setup, World};

use rollback_core::{DeployId, ServiceKey};
use rollback_testkit::fixtures::{Person, ana, parsed};

/// How many people click: more than there are openings at a time.
pub(crate) const CROWD: usize = 10_000;

/// One of the people who click, each an owner as Ana is.
pub(crate) fn person(number: usize) -> Person {
    let mut person = ana();
    person.user = parsed(&format!("U7{number:08}"));
    person.person = None;
    person
}

/// The service of this number.
pub(crate) fn key(number: usize) -> ServiceKey {
    ServiceKey::new(parsed(&format!("service-{number}")), parsed("production"))
}

/// The deploy of this revision of a service.
pub(crate) fn deploy_id(number: usize, revision: usize) -> DeployId {
    parsed(&format!("d-{number}-{revision}"))
}

/// Where a service is told of: ten share a channel.
pub(crate) fn channel(number: usize) -> String {
    format!("C0SOAK{}", number / 10)
}
