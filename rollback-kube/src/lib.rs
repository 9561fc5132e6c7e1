#![doc = include_str!("../README.md")]

mod backend;
mod classify;
mod client;
mod config;
mod error;
mod marks;
mod objects;
mod obstacle;
mod order;
mod pods;
mod progress;
mod rollout;

pub use backend::KubeBackend;
pub use client::{Cluster, Tried};
pub use config::{Config, Connection, Kind, KindError, Workload};
pub use error::KubeError;

/// The least that the adapter needs, as manifests for `kubectl apply`: a Role, and who has it.
pub const RBAC: &str = include_str!("../rbac.yaml");

/// The adapter's name in errors.
const ADAPTER: &str = "Kubernetes";
