#![doc = include_str!("../README.md")]

mod audit;
mod catalog;
pub mod check;
mod config;
mod kinds;
mod platform;
mod secrets;
mod telemetry;

pub use audit::{AuditVerdict, Log, verify};
pub use config::{Config, Place, Problem, Problems, schema};
pub use platform::{Credentials, Platform, RunError, StartError};
pub use secrets::{Environment, NoSecret, secret_in};
pub use telemetry::{LogFormat, Telemetry, TelemetryError};
