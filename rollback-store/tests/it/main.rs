//! The stores, in memory, in a file and on a server. `tests/crash.rs` is a binary of its own: it is no test
//! harness, but a process that is killed and started again.

mod audit_file;
mod clock;
mod conformance;
mod corrupt;
mod differential;
mod durable;
mod files;
mod postgres;
mod postgres_tls;
mod upgrades;
