//! What the adapter must be told, and nothing that it can find out.

use core::fmt;
use core::time::Duration;
use rollback_core::ServiceKey;
use rollback_core::ports::Clock;
use std::sync::Arc;

/// Which kind of workload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "what `kubectl rollout undo` knows")]
pub enum Kind {
    /// Its history is kept in ReplicaSets.
    Deployment,
    /// Its history is kept in ControllerRevisions. Volumes are never rolled back.
    StatefulSet,
    /// Its history is kept in ControllerRevisions.
    DaemonSet,
}

impl Kind {
    /// As `kubectl` spells it: `deployment`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
        }
    }

    /// The resource in the API: `deployments`.
    pub(crate) const fn resource(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DaemonSet => "daemonsets",
        }
    }

    /// The resource in which its history is kept.
    pub(crate) const fn history(self) -> &'static str {
        match self {
            Self::Deployment => "replicasets",
            Self::StatefulSet | Self::DaemonSet => "controllerrevisions",
        }
    }
}

/// There is no such kind of workload.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no kind that can be rolled back; use `deployment`, `statefulset` or `daemonset`")]
pub struct KindError(String);

impl std::str::FromStr for Kind {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, KindError> {
        match text.to_ascii_lowercase().as_str() {
            "deployment" => Ok(Self::Deployment),
            "statefulset" => Ok(Self::StatefulSet),
            "daemonset" => Ok(Self::DaemonSet),
            _ => Err(KindError(text.chars().take(40).collect())),
        }
    }
}

/// One workload of a cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl Workload {
    /// Names a workload.
    #[must_use]
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), kind, name: name.into() }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}` in `{}`", self.kind.as_str(), self.name, self.namespace)
    }
}

/// The settings of one workload's backend.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The one service that the workload is.
    pub key: ServiceKey,
    /// The workload.
    pub workload: Workload,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How long one request may take. Five seconds: twice of that fits into the engine's bound.
    pub request_timeout: Duration,
    /// How long a rollback of a StatefulSet or a DaemonSet may go without one more pod becoming ready:
    /// they have no deadline of their own. Ten minutes, as a Deployment has.
    pub deadline: Duration,
    /// How long the pods of the target may fail in a way that can heal (an image that cannot be
    /// pulled, a program that ends, a quota, no node with room) before the rollback is called failed,
    /// counted from the first sighting, and anew whenever another pod becomes ready. Five minutes: a
    /// cluster autoscaler adds a node in three.
    pub grace: Duration,
    /// How long a pod may take to become ready before a deploy that waits for it is called stuck,
    /// so that it does not stand in the way of its own rollback. One minute.
    pub stuck_after: Duration,
}

impl Config {
    /// The settings that have no sensible default; the rest can be changed afterwards.
    #[must_use]
    pub const fn new(key: ServiceKey, workload: Workload, clock: Arc<dyn Clock>) -> Self {
        Self {
            key,
            workload,
            clock,
            request_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(600),
            grace: Duration::from_secs(300),
            stuck_after: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_as_kubectl_spells_it_and_nothing_else_is() {
        for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet] {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("StatefulSet".parse(), Ok(Kind::StatefulSet));
        let error = "job".parse::<Kind>().unwrap_err().to_string();
        assert!(error.contains("\"job\"") && error.contains("`daemonset`"), "{error}");
    }
}
