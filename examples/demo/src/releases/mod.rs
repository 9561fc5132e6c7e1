//! A real deployment mechanism in one folder, and the worked example of writing a backend of one's
//! own.
//!
//! Releases lie in folders, a symlink says which one is current, and a small web service is
//! restarted and health-checked when the symlink moves, as Capistrano-style deploys do.
//!
//! ```text
//! deploy ─┐                             ┌─ accepted ─ switching ─ health_checking ─ complete
//!         ├─▶ decide, write to journal ─┤      └ cancelled               └ switching_back ─ failed
//! order ──┘   (one lock: compare, set)  └─ one loop carries it out, from what is on disk
//! ```
//!
//! # How to write a backend, by the example of this one
//!
//! Every adapter has the same rooms; read these in this order.
//!
//! 1. [`Config`] (`config.rs`): what the adapter must be told, and nothing that it can find out.
//! 2. `journal.rs`: what this CD system remembers. Yours has its own memory: a history, an events
//!    API, a database. What an order needs from it is one thing: *to find again by the rollback's id
//!    whether it was ever accepted*.
//! 3. `folder.rs` (the client): all input and output, and no decision.
//! 4. `classify.rs`: all decisions, and no input or output. From what was seen to what it means, as
//!    pure functions with a table of tests. Most faults of backends are faults here.
//! 5. [`Releases`] (`backend.rs`): the trait [`CdBackend`](rollback_core::ports::CdBackend), which only
//!    joins the two. Three things deserve care:
//!    * **Say what you can do.** `capabilities` is a promise. This one compares and sets under one
//!      lock, and a fence voids every order that was read before it.
//!    * **Say what you know.** `start` answers *refused* only where it is proved that nothing
//!      happened. From the moment it begins to write, everything that goes wrong is *in doubt*.
//!    * **Answer from one look.** `observe` reads everything anew each time. It needs no memory of
//!      earlier looks, so nothing is lost with a process.
//! 6. [`ReleasesError`] (`error.rs`): each says whether anything was changed.
//! 7. `tests/it/conformance.rs`: the suite of `rollback-testkit`, which every backend passes.
//!
//! `wire.rs` loses answers and holds up orders on demand, so that the suite can prove what happens
//! then. `run.rs`, `supervise.rs` and `service.rs` are the deployment mechanism itself; a backend for a CD
//! system that exists already has nothing like them. [`HttpHealth`] is the port that looks whether
//! customers are served.

mod backend;
mod classify;
mod config;
mod error;
mod folder;
mod health;
mod journal;
mod run;
mod service;
mod supervise;
mod wire;

pub use backend::{Release, Releases};
pub use config::{Config, Lifeline};
pub use error::ReleasesError;
pub use health::HttpHealth;
pub use service::{Serve, lifeline_cut, serve, shop_files};
pub use wire::Mishap;

/// The adapter's name in errors.
const ADAPTER: &str = "the release folder";

/// A client for this machine alone: a proxy that the environment names is for everything else.
pub(crate) fn to_this_machine() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap_or_default()
}
