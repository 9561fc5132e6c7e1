#![doc = include_str!("../README.md")]

mod attempt;
mod catalog;
mod checkpoint;
mod clock;
mod commands;
mod deploys;
mod driver;
mod engine;
mod entitled;
mod export;
mod facts;
mod health;
mod hints;
mod openings;
mod operation;
mod outbox;
mod places;
mod placing;
mod posted;
mod probe;
mod reading;
mod stopped;
mod supervise;
mod telling;
mod watched;
mod work;

pub use crate::catalog::{Catalog, ServiceConfig};
pub use crate::checkpoint::{CheckpointStanding, Checkpoints};
pub use crate::clock::SystemClock;
pub use crate::deploys::{DeployReport, ServiceStatus};
pub use crate::engine::{Engine, EngineBuilder};
pub use crate::health::{Part, PartStanding, Required, Status, Trouble};
pub use crate::places::OpenStanding;
pub use crate::reading::{BlockedChannel, NotReady, OutboxStanding, Steps};
pub use crate::supervise::LoopStanding;
