#![doc = include_str!("../README.md")]

mod backend;
mod classify;
mod client;
mod config;
mod marks;
mod objects;
mod obstacle;
mod order;
mod pods;
mod progress;
mod rollout;

pub use backend::KubeBackend;
pub use config::{Config, Kind, KindError, Workload};
pub use rollback_cluster::{Cluster, ClusterError, Connection, Tried};

/// The least that the adapter needs, as manifests for `kubectl apply`: a Role, and who has it.
pub const RBAC: &str = include_str!("../rbac.yaml");

/// The adapter's name in errors.
const ADAPTER: &str = "Kubernetes";
