//! The API over real sockets: an engine on fakes, served as a host serves it, and callers that
//! know nothing but the contract.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod abuse;
mod access;
mod audit;
mod changes;
mod deploys;
mod events;
mod metrics;
mod reading;
mod schemas;
mod stage;
