#![doc = include_str!("../README.md")]

mod attempt;
mod catalog;
mod checkpoint;
mod clock;
mod commands;
mod deploys;
mod driver;
mod engine;
mod export;
mod facts;
mod hints;
mod operation;
mod outbox;
mod places;
mod posted;
mod reading;
mod telling;
mod work;

pub use crate::catalog::{Catalog, ServiceConfig};
pub use crate::checkpoint::{CheckpointStanding, Checkpoints};
pub use crate::clock::SystemClock;
pub use crate::deploys::{DeployReport, ServiceStatus};
pub use crate::engine::{Engine, EngineBuilder};
pub use crate::places::OpenStanding;
pub use crate::reading::{NotReady, OutboxStanding, Steps};
