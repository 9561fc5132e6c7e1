//! Conformance suites for every port, property strategies and fault-injecting fakes.
//!
//! An adapter proves itself by running the suite of its port; a service proves its wiring on the
//! fakes, which keep the ground truth and can lie about it on demand; a host tests its policy with
//! [`policy::check`].
//!
//! | part | what it is |
//! |---|---|
//! | [`backend`], [`notifier`], [`audit_sink`], [`directory`], [`store`] | one conformance suite a port, each with one entry, `run_all`, and cases that are named |
//! | [`fakes`] | every port in memory, with its ground truth and faults on demand |
//! | [`fixtures`] | named people whose roles overlap, a service with a history, facts that pass |
//! | [`policy`] | a host's own access policy under test: people drawn from its names, near misses, rollbacks up to every end, and whether that proves anything |
//! | [`strategies`] | proptest strategies with the names of the fixtures: policies, people, facts, histories and events |
//! | [`sim`] | the weather, the people's troubles and the processes of a simulated world, from a seed |
//! | [`wire`] | TCP between a client and a server that can be cut, silent or slow, and lose, hold up or answer a request |
//! | [`order_for`] | a genuine order for a test, from a real rollback: there is no back door |
//!
//! ```
//! use rollback_testkit::{fixtures, order_for};
//! let order = order_for(fixtures::plan());
//! assert_eq!(order.plan(), &fixtures::plan());
//! ```
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test kit fails by panicking, with the name of what failed"
)]

pub mod audit_sink;
pub mod backend;
mod chat;
mod clock;
pub mod directory;
mod drive;
pub mod fakes;
pub mod fixtures;
pub mod invariants;
mod life;
pub mod notifier;
pub mod policy;
pub mod script;
pub mod sim;
pub mod store;
pub mod strategies;
mod suite;
pub mod wire;

pub use crate::chat::Chat;
pub use crate::clock::ManualClock;
pub use crate::drive::{again, expired_order_for, order_at, order_for};
pub use crate::life::{Action, Fate, Life, Log, Mortal, PAUSE, Place, Side, Truthful};
pub use crate::suite::{Simulated, Summary};
pub use rollback_verify::Message;
