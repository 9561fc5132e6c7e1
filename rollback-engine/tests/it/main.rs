//! The engine on fakes, in real processes, and on a real PostgreSQL server. `tests/simulation.rs` is a binary
//! of its own: `check` builds it with optimizations and plays it by name.

mod asked;
mod blocked;
mod changes;
mod checkpoints;
mod clocks;
mod common;
mod configured;
mod copies;
mod crash_everywhere;
mod innocents;
mod logged;
mod pinned;
mod poison;
mod processes;
mod replicas;
mod shutdown;
mod stories;
mod supervised;
mod unreadable;
mod wiring;
