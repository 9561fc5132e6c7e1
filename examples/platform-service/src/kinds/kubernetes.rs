//! `kind: kubernetes`: Deployments, StatefulSets and DaemonSets of one cluster.

use super::{Context, Kind, NotSetUp, Target, cluster, judged};
use crate::config::{FilePath, KubernetesName, Time, read_duration};
use async_trait::async_trait;
use rollback_core::PerService;
use rollback_core::ports::CdBackend;
use rollback_kube::{Config, KubeBackend, Workload};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The kind `kubernetes`.
pub(super) struct Kubernetes;

/// A Kubernetes cluster.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The kubeconfig; without it `$KUBECONFIG`, `~/.kube/config`, or the pod's own service account.
    #[serde(default)]
    #[schemars(with = "FilePath")]
    kubeconfig: Option<PathBuf>,
    /// The context; without it the kubeconfig's current one.
    #[serde(default)]
    context: Option<String>,
    /// How long a StatefulSet or a DaemonSet may go without one more pod becoming ready before its
    /// rollback is called failed. A Deployment has `progressDeadlineSeconds` of its own.
    #[serde(default = "deadline", deserialize_with = "read_duration")]
    #[schemars(with = "Time")]
    deadline: Duration,
    /// How long pods of the target may fail in a way that can heal (an image that cannot be pulled, no
    /// node with room) before the rollback is called failed.
    #[serde(default = "grace", deserialize_with = "read_duration")]
    #[schemars(with = "Time")]
    grace: Duration,
    /// How long a pod of a deploy may take to become ready before the deploy is called stuck, and no
    /// longer stands in the way of its own rollback.
    #[serde(default = "stuck_after", deserialize_with = "read_duration")]
    #[schemars(with = "Time")]
    stuck_after: Duration,
}

const fn deadline() -> Duration {
    Duration::from_secs(600)
}

const fn grace() -> Duration {
    Duration::from_secs(300)
}

const fn stuck_after() -> Duration {
    Duration::from_secs(60)
}

/// A workload of the cluster.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct With {
    /// Its namespace.
    #[schemars(with = "KubernetesName")]
    namespace: String,
    /// Its name.
    #[schemars(with = "KubernetesName")]
    name: String,
    /// What it is.
    #[serde(default)]
    #[schemars(extend("enum" = ["deployment", "statefulset", "daemonset"]), with = "String")]
    workload: WorkloadKind,
}

/// What a workload is, as `kubectl` spells it.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WorkloadKind {
    #[default]
    Deployment,
    StatefulSet,
    DaemonSet,
}

impl From<WorkloadKind> for rollback_kube::Kind {
    fn from(kind: WorkloadKind) -> Self {
        match kind {
            WorkloadKind::Deployment => Self::Deployment,
            WorkloadKind::StatefulSet => Self::StatefulSet,
            WorkloadKind::DaemonSet => Self::DaemonSet,
        }
    }
}

#[async_trait]
impl Kind for Kubernetes {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn needs_token(&self) -> bool {
        false
    }

    fn settings(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn with(&self, generator: &mut SchemaGenerator) -> Schema {
        With::json_schema(generator)
    }

    async fn build(
        &self,
        settings: Map<String, Value>,
        targets: Vec<Target>,
        context: &Context<'_>,
    ) -> Result<Arc<dyn CdBackend>, NotSetUp> {
        let settings: Settings = judged(settings)?;
        let cluster = cluster(settings.kubeconfig, settings.context).await?;
        let adapters = targets.into_iter().map(|Target { key, with }| {
            let with: With = judged(with)?;
            let workload = Workload::new(with.workload.into(), with.namespace, with.name);
            let mut config = Config::new(key.clone(), workload, Arc::clone(context.clock));
            config.deadline = settings.deadline;
            config.grace = settings.grace;
            config.stuck_after = settings.stuck_after;
            config.request_timeout = context.cluster_request_timeout();
            let adapter: Arc<dyn CdBackend> = Arc::new(KubeBackend::new(cluster.clone(), config));
            Ok((key, adapter))
        });
        Ok(Arc::new(adapters.collect::<Result<PerService, NotSetUp>>()?))
    }
}
