//! Fakes of every port. They keep the ground truth, count what happened, and fail on demand.

mod backend;
mod others;
mod tickets;

pub use crate::fakes::backend::{FakeBackend, Fault, InDeploy, Method};
pub use crate::fakes::others::{
    FakeDirectory, FakeHealth, FakeNotifier, FakeSink, NotifierFault, SinkFault,
};
pub use crate::fakes::tickets::TicketFlaw;
