#![doc = include_str!("../README.md")]

mod backend;
mod classify;
mod client;
mod command;
mod compare;
mod config;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod history;
mod journal;
mod manifest;
mod news;
mod obstacle;
mod preflight;
mod progress;
mod protobuf;
mod proxy;
mod record;
mod rollout;
mod run;
mod site;

pub use backend::HelmBackend;
pub use config::{Config, Release};
pub use error::HelmError;
pub use rollback_cluster::{Cluster, ClusterError, Connection, Tried};

/// The least that the adapter needs, as manifests for `kubectl apply`: a Role and its
/// binding.
pub const RBAC: &str = include_str!("../rbac.yaml");

/// The adapter's name in errors.
const ADAPTER: &str = "Helm";
