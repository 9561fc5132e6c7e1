//! What can go wrong. Each says what was tried, and whether trying again can help.

use rollback_cluster::ClusterError;
use rollback_core::ports::{ErrorKind, PortError};

/// Why the cluster or the helm command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelmError {
    /// The API server could not be reached, or did not do it.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Something that is kept in the cluster cannot be read.
    #[error("{what} cannot be read: {why}; nothing was changed")]
    Unreadable {
        /// Which object.
        what: String,
        /// What is wrong with it, and nothing of what is in it.
        why: &'static str,
    },
    /// There is nowhere for what helm reads and writes while it runs.
    #[error(
        "helm has no folder for its files ({kind}); nothing was changed; mount one that can be written at /tmp, or name one in `TMPDIR`"
    )]
    Folder {
        /// What the system said.
        kind: std::io::ErrorKind,
    },
    /// The helm command cannot be used.
    #[error(
        "the helm command cannot be used: {what}; nothing was changed; install Helm 3 or 4 and name it in the configuration"
    )]
    Command {
        /// What is wrong with it.
        what: String,
    },
}

impl HelmError {
    /// As the engine wants it: what to do first, then what happened.
    pub(crate) fn into_port(self, operation: &'static str) -> PortError {
        let kind = match &self {
            Self::Cluster(error) => error.kind(),
            Self::Command { .. } | Self::Folder { .. } => ErrorKind::Misconfigured,
            Self::Unreadable { .. } => ErrorKind::Rejected,
        };
        PortError::new(kind, crate::ADAPTER, operation, self.to_string()).caused_by(self)
    }

    /// Whether asking once more may bring an answer.
    pub(crate) const fn is_passing(&self) -> bool {
        match self {
            Self::Cluster(error) => error.is_passing(),
            Self::Unreadable { .. } | Self::Command { .. } | Self::Folder { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_cluster::{Ask, Place};

    #[test]
    fn only_what_the_cluster_may_answer_another_time_is_asked_once_more() {
        let web = Place::namespaced("apps/v1", "deployments", "shop");
        let tried = Ask::get(&web, "web").tried().clone();
        for (error, passes) in [
            (HelmError::Cluster(ClusterError::Moved { tried }), true),
            (HelmError::Cluster(ClusterError::Unauthorized), false),
            (
                HelmError::Unreadable { what: "the journal".into(), why: "it has no metadata" },
                false,
            ),
            (HelmError::Command { what: "it is not there".into() }, false),
            (HelmError::Folder { kind: std::io::ErrorKind::PermissionDenied }, false),
        ] {
            assert_eq!(error.is_passing(), passes, "{error}");
        }
    }
}
