//! The core through its public API. `tests/forgeries.rs` is a binary of its own: it runs the compiler, and
//! mutation tests leave it out.

mod audit_chain;
mod dependencies;
mod forms;
mod journals;
mod phrases;
mod pinned;
mod properties;
mod steps;
mod stories;
mod tables;
mod walk;
