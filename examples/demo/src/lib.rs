//! The whole of it on one machine: a real service in a real deployment folder, broken by a deploy
//! and healthy again after a click.
//!
//! ```text
//! browser ── page, panel ──▶ demo: local Slack, director ── lifeline ──▶ worker: engine, SQLite,
//!                              ▲   │ signed clicks                         Slack, deployment folder
//!                              └───┼── Web API ───────────────────────────────┘   │ switch, restart
//!                                  └── looks as a customer does ──▶ shop ◀────────┘
//! ```
//!
//! ```no_run
//! use demo::{Demo, Setup};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let setup = Setup::new(std::env::temp_dir().join("look"), "target/debug/demo".into());
//! let demo = Demo::start(setup).await?;
//! println!("open {}", demo.url());
//! # demo.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! `cargo demo` runs it. The parts that matter are the real ones; what is made up is who clicks
//! and what goes wrong. The worker is a process of its own so that it can be killed in the middle.
//! See [`releases`] for the deployment mechanism, which is also the worked example of writing a
//! backend of one's own, and `worker.rs` for how a host wires everything.

pub mod command;
mod director;
mod panel;
mod processes;
pub mod releases;
pub mod scenes;
mod site;
mod theatre;
pub mod worker;

pub use director::{SCENE_HEADER, Show};
pub use site::{Build, Site, SiteError};
pub use theatre::{Demo, DemoError, Setup};
