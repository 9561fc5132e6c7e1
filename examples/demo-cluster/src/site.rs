//! The shop in a namespace of a cluster: deployed with `kubectl` or `helm`, rolled back by the
//! adapter, which may do what its Role says and nothing else.

use crate::Adapter;
use crate::tools::{Tools, image};
use async_trait::async_trait;
use demo::worker::service_key;
use demo::{Build, Site, SiteError};
use rollback_core::ports::{CdBackend, HistoryOptions, LiveOptions};
use rollback_core::{Migrations, Revision, RevisionId, ServiceKey};
use rollback_engine::SystemClock;
use rollback_helm::HelmBackend;
use rollback_kube::{Kind, KubeBackend, Workload};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The name of the Deployment and of the release.
pub(crate) const SHOP: &str = "checkout";
/// How long a deploy may take until it is live, or known to be stuck.
const LIVE_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at it.
const LOOKED_EVERY: Duration = Duration::from_millis(100);
/// Where both adapters read what a revision does to the data.
const MIGRATIONS: &str = "rollback-rs.github.io/migrations";

#[derive(Debug)]
pub(crate) struct OnCluster {
    tools: Tools,
    adapter: Adapter,
    key: ServiceKey,
    backend: Arc<dyn CdBackend>,
}

impl OnCluster {
    pub(crate) async fn open(tools: Tools, adapter: Adapter) -> Result<Self, SiteError> {
        let key = service_key()?;
        let clock = Arc::new(SystemClock::new());
        let backend: Arc<dyn CdBackend> = match adapter {
            Adapter::Kubernetes => {
                let kubeconfig = tools.account(rollback_kube::RBAC).await?;
                let connection = rollback_kube::Connection::kubeconfig(kubeconfig);
                let cluster = rollback_kube::Cluster::connect(&connection).await?;
                let workload = Workload::new(Kind::Deployment, tools.namespace(), SHOP);
                let config = rollback_kube::Config::new(key.clone(), workload, clock);
                Arc::new(KubeBackend::new(cluster, config))
            }
            Adapter::Helm => {
                let kubeconfig = tools.account(rollback_helm::RBAC).await?;
                let connection = rollback_helm::Connection::kubeconfig(kubeconfig);
                let cluster = rollback_helm::Cluster::connect(&connection).await?;
                let release = rollback_helm::Release::new(tools.namespace(), SHOP);
                let mut config = rollback_helm::Config::new(key.clone(), release, clock);
                config.helm = tools.helm_program();
                Arc::new(HelmBackend::new(cluster, config))
            }
        };
        Ok(Self { tools, adapter, key, backend })
    }

    /// `helm upgrade --install` of a chart that this build brings.
    async fn upgrade(&self, build: &Build) -> Result<(), SiteError> {
        let chart = self.tools.home.join("chart");
        std::fs::create_dir_all(chart.join("templates"))?;
        let about = json!({
            "apiVersion": "v2", "name": SHOP, "version": build.version, "appVersion": build.version,
            "annotations": annotations(build),
        });
        // JSON is YAML too.
        std::fs::write(chart.join("Chart.yaml"), about.to_string())?;
        std::fs::write(chart.join("templates/all.yaml"), manifest(build).to_string())?;
        let chart = chart.display().to_string();
        let mut arguments = vec!["upgrade", "--install", SHOP, &chart];
        if build.works {
            arguments.extend(["--wait", "--timeout=60s"]);
        }
        self.tools.helm(&arguments).await.map(drop)
    }

    async fn live(&self) -> Option<RevisionId> {
        let live = self.backend.live(&self.key, LiveOptions::default()).await.ok()?;
        live.revision.filter(|_| live.in_progress.is_nothing()).map(|live| live.revision)
    }
}

#[async_trait]
impl Site for OnCluster {
    fn name(&self) -> &'static str {
        self.adapter.as_str()
    }

    fn backend(&self) -> Arc<dyn CdBackend> {
        Arc::clone(&self.backend)
    }

    async fn deploy(&self, build: &Build) -> Result<Revision, SiteError> {
        let before = self.live().await;
        match self.adapter {
            Adapter::Kubernetes => self.tools.apply(&manifest(build).to_string()).await?,
            Adapter::Helm => self.upgrade(build).await?,
        }
        let since = Instant::now();
        while since.elapsed() < LIVE_WITHIN {
            if let Some(live) = self.live().await.filter(|live| Some(live) != before.as_ref()) {
                let history = self.backend.history(&self.key, HistoryOptions::newest(1)).await?;
                if let Some(newest) = history.into_iter().find(|revision| revision.id == live) {
                    return Ok(newest);
                }
            }
            tokio::time::sleep(LOOKED_EVERY).await;
        }
        Err(format!("{} is not live yet", build.version).into())
    }

    async fn remove(&self, revision: &RevisionId) -> Result<(), SiteError> {
        let (name, _uid) = revision.as_str().split_once('@').unwrap_or_default();
        let object = match self.adapter {
            Adapter::Kubernetes => format!("replicaset/{name}"),
            Adapter::Helm => format!("secret/sh.helm.release.v1.{SHOP}.v{name}"),
        };
        self.tools.kubectl(&["delete", &object]).await.map(drop)
    }
}

fn annotations(build: &Build) -> Value {
    match &build.migrations {
        Migrations::Known(known) => json!({MIGRATIONS: json!(known).to_string()}),
        Migrations::Unknown => json!({}),
    }
}

/// Three pods, replaced all at once: what is broken is broken for everybody.
fn manifest(build: &Build) -> Value {
    let mut made = kube_lab::deployment(SHOP, &image(build.version), 3);
    let template = json!({
        "labels": {"app": SHOP, "app.kubernetes.io/version": build.version},
        "annotations": annotations(build),
    });
    for (path, value) in
        [("/spec/strategy", json!({"type": "Recreate"})), ("/spec/template/metadata", template)]
    {
        let (parent, key) = path.rsplit_once('/').unwrap_or_default();
        if let Some(Value::Object(fields)) = made.pointer_mut(parent) {
            fields.insert(key.to_owned(), value);
        }
    }
    made
}
