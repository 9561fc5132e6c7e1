//! The signed audit log: notes, checkpoints, and each way to tamper with them.

mod common;
mod notes;
mod oracle;
mod tamper;
mod words;
