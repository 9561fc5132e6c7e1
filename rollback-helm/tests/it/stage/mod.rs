//! A release with three revisions on a real cluster, made by a real helm, an adapter that may do
//! exactly what its Role says, and a wire between the two.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's stage fails by panicking")]
#![expect(unreachable_pub, reason = "several tests share it")]

use async_trait::async_trait;
use http::Method;
use kube_lab::{Behaviour, Lab, Own, Space, Wire};
use rollback_core::ports::{CdBackend as _, Clock, ObserveOptions};
use rollback_core::proof::OrderRef;
use rollback_core::{
    Phase, Plan, Progress, Receipt, RevisionId, RevisionRef, ServiceKey, Timestamp,
};
use rollback_helm::{Cluster, Config, Connection, HelmBackend, Release};
use rollback_testkit::again;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::process::{Child, Command};

pub const CORE: &str = "api/v1";
pub const APPS: &str = "apis/apps/v1";

/// How long anything on the cluster may take, on a machine that builds something else too.
pub const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Helm {
    Three,
    Four,
}

pub const BOTH: [Helm; 2] = [Helm::Three, Helm::Four];

impl Helm {
    pub const fn command(self) -> &'static str {
        match self {
            Self::Three => "helm3",
            Self::Four => "helm4",
        }
    }
}

/// The cluster and the folder of the helm commands. None when one of the two is not there, after
/// saying so; with `CI=true` that is a failure.
pub fn peers(test: &str) -> Option<(&'static Lab, PathBuf)> {
    let folder = peer::wanted("helm", test)?;
    Some((Lab::shared(test)?, folder))
}

/// The same, with a cluster whose servers the test may kill.
pub async fn own(test: &str) -> Option<(Own, PathBuf)> {
    let folder = peer::wanted("helm", test)?;
    Some((Lab::own(test).await?, folder))
}

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
    pub helm: PathBuf,
    pub backend: HelmBackend,
    pub kubeconfig: PathBuf,
    chart: TempDir,
    /// The revision of each image.
    ids: Mutex<BTreeMap<u32, RevisionId>>,
}

/// The rules of the Role in `rbac.yaml`.
pub fn rules() -> Value {
    let role = rollback_helm::RBAC.split("\n---\n").next().unwrap();
    let role: Value = serde_saphyr::from_str(role).unwrap();
    role.get("rules").unwrap().clone()
}

pub fn key() -> ServiceKey {
    ServiceKey::new("checkout".parse().unwrap(), "production".parse().unwrap())
}

pub async fn connect(kubeconfig: &Path, config: Config) -> HelmBackend {
    let connection = Connection::kubeconfig(kubeconfig);
    HelmBackend::new(Cluster::connect(&connection).await.unwrap(), config)
}

pub fn image(number: u32) -> String {
    format!("registry.example.com/shop:{number}")
}

