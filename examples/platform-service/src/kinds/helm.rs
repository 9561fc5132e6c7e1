//! `kind: helm`: releases of one cluster.

use super::{Context, Kind, NotSetUp, Target, cluster, judged};
use crate::config::{FilePath, KubernetesName, Time, read_duration};
use async_trait::async_trait;
use rollback_core::PerService;
use rollback_core::ports::CdBackend;
use rollback_helm::{Config, HelmBackend, Release};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The part of the engine's bound that helm has until its rollback is on record, in percent.
const START_PERCENT: u32 = 80;

/// The kind `helm`.
pub(super) struct Helm;

/// The Helm releases of a Kubernetes cluster.
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
    /// The helm command, version 3 or 4; without it `helm`, as the search path finds it.
    #[serde(default)]
    #[schemars(with = "FilePath")]
    command: Option<PathBuf>,
    /// How many revisions are kept, zero for all: what `helm upgrade` is given.
    #[serde(default = "history_max")]
    history_max: u32,
    /// How long helm may take for each hook, and for the wait for the workloads where it waits itself.
    #[serde(default = "timeout", deserialize_with = "read_duration")]
    #[schemars(with = "Time")]
    timeout: Duration,
    /// How long a StatefulSet or a DaemonSet may go without one more pod becoming ready before its
    /// rollback is called failed. A Deployment has `progressDeadlineSeconds` of its own.
    #[serde(default = "deadline", deserialize_with = "read_duration")]
    #[schemars(with = "Time")]
    deadline: Duration,
    /// How long an upgrade that somebody else runs may be pending before it counts as stuck, and no
    /// longer stands in the way of its own rollback. More than the `--timeout` of your upgrades.
    #[serde(default = "pending_max", deserialize_with = "read_duration")]
    #[schemars(with = "Time")]
    pending_max: Duration,
    /// How long a rollback goes on after this service could last say that it is alive. The same for
    /// every replica.
    #[serde(default = "lease", deserialize_with = "read_duration")]
    #[schemars(with = "Time")]
    lease: Duration,
}

const fn deadline() -> Duration {
    Duration::from_secs(600)
}

const fn pending_max() -> Duration {
    Duration::from_secs(1_800)
}

const fn lease() -> Duration {
    Duration::from_secs(60)
}

const fn history_max() -> u32 {
    10
}

const fn timeout() -> Duration {
    Duration::from_secs(300)
}

/// A release.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct With {
    /// Its namespace.
    #[schemars(with = "KubernetesName")]
    namespace: String,
    /// Its name.
    #[schemars(with = "KubernetesName")]
    release: String,
}

#[async_trait]
impl Kind for Helm {
    fn name(&self) -> &'static str {
        "helm"
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
            let release = Release::new(with.namespace, with.release);
            let mut config = Config::new(key.clone(), release, Arc::clone(context.clock));
            config.history_max = settings.history_max;
            config.timeout = settings.timeout;
            config.deadline = settings.deadline;
            config.pending_max = settings.pending_max;
            config.lease = settings.lease;
            config.request_timeout = context.cluster_request_timeout();
            config.start_within = context.cd_timeout * START_PERCENT / 100;
            if let Some(command) = &settings.command {
                config.helm.clone_from(command);
            }
            let adapter: Arc<dyn CdBackend> = Arc::new(HelmBackend::new(cluster.clone(), config));
            Ok((key, adapter))
        });
        Ok(Arc::new(adapters.collect::<Result<PerService, NotSetUp>>()?))
    }
}
