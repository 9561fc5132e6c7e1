#![doc = include_str!("../README.md")]

mod admission;
mod audit;
mod catalog;
pub mod check;
mod config;
mod kinds;
mod lines;
mod log_queue;
mod loss;
mod platform;
mod probe;
mod secrets;
mod store;
mod telemetry;
mod verify;

pub use audit::{
    AnchorCounts, AuditVerdict, How, Log, NoKey, NoSigner, OpenRollback, explain, make_key, verify,
};
pub use config::{Config, Place, Problem, Problems, StorePlace, schema};
pub use loss::{Acknowledged, acknowledge_loss};
pub use platform::{Credentials, Platform, RunError, StartError};
pub use secrets::{Environment, NoSecret, secret_in};
pub use store::StoreNotOpened;
pub use telemetry::{LogFormat, Telemetry, TelemetryError};
pub use verify::{Verified, VerifyError, verify_store};