/// What puts a rollback on record: helm's own request, with our mark.
fn is_record(method: &Method, path: &str, body: &[u8]) -> bool {
    let mark = b"rollback-rs.github.io/order";
    *method == Method::POST
        && path.split('?').next().is_some_and(|path| path.ends_with("/secrets"))
        && body.windows(mark.len()).any(|window| window == mark)
}

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: {{ .Values.replicas }}
  progressDeadlineSeconds: {{ .Values.deadline }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      schedulerName: kube-lab
      terminationGracePeriodSeconds: 0
      containers:
      - {name: app, image: \"registry.example.com/shop:{{ .Values.number }}\"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {number: \"{{ .Values.number }}\"}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {password: \"{{ .Values.password }}\"}
";

/// What keeps helm until everything is ready: a hook comes after that.
pub const AFTERWARDS: &str = "
---
apiVersion: batch/v1
kind: Job
metadata:
  name: notify
  annotations: {helm.sh/hook: post-rollback}
spec:
  backoffLimit: 0
  template:
    spec:
      schedulerName: kube-lab
      restartPolicy: Never
      containers: [{name: notify, image: notify}]
";

/// What no log, no error and no message may ever hold.
pub const PASSWORD: &str = "hunter2-the-password";

impl Stage {
    /// Three revisions, the third live and rolled out.
    pub async fn set(lab: &'static Lab, folder: &Path, helm: Helm) -> Self {
        Self::set_with(lab, folder, helm, "", |_as_it_is| ()).await
    }

    /// The same with a workload that is not called failed while a server restarts.
    pub async fn set_patient(lab: &'static Lab, folder: &Path, helm: Helm) -> Self {
        Self::set_for(lab, folder, (helm, 120), "", |_as_it_is| ()).await
    }

    /// The same with more in the chart and other settings.
    pub async fn set_with(
        lab: &'static Lab,
        folder: &Path,
        helm: Helm,
        more: &str,
        adjust: impl Fn(&mut Config),
    ) -> Self {
        Self::set_for(lab, folder, (helm, 30), more, adjust).await
    }

    async fn set_for(
        lab: &'static Lab,
        folder: &Path,
        (helm, deadline): (Helm, u32),
        more: &str,
        adjust: impl Fn(&mut Config),
    ) -> Self {
        let space = lab.space(helm.command()).await;
        let user = space.user(&rules()).await;
        let (wire, kubeconfig) = space.wire_for(&user, is_record).await;
        let helm = folder.join(helm.command());
        let mut config = config(&space, &helm);
        adjust(&mut config);
        let backend = connect(&kubeconfig, config).await;
        let chart = tempfile::tempdir().unwrap();
        std::fs::create_dir(chart.path().join("templates")).unwrap();
        let about = "apiVersion: v2\nname: web\nversion: 0.1.0\nappVersion: \"1\"\n";
        std::fs::write(chart.path().join("Chart.yaml"), about).unwrap();
        let templates = format!("{DEPLOYMENT}{more}");
        std::fs::write(chart.path().join("templates/all.yaml"), templates).unwrap();
        let values =
            format!("number: 0\nreplicas: 2\ndeadline: {deadline}\npassword: {PASSWORD}\n");
        std::fs::write(chart.path().join("values.yaml"), values).unwrap();
        let ids = Mutex::default();
        let stage = Self { space, wire, helm, backend, kubeconfig, chart, ids };
        for number in 1..=2 {
            stage.upgrade(number, &[]).await;
        }
        stage.deploy(3).await;
        stage
    }

    pub fn config(&self) -> Config {
        config(&self.space, &self.helm)
    }

    /// Another process of ours.
    pub async fn another(&self, config: Config) -> HelmBackend {
        connect(&self.kubeconfig, config).await
    }

    /// Calls helm as somebody else would.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.helm);
        let home = self.chart.path();
        command
            .args(arguments)
            .arg(format!("--namespace={}", self.space.name()))
            .env("KUBECONFIG", self.space.lab().kubeconfig())
            .envs([("HOME", home), ("HELM_CACHE_HOME", home), ("HELM_CONFIG_HOME", home)])
            .env("HELM_DATA_HOME", home);
        command
    }

    pub fn chart_path(&self) -> &Path {
        self.chart.path()
    }

    pub async fn call(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().await.unwrap()
    }

    /// Upgrades past the adapter, and notes which revision that made.
    pub async fn upgrade(&self, number: u32, more: &[&str]) -> RevisionId {
        let chart = self.chart.path().display().to_string();
        let set = format!("--set=number={number}");
        let mut arguments = vec!["upgrade", "--install", "web", &chart, &set];
        arguments.extend(more);
        let done = self.call(&arguments).await;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let id = self.newest().await;
        self.ids.lock().unwrap().insert(number, id.clone());
        id
    }

    /// The same, until it is live.
    pub async fn deploy(&self, number: u32) -> RevisionId {
        self.upgrade(number, &["--wait", "--timeout=100s"]).await
    }

    pub fn id(&self, image: u32) -> RevisionId {
        self.ids.lock().unwrap().get(&image).unwrap().clone()
    }

    pub async fn records(&self) -> Vec<Value> {
        let list = self.space.get(CORE, "secrets?labelSelector=owner%3Dhelm,name%3Dweb").await;
        let mut records = list.get("items").unwrap().as_array().unwrap().clone();
        records.sort_by_key(number_of);
        records
    }

    async fn newest(&self) -> RevisionId {
        let records = self.records().await;
        let newest = records.last().unwrap();
        let uid = newest.pointer("/metadata/uid").unwrap().as_str().unwrap();
        format!("{}@{}", number_of(newest), uid.get(..8).unwrap()).parse().unwrap()
    }

    /// As helm itself tells it, oldest first.
    pub async fn history(&self) -> Vec<Value> {
        let told = self.call(&["history", "web", "--output=json"]).await;
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        serde_json::from_slice(&told.stdout).unwrap()
    }

    /// What helm calls a revision.
    pub async fn history_row(&self, number: usize) -> String {
        let rows = self.history().await;
        let row = rows.get(number.checked_sub(1).unwrap()).unwrap();
        row.get("status").unwrap().as_str().unwrap().to_owned()
    }

    /// How often helm was let roll something back.
    pub async fn effects(&self) -> usize {
        let rolled = |row: &&Value| {
            let text = row.get("description").unwrap().as_str().unwrap();
            text.starts_with("Rollback ") || text.starts_with("Release ")
        };
        self.history().await.iter().filter(rolled).count()
    }

    /// What is live, by what the workload itself says.
    pub async fn truth(&self) -> Option<RevisionId> {
        self.revision_in("deployments/web").await
    }

    /// The revision that one workload has. Helm changes them one after the other.
    pub async fn revision_in(&self, workload: &str) -> Option<RevisionId> {
        let object = self.space.get(APPS, workload).await;
        let image = object.pointer("/spec/template/spec/containers/0/image").unwrap();
        let number: u32 = image.as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        self.ids.lock().unwrap().get(&number).cloned()
    }

    pub fn back_by_one(&self) -> Plan {
        Plan::new(key(), RevisionRef::new(self.id(3)), RevisionRef::new(self.id(2))).unwrap()
    }

    pub fn plan(&self, from: &RevisionId, to: &RevisionId) -> Plan {
        Plan::new(key(), RevisionRef::new(from.clone()), RevisionRef::new(to.clone())).unwrap()
    }

    /// How the pods of every earlier revision fare from now on.
    pub fn befall_earlier(&self, behaviour: Behaviour) {
        self.space.behave(&image(1), behaviour);
        self.space.behave(&image(2), behaviour);
    }

    #[expect(clippy::future_not_send, reason = "a test waits where it runs")]
    pub async fn wait<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        if let Ok(found) = found.await {
            return found;
        }
        let mut told = String::new();
        for row in self.history().await {
            writeln!(told, "{row}").unwrap();
        }
        panic!("{what} never came: {told}")
    }

    /// Looks until the execution has ended.
    pub async fn end(
        &self,
        backend: &HelmBackend,
        order: &OrderRef,
        receipt: &Receipt,
    ) -> Progress {
        self.wait("the end of the rollback", async || {
            let progress = backend.observe(order, receipt, ObserveOptions::default()).await.ok()?;
            let ended = !matches!(progress.phase, Phase::Started | Phase::HealthChecking);
            ended.then_some(progress)
        })
        .await
    }

    /// Another process, which carries an order out, and whose lease is this long.
    pub fn child_with(&self, order: &OrderRef, lease: Duration) -> Child {
        let plan = order.plan();
        let told = json!({
            "kubeconfig": self.kubeconfig.display().to_string(),
            "namespace": self.space.name(),
            "helm": self.helm.display().to_string(),
            "lease": lease.as_secs(),
            "from": plan.from().revision.as_str(),
            "to": plan.to().revision.as_str(),
            "order": order.rollback().as_str(),
        });
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cluster::a_process_that_is_told_what_to_do", "--nocapture"])
            .env(CHILD, told.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    pub fn child(&self, order: &OrderRef) -> Child {
        self.child_with(order, Duration::from_secs(60))
    }

    /// No record is there of which nobody has decided what becomes of it.
    pub async fn nothing_undecided(&self) {
        for _look in 0..600 {
            if self.undecided().await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("a record stays of which nobody decides what becomes of it");
    }

    async fn undecided(&self) -> usize {
        let records = self.records().await;
        let has = |record: &&Value, key: &str| {
            let annotations = record.pointer("/metadata/annotations");
            annotations.is_some_and(|all| all.get(format!("rollback-rs.github.io/{key}")).is_some())
        };
        records.iter().filter(|it| has(it, "order") && !has(it, "committed")).count()
    }

    /// What we keep of the release.
    pub async fn journal(&self) -> Option<Value> {
        self.space.find(CORE, JOURNAL).await
    }
}

/// Where that is.
pub const JOURNAL: &str = "configmaps/rollback-helm.web";

/// Where a process of its own is told what to do.
const CHILD: &str = "ROLLBACK_HELM_CHILD";

/// What that process does. Of no other process anything.
pub async fn do_as_told() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let told: Value = serde_json::from_str(&told).unwrap();
    let text = |field: &str| told.get(field).unwrap().as_str().unwrap().to_owned();
    let revision = |field: &str| RevisionRef::new(text(field).parse().unwrap());
    let release = Release::new(text("namespace"), "web");
    let mut config = Config::new(key(), release, Arc::new(WallClock));
    config.helm = text("helm").into();
    config.timeout = Duration::from_secs(100);
    config.lease = Duration::from_secs(told.get("lease").unwrap().as_u64().unwrap());
    let backend = connect(text("kubeconfig").as_ref(), config).await;
    let plan = Plan::new(key(), revision("from"), revision("to")).unwrap();
    let id = text("order").parse().unwrap();
    let order = rollback_testkit::order_at(plan, &id, WallClock.now());
    let _receipt = backend.start(again(&order)).await;
    std::future::pending::<()>().await;
}

fn config(space: &Space, helm: &Path) -> Config {
    let mut config = Config::new(key(), Release::new(space.name(), "web"), Arc::new(WallClock));
    config.helm = helm.to_owned();
    config.timeout = Duration::from_secs(25);
    config.deadline = Duration::from_secs(25);
    config.start_within = Duration::from_secs(15);
    config.lease = Duration::from_secs(20);
    config
}

pub fn number_of(record: &Value) -> u32 {
    record.pointer("/metadata/labels/version").unwrap().as_str().unwrap().parse().unwrap()
}

/// A merge patch of the pod template's only container list.
pub fn replicas(count: u32) -> Value {
    json!({"spec": {"replicas": count}})
}
