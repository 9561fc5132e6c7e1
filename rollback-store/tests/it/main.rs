//! The stores, in memory, in a file and on a server. Binaries of their own: `tests/crash.rs`, which is no
//! test harness but a process that is killed and started again; and `audit_file`, `corrupt`, `durable` and
//! `files`, which lock a file and open it again. A server that another test of one process starts holds
//! such a lock for a moment, until it has become its program.

mod clock;
mod conformance;
mod differential;
mod postgres;
mod postgres_tls;
mod upgrades;
