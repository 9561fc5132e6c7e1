//! The whole of it on one machine: a real service in a real deployment folder, broken by a deploy
//! and healthy again after a click.
//!
//! `cargo demo` runs it. See [`releases`] for the deployment mechanism, which is also the worked
//! example of writing a backend of one's own.

pub mod releases;
