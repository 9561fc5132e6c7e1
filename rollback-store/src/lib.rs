//! The engine's store: SQLite with one group-committing writer, and an in-memory twin.
mod memory;
mod rules;
mod sqlite;

pub use crate::memory::MemoryStore;
pub use crate::rules::{CHAIN_DEFAULT, PAGE_MAX};
pub use crate::sqlite::{Location, OpenError, Options, SqliteStore};
