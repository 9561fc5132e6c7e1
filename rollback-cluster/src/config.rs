//! How to reach a cluster.

use std::path::PathBuf;

/// How to reach a cluster, and as whom.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Connection {
    /// As `kubectl` and `helm` would: `$KUBECONFIG` or `~/.kube/config`, else the pod's own service
    /// account.
    #[default]
    Inferred,
    /// As the service account of the pod that this runs in.
    InCluster,
    /// From a kubeconfig.
    Kubeconfig {
        /// The file; absent, `$KUBECONFIG` or `~/.kube/config`.
        path: Option<PathBuf>,
        /// The context; absent, the file's current one.
        context: Option<String>,
    },
}

impl Connection {
    /// By this kubeconfig's current context.
    #[must_use]
    pub fn kubeconfig(path: impl Into<PathBuf>) -> Self {
        Self::Kubeconfig { path: Some(path.into()), context: None }
    }

    /// By what a configuration names; where it names neither, inferred.
    #[must_use]
    pub fn named(path: Option<PathBuf>, context: Option<String>) -> Self {
        match (path, context) {
            (None, None) => Self::Inferred,
            (path, context) => Self::Kubeconfig { path, context },
        }
    }
}
