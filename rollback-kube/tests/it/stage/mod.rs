//! A workload with three revisions on a real cluster, an adapter that may do exactly what its Role
//! says, and a wire between the two.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::future_not_send,
    reason = "a test's stage fails by panicking"
)]
#![expect(unreachable_pub, reason = "several tests share it")]

use async_trait::async_trait;
use kube_lab::{Behaviour, Lab, Space, Wire};
use rollback_core::ports::Clock;
use rollback_core::{Plan, RevisionId, RevisionRef, ServiceKey, Timestamp};
use rollback_kube::{Cluster, Config, Connection, Kind, KubeBackend, Workload};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub const APPS: &str = "apis/apps/v1";
pub const KINDS: [Kind; 3] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];

/// How long anything on the cluster may take, on a machine that builds something else too.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub struct WallClock;

#[async_trait]
impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0).after(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
    }

    async fn sleep_until(&self, at: Timestamp) {
        tokio::time::sleep(at.since(self.now())).await;
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

pub struct Stage {
    pub space: Space,
    pub wire: Wire,
    pub kind: Kind,
    pub backend: KubeBackend,
    /// The first revision.
    pub first: RevisionId,
    /// The one between it and what is live.
    pub second: RevisionId,
    pub kubeconfig: PathBuf,
}

/// The rules of the Role in `rbac.yaml`.
pub fn rules() -> Value {
    let role = rollback_kube::RBAC.split("\n---\n").next().unwrap();
    let role: Value = serde_saphyr::from_str(role).unwrap();
    role["rules"].clone()
}

pub fn key() -> ServiceKey {
    ServiceKey::new("checkout".parse().unwrap(), "production".parse().unwrap())
}

pub async fn connect(kubeconfig: &Path, config: Config) -> KubeBackend {
    let connection = Connection::kubeconfig(kubeconfig);
    KubeBackend::new(Cluster::connect(&connection).await.unwrap(), config)
}

pub fn image(number: u32) -> String {
    format!("registry.example.com/shop:{number}")
}

impl Stage {
    /// Three revisions, the third live and rolled out.
    pub async fn set(lab: &'static Lab, kind: Kind) -> Self {
        Self::set_with(lab, kind, |_as_it_is| ()).await
    }

    pub async fn set_with(lab: &'static Lab, kind: Kind, adjust: impl Fn(&mut Value)) -> Self {
        let space = lab.space(kind.as_str()).await;
        let user = space.user(&rules()).await;
        let (wire, kubeconfig) = space.wire(&user).await;
        let backend = connect(&kubeconfig, Self::config_of(&space, kind)).await;
        let first: RevisionId = "none-yet".parse().unwrap();
        let second = first.clone();
        let mut stage = Self { space, wire, kind, backend, first, second, kubeconfig };
        let mut manifest = match kind {
            Kind::Deployment => kube_lab::deployment("web", &image(1), 2),
            Kind::StatefulSet => kube_lab::stateful_set("web", &image(1), 2),
            Kind::DaemonSet => kube_lab::daemon_set("web", &image(1)),
        };
        adjust(&mut manifest);
        stage.space.create(APPS, stage.resource(), manifest).await;
        stage.observed().await;
        stage.first = stage.truth().await.unwrap();
        stage.set_image(&image(2)).await;
        // It is taken up before the next one comes.
        stage.observed().await;
        stage.second = stage.truth().await.unwrap();
        stage.set_image(&image(3)).await;
        stage.observed().await;
        stage.rolled_out().await;
        stage
    }

    pub fn resource(&self) -> &'static str {
        match self.kind {
            Kind::Deployment => "deployments",
            Kind::StatefulSet => "statefulsets",
            Kind::DaemonSet => "daemonsets",
        }
    }

    pub fn object(&self) -> String {
        format!("{}/web", self.resource())
    }

    pub fn history_resource(&self) -> &'static str {
        if self.kind == Kind::Deployment { "replicasets" } else { "controllerrevisions" }
    }

    fn config_of(space: &Space, kind: Kind) -> Config {
        let workload = Workload::new(kind, space.name(), "web");
        let mut config = Config::new(key(), workload, Arc::new(WallClock));
        config.request_timeout = Duration::from_secs(3);
        config
    }

    pub fn config(&self) -> Config {
        Self::config_of(&self.space, self.kind)
    }

    /// Another process of ours.
    pub async fn another(&self, config: Config) -> KubeBackend {
        connect(&self.kubeconfig, config).await
    }

    pub async fn read(&self) -> Value {
        self.space.get(APPS, &self.object()).await
    }

    pub async fn set_image(&self, image: &str) {
        let change = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}});
        self.space.strategic(APPS, &self.object(), change).await;
    }

    /// Deploys past the adapter, until it is live.
    pub async fn deploy(&self, image: &str) -> RevisionId {
        self.set_image(image).await;
        self.rolled_out().await;
        self.truth().await.unwrap()
    }

    pub async fn wait<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_late) => panic!("{what}: {}", self.read().await),
        }
    }

    /// The controller has taken the newest template up.
    pub async fn observed(&self) -> Value {
        let seen = tokio::time::timeout(PATIENCE, async {
            loop {
                let object = self.read().await;
                if object["metadata"]["generation"] == object["status"]["observedGeneration"] {
                    return object;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        seen.await.expect("the change was never observed")
    }

    /// The newest template is everywhere.
    pub async fn rolled_out(&self) {
        let ended = tokio::time::timeout(PATIENCE, async {
            while !self.is_rolled_out(&self.read().await) {
                tokio::time::sleep(PAUSE).await;
            }
        });
        ended.await.expect("the rollout never ended");
    }

    fn is_rolled_out(&self, object: &Value) -> bool {
        let number = |path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or(0);
        let (wanted, updated, available) = match self.kind {
            Kind::DaemonSet => (
                number("/status/desiredNumberScheduled"),
                number("/status/updatedNumberScheduled"),
                number("/status/numberAvailable"),
            ),
            Kind::Deployment | Kind::StatefulSet => (
                number("/spec/replicas"),
                number("/status/updatedReplicas"),
                number("/status/availableReplicas"),
            ),
        };
        let all = if self.kind == Kind::Deployment { number("/status/replicas") } else { wanted };
        let seen = number("/status/observedGeneration") == number("/metadata/generation");
        seen && wanted > 0 && [updated, available, all] == [wanted; 3]
    }

    /// Nothing has written to the workload for a while.
    pub async fn settled(&self) {
        loop {
            let before = self.read().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            if self.read().await == before {
                return;
            }
        }
    }

    /// What is live, by the cluster's own numbers and names.
    pub async fn truth(&self) -> Option<RevisionId> {
        let object = self.observed().await;
        let kept = self.space.get(APPS, self.history_resource()).await;
        let kept = kept["items"].as_array().unwrap();
        const NUMBER: &str = "deployment.kubernetes.io/revision";
        let live = match self.kind {
            Kind::Deployment => {
                let number = &object["metadata"]["annotations"][NUMBER];
                kept.iter().find(|it| it["metadata"]["annotations"][NUMBER] == *number)
            }
            Kind::StatefulSet => {
                let name = &object["status"]["updateRevision"];
                kept.iter().find(|it| it["metadata"]["name"] == *name)
            }
            Kind::DaemonSet => kept.iter().max_by_key(|it| it["revision"].as_i64()),
        };
        live.map(|it| id_of(it).parse().unwrap())
    }

    /// From what is live to the one before it.
    pub async fn back_by_one(&self) -> Plan {
        use rollback_core::ports::CdBackend as _;
        let history = self.backend.history(&key(), 10).await.unwrap();
        Plan::new(key(), history[0].reference(), history[1].reference()).unwrap()
    }

    pub async fn plan_to(&self, to: &RevisionId) -> Plan {
        use rollback_core::ports::CdBackend as _;
        let live = self.backend.live(&key()).await.unwrap().revision.unwrap();
        Plan::new(key(), live, RevisionRef::new(to.clone())).unwrap()
    }

    /// How the pods of every earlier revision fare from now on.
    pub fn befall_earlier(&self, behaviour: Behaviour) {
        self.space.behave(&image(1), behaviour);
        self.space.behave(&image(2), behaviour);
    }
}

pub fn id_of(kept: &Value) -> String {
    let text = |field: &str| kept["metadata"][field].as_str().unwrap().to_owned();
    format!("{}@{}", text("name"), text("uid").split('-').next().unwrap())
}
