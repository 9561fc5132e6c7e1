//! The engine's store: SQLite with one group-committing writer, and an in-memory twin.
