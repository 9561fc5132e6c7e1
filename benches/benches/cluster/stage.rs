//! A Deployment of four pods with three revisions, made by whoever deploys, and a watch on it.

use crate::REPLICAS;
use futures_util::StreamExt as _;
use kube_lab::{Behaviour, Lab, Space};
use rollback_core::ServiceKey;
use rollback_core::ports::{CdBackend, Clock};
use rollback_engine::SystemClock;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Command;

const APPS: &str = "apis/apps/v1";
/// How long anything may take on the cluster.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Adapter {
    Kubernetes,
    Helm,
}

impl Adapter {
    pub(crate) const fn command(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubectl rollout undo && kubectl rollout status",
            Self::Helm => "helm rollback --wait",
        }
    }
}

pub(crate) struct Release {
    pub(crate) space: Space,
    adapter: Adapter,
    tools: PathBuf,
    chart: tempfile::TempDir,
}

pub(crate) fn key() -> ServiceKey {
    ServiceKey::new("checkout".parse().unwrap(), "production".parse().unwrap())
}

fn image(number: u32) -> String {
    format!("registry.example.com/shop:{number}")
}

fn manifest(number: u32) -> Value {
    kube_lab::deployment("web", &image(number), REPLICAS)
}

impl Release {
    /// Revision 3 is live; the pods of revision 2 will fare like this.
    pub(crate) async fn make(
        lab: &'static Lab,
        tools: &Path,
        adapter: Adapter,
        behaviour: Behaviour,
    ) -> Self {
        let (space, chart) = (lab.space("bench").await, tempfile::tempdir().unwrap());
        let release = Self { space, adapter, tools: tools.to_owned(), chart };
        for number in 1..=3 {
            release.deploy(number).await;
        }
        release.space.behave(&image(2), behaviour);
        release
    }

    async fn deploy(&self, number: u32) {
        match self.adapter {
            Adapter::Kubernetes if number == 1 => {
                self.space.create(APPS, "deployments", manifest(number)).await;
            }
            Adapter::Kubernetes => {
                let containers = json!([{"name": "app", "image": image(number)}]);
                let change = json!({"spec": {"template": {"spec": {"containers": containers}}}});
                self.space.strategic(APPS, "deployments/web", change).await;
            }
            Adapter::Helm => {
                let chart = self.chart.path();
                std::fs::create_dir_all(chart.join("templates")).unwrap();
                let about = json!({"apiVersion": "v2", "name": "web", "version": "0.1.0"});
                std::fs::write(chart.join("Chart.yaml"), about.to_string()).unwrap();
                let all = chart.join("templates/all.yaml");
                std::fs::write(all, manifest(number).to_string()).unwrap();
                let chart = chart.display().to_string();
                self.call("helm4", &["upgrade", "--install", "--wait", "web", &chart]).await;
            }
        }
        let until = Instant::now() + PATIENCE;
        while !is_ready(&self.read().await) {
            assert!(Instant::now() < until, "revision {number} was never ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn read(&self) -> Value {
        self.space.get(APPS, "deployments/web").await
    }

    /// What a person would type.
    pub(crate) async fn roll_back_by_hand(&self) {
        match self.adapter {
            Adapter::Kubernetes => {
                let undo = ["rollout", "undo", "deployment/web", "--to-revision=2"];
                self.call("kubectl", &undo).await;
                self.call("kubectl", &["rollout", "status", "deployment/web"]).await;
            }
            Adapter::Helm => self.call("helm4", &["rollback", "web", "2", "--wait"]).await,
        }
    }

    async fn call(&self, program: &str, arguments: &[&str]) {
        let home = self.chart.path();
        let done = Command::new(self.tools.join(program))
            .args(arguments)
            .arg(format!("--namespace={}", self.space.name()))
            .env("KUBECONFIG", self.space.lab().kubeconfig())
            .envs(
                ["HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"]
                    .map(|it| (it, home)),
            )
            .output()
            .await
            .unwrap();
        assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// The adapter, as an account that may do what its Role says.
    pub(crate) async fn backend(&self) -> Arc<dyn CdBackend> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let role = |manifests: &str| -> Value {
            let role = manifests.split("\n---\n").next().unwrap();
            serde_saphyr::from_str::<Value>(role).unwrap().get("rules").unwrap().clone()
        };
        match self.adapter {
            Adapter::Kubernetes => {
                let user = self.space.user(&role(rollback_kube::RBAC)).await;
                let connection = rollback_kube::Connection::kubeconfig(user);
                let cluster = rollback_kube::Cluster::connect(&connection).await.unwrap();
                let kind = rollback_kube::Kind::Deployment;
                let workload = rollback_kube::Workload::new(kind, self.space.name(), "web");
                let config = rollback_kube::Config::new(key(), workload, clock);
                Arc::new(rollback_kube::KubeBackend::new(cluster, config))
            }
            Adapter::Helm => {
                let user = self.space.user(&role(rollback_helm::RBAC)).await;
                let connection = rollback_helm::Connection::kubeconfig(user);
                let cluster = rollback_helm::Cluster::connect(&connection).await.unwrap();
                let release = rollback_helm::Release::new(self.space.name(), "web");
                let mut config = rollback_helm::Config::new(key(), release, clock);
                config.helm = self.tools.join("helm4");
                Arc::new(rollback_helm::HelmBackend::new(cluster, config))
            }
        }
    }

    /// Sees every change of the Deployment from now on.
    pub(crate) async fn watch(&self) -> Watch {
        let now = self.read().await;
        let text = |path: &str| now.pointer(path).unwrap().as_str().unwrap().to_owned();
        let path = format!(
            "{}?watch=true&fieldSelector=metadata.name%3Dweb&resourceVersion={}",
            self.space.path(APPS, "deployments"),
            text("/metadata/resourceVersion")
        );
        let client = self.space.lab().client().await;
        Watch { client, path, generation: generation(&now) }
    }
}

pub(crate) struct Watch {
    client: kube::Client,
    path: String,
    generation: i64,
}

/// When the order took effect, and when the last pod was ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) ordered: Instant,
    pub(crate) ready: Instant,
}

impl Watch {
    pub(crate) async fn until_ready(&self) -> Seen {
        let request = http::Request::get(&self.path).body(Vec::new()).unwrap();
        let events = self.client.request_events::<Value>(request).await.unwrap();
        let mut events = std::pin::pin!(events);
        let mut ordered = None;
        let seen = tokio::time::timeout(PATIENCE, async {
            loop {
                let event = events.next().await.unwrap().unwrap();
                let kube::core::WatchEvent::Modified(object) = event else { continue };
                if generation(&object) > self.generation {
                    let ordered = *ordered.get_or_insert_with(Instant::now);
                    if is_ready(&object) {
                        return Seen { ordered, ready: Instant::now() };
                    }
                }
            }
        });
        seen.await.unwrap()
    }
}

fn generation(object: &Value) -> i64 {
    object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap()
}

fn is_ready(object: &Value) -> bool {
    let number = |path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let counts = ["/status/replicas", "/status/updatedReplicas", "/status/availableReplicas"];
    let wanted = i64::from(REPLICAS);
    number("/status/observedGeneration") == generation(object)
        && counts.iter().all(|path| number(path) == wanted)
}
