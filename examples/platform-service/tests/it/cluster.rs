//! `kind: kubernetes` and `kind: helm`, by configuration alone, on a real cluster.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::future_not_send,
    reason = "a test fails by panicking"
)]

use crate::stage::service::{API_TOKEN, Service};
use kube_lab::{Behaviour, Lab, Space, deployment};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use team::{CHANNEL, OWNER, PATIENCE, SECRET, TOKEN, Team, VERSION, WORKSPACE, now};

const APPS: &str = "apis/apps/v1";
const WEB: &str = "deployments/web";

fn image(number: u32) -> String {
    format!("registry.example.com/shop:{number}")
}

/// The rules of the Role in a crate's `rbac.yaml`.
fn rules(manifests: &str) -> Value {
    let role = manifests.split("\n---\n").next().unwrap();
    let role: Value = serde_saphyr::from_str(role).unwrap();
    role["rules"].clone()
}

fn yaml(backend: &str, kubeconfig: &Path, with: &str) -> String {
    format!(
        "slack: {{channel: {CHANNEL}, workspace: {WORKSPACE}}}\n\
         store: sqlite://rollback.db\n\
         backends:\n  \
           cluster: {{{backend}, kubeconfig: \"{}\"}}\n\
         services:\n  \
           checkout:\n    \
             owners: {{users: [{OWNER}]}}\n    \
             environments:\n      \
               production: {{backend: cluster, with: {with}}}\n\
         limits: {{settle: 200ms}}\n",
        kubeconfig.display()
    )
}

async fn rolled_out(space: &Space, image: &str) {
    let all = |object: &Value| {
        let spec = &object["spec"]["template"]["spec"]["containers"][0]["image"];
        let (meta, status) = (&object["metadata"], &object["status"]);
        *spec == image
            && meta["generation"] == status["observedGeneration"]
            && [&status["updatedReplicas"], &status["availableReplicas"], &status["replicas"]]
                .iter()
                .all(|count| **count == 2)
    };
    let ended = tokio::time::timeout(PATIENCE, async {
        while !all(&space.get(APPS, WEB).await) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    ended.await.unwrap();
}

async fn until(holds: impl AsyncFn() -> bool) {
    let holding = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    holding.await.unwrap();
}

/// The service behind a configuration, and the team that it works for.
struct Played {
    team: Team,
    service: Service,
}

impl Played {
    async fn start(yaml: &str) -> Self {
        let team = Team::start().await;
        let service = Service::start_with(&team, yaml, tokio::spawn(async {}), &[]).await;
        team.set_interactivity_url(service.url("/slack/interactivity"));
        Self { team, service }
    }

    /// As a CI job does, which knows the number that its tool told it.
    async fn report(&self, version: &str, revision: &str, deployed_at: &str) -> Value {
        let report = json!({
            "id": format!("ci-{version}"), "service": "checkout", "environment": "production",
            "version": version, "revision": revision, "deployed_at": deployed_at,
            "migrations": [],
        });
        let (status, answer) = self.service.post("/v1/deploys", &report).await;
        assert_eq!(status, 201, "{answer}");
        answer
    }

    async fn propose(&self, target: &str) -> (u16, Value) {
        let proposal = json!({
            "service": "checkout", "environment": "production", "target": target,
            "reason": "errors up", "proposed_by": {"id": "agent-7"},
        });
        self.service.post("/v1/rollbacks", &proposal).await
    }

    /// Clicks, gives a reason, confirms, and waits until the message says how it ended. Gives what
    /// the thread says.
    async fn roll_back(&self) -> String {
        let modal = self.team.open(OWNER).await;
        self.team.confirm(OWNER, &modal, "errors up").await;
        let message = self.team.message_with("is healthy").await;
        let lines = self.team.thread(CHANNEL, &message.ts);
        lines.iter().map(local_slack::Message::all_text).collect::<Vec<_>>().join("\n")
    }

    /// The audit records, after their chain was checked.
    async fn audited(&self) -> Vec<Value> {
        let verified = self.service.get("/v1/audit/verify").await;
        assert_eq!(verified["ok"], true, "{verified}");
        let lines = self.service.get("/v1/audit").await;
        lines.as_str().unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Whether the audit log tells of one whole rollback between these two.
    async fn tells_of(&self, from: &str, to: &str) {
        let records = self.audited().await;
        let kinds: Vec<&str> = records.iter().map(|it| it["kind"].as_str().unwrap()).collect();
        for kind in ["requested", "confirmed", "triggered", "phase", "succeeded"] {
            assert!(kinds.contains(&kind), "{kind} is missing: {kinds:?}");
        }
        for record in &records {
            assert_eq!(record["from"]["revision"], from, "{record}");
            assert_eq!(record["to"]["revision"], to, "{record}");
        }
    }
}

#[tokio::test]
async fn a_deployment_is_reported_by_its_number_and_rolled_back_from_slack() {
    let Some(lab) = Lab::shared("platform-service with `kind: kubernetes`") else { return };
    let space = lab.space("platform").await;
    let kubeconfig = space.user(&rules(rollback_kube::RBAC)).await;
    space.create(APPS, "deployments", deployment("web", &image(1), 2)).await;
    rolled_out(&space, &image(1)).await;
    let containers = json!([{"name": "app", "image": image(2)}]);
    let newer = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    space.strategic(APPS, WEB, newer).await;
    rolled_out(&space, &image(2)).await;

    let with = format!("{{namespace: {}, name: web}}", space.name());
    let played = Played::start(&yaml("kind: kubernetes", &kubeconfig, &with)).await;
    // A number of a Deployment that was there before this one.
    let early = played.report("2.13.4", "2", "2026-01-01T00:00:00Z").await;
    assert_eq!(early["target"], Value::Null, "{early}");
    assert!(early["why"].as_str().unwrap().contains("another revision was meant"), "{early}");

    let answer = played.report(VERSION, "2", &now().to_string()).await;
    assert_eq!(answer["target"]["names"][0], "1", "{answer}");
    let told = played.service.get("/v1/services/checkout/production").await;
    let live = told["live"]["id"].as_str().unwrap();
    assert!(live.starts_with("web-") && live.contains('@'), "{told}");
    assert_eq!(told["live"]["names"][0], "2", "{told}");
    let (status, problem) = played.propose("7").await;
    assert_eq!(status, 422, "{problem}");
    let detail = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("`2` (`{live}`)")), "{detail}");

    let thread = played.roll_back().await;
    rolled_out(&space, &image(1)).await;
    assert!(thread.contains("errors up"), "{thread}");
    played.tells_of(live, answer["target"]["id"].as_str().unwrap()).await;
    // Kubernetes calls what came back 3 now; the number that it had is not forgotten.
    let told = played.service.get("/v1/services/checkout/production").await;
    assert_eq!(told["live"]["id"], answer["target"]["id"], "{told}");
    let names: Vec<&str> =
        told["live"]["names"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(names.contains(&"3") && names.contains(&"1"), "{told}");
}

const CHART: &str = "apiVersion: v2\nname: web\nversion: 0.1.0\nappVersion: \"1\"\n";

const TEMPLATE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      schedulerName: kube-lab
      terminationGracePeriodSeconds: 0
      containers:
      - {name: app, image: \"registry.example.com/shop:{{ .Values.number }}\"}
";

/// A chart of one Deployment, and a helm that somebody else calls.
struct Release<'a> {
    helm: &'a Path,
    space: &'a Space,
    chart: tempfile::TempDir,
}

/// What must be done before a rollback begins.
const HOOK: &str = "
---
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  annotations: {helm.sh/hook: pre-rollback}
spec:
  template:
    spec:
      schedulerName: kube-lab
      restartPolicy: Never
      containers: [{name: migrate, image: migrate}]
";

impl<'a> Release<'a> {
    fn new(helm: &'a Path, space: &'a Space) -> Self {
        Self::with(helm, space, "")
    }

    /// The same with more in its chart.
    fn with(helm: &'a Path, space: &'a Space, more: &str) -> Self {
        let chart = tempfile::tempdir().unwrap();
        std::fs::create_dir(chart.path().join("templates")).unwrap();
        std::fs::write(chart.path().join("Chart.yaml"), CHART).unwrap();
        std::fs::write(chart.path().join("values.yaml"), "number: 0\n").unwrap();
        std::fs::write(chart.path().join("templates/web.yaml"), format!("{TEMPLATE}{more}"))
            .unwrap();
        Self { helm, space, chart }
    }

    fn call(&self, arguments: &[&str]) -> String {
        let home = self.chart.path();
        let done = Command::new(self.helm)
            .args(arguments)
            .arg(format!("--namespace={}", self.space.name()))
            .env("KUBECONFIG", self.space.lab().kubeconfig())
            .envs([("HOME", home), ("HELM_CACHE_HOME", home), ("HELM_CONFIG_HOME", home)])
            .env("HELM_DATA_HOME", home)
            .output();
        let done = done.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// Deploys, and gives the number that helm told.
    fn deploy(&self, number: u32) -> String {
        let (chart, set) =
            (self.chart.path().display().to_string(), format!("--set=number={number}"));
        self.call(&["upgrade", "--install", "shop", &chart, &set, "--wait", "--timeout=100s"]);
        self.history().last().unwrap()["revision"].to_string()
    }

    fn history(&self) -> Vec<Value> {
        serde_json::from_str(&self.call(&["history", "shop", "--output=json"])).unwrap()
    }
}

#[tokio::test]
async fn a_release_is_reported_by_helms_number_and_rolled_back_from_slack() {
    let Some(folder) = peer::wanted("helm", "platform-service with `kind: helm`") else {
        return;
    };
    let Some(lab) = Lab::shared("platform-service with `kind: helm`") else { return };
    for command in ["helm3", "helm4"] {
        let (space, helm) = (lab.space(command).await, folder.join(command));
        let kubeconfig = space.user(&rules(rollback_helm::RBAC)).await;
        let release = Release::new(&helm, &space);
        release.deploy(1);
        let number = release.deploy(2);
        assert_eq!(number, "2");

        let with = format!("{{namespace: {}, release: shop}}", space.name());
        let backend = format!("kind: helm, command: \"{}\"", helm.display());
        let played = Played::start(&yaml(&backend, &kubeconfig, &with)).await;
        let answer = played.report(VERSION, &number, &now().to_string()).await;
        let target = answer["target"]["id"].as_str().unwrap();
        assert!(target.starts_with("1@"), "{answer}");
        assert_eq!(answer["target"]["names"], json!(["1"]), "{answer}");
        let told = played.service.get("/v1/services/checkout/production").await;
        let live = told["live"]["id"].as_str().unwrap();
        assert!(live.starts_with("2@"), "{told}");
        let (status, problem) = played.propose("7").await;
        assert_eq!(status, 422, "{problem}");
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("`2` (`{live}`), `1` (`{target}`)")), "{detail}");
        let (status, proposed) = played.propose("1").await;
        assert_eq!(status, 201, "{proposed}");

        let thread = played.roll_back().await;
        rolled_out(&space, &image(1)).await;
        assert!(thread.contains("errors up"), "{thread}");
        played.tells_of(live, target).await;
        let newest = release.history().pop().unwrap();
        assert_eq!(
            (&newest["revision"], &newest["description"]),
            (&json!(3), &json!("Rollback to 1"))
        );
        let told = played.service.get("/v1/services/checkout/production").await;
        assert_eq!(told["live"]["id"], target, "{told}");
        assert_eq!(told["live"]["names"], json!(["3", "1"]), "{told}");
    }
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_helm_rollback_cuts_nothing_in_half() {
    const WHAT: &str = "a restart in the middle of a Helm rollback";
    let Some(folder) = peer::wanted("helm", WHAT) else { return };
    let Some(lab) = Lab::shared(WHAT) else { return };
    for command in ["helm3", "helm4"] {
        let (space, helm) = (lab.space(command).await, folder.join(command));
        let kubeconfig = space.user(&rules(rollback_helm::RBAC)).await;
        let release = Release::with(&helm, &space, HOOK);
        release.deploy(1);
        let number = release.deploy(2);
        let with = format!("{{namespace: {}, release: shop}}", space.name());
        let backend = format!("kind: helm, lease: 5s, command: \"{}\"", helm.display());
        let mut played = Played::start(&yaml(&backend, &kubeconfig, &with)).await;
        played.report(VERSION, &number, &now().to_string()).await;

        space.behave("migrate", Behaviour::NeverReady);
        space.behave(&image(1), Behaviour::NeverReady);
        let modal = played.team.open(OWNER).await;
        played.team.confirm(OWNER, &modal, "errors up").await;
        until(async || space.find("apis/batch/v1", "jobs/migrate").await.is_some()).await;
        // While helm waits for its hook, and has touched nothing yet.
        let (code, ()) = tokio::join!(played.service.terminate(), async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            space.behave("migrate", Behaviour::Ready);
        });
        assert_eq!(code, Some(0));
        let newest = release.history().pop().unwrap();
        assert_eq!(
            (&newest["revision"], &newest["status"]),
            (&json!(3), &json!("deployed")),
            "helm was let finish what it did"
        );
        let Played { team, service } = played;
        let folder = service.into_folder();
        // Nothing of ours runs while the pods come up.
        space.behave(&image(1), Behaviour::Ready);
        rolled_out(&space, &image(1)).await;
        let service = Service::start_in(folder, &team, tokio::spawn(async {}), &[]).await;
        team.set_interactivity_url(service.url("/slack/interactivity"));
        team.message_with("is healthy").await;
        let played = Played { team, service };
        let kinds: Vec<Value> =
            played.audited().await.into_iter().map(|it| it["kind"].clone()).collect();
        assert!(kinds.contains(&json!("succeeded")), "{kinds:?}");
    }
}

// The local Slack answers while this waits for the process.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_nobody_installed_is_told_by_the_check() {
    let Some(lab) = Lab::shared("platform-service with `kind: helm`") else { return };
    let space = lab.space("platform-helm").await;
    let kubeconfig = space.user(&rules(rollback_helm::RBAC)).await;
    let team = Team::start().await;
    let folder = tempfile::tempdir().unwrap();
    let with = format!("{{namespace: {}, release: shop}}", space.name());
    let file = folder.path().join("rollback.yaml");
    std::fs::write(&file, yaml("kind: helm", &kubeconfig, &with)).unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_platform-service"))
        .args(["check", "--config", "rollback.yaml"])
        .current_dir(folder.path())
        .env_clear()
        .envs([
            ("SLACK_BOT_TOKEN", TOKEN),
            ("SLACK_SIGNING_SECRET", SECRET),
            ("SLACK_API_URL", team.api_url().as_str()),
            ("ROLLBACK_API_TOKEN", API_TOKEN),
        ])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&checked.stdout).into_owned();
    let row = told.lines().find(|line| line.contains("checkout/production CD")).unwrap();
    assert!(row.starts_with("UNKNOWN") && row.ends_with("nothing runs"), "{told}");
    assert_eq!(checked.status.code(), Some(0), "what is not known yet is no failure: {told}");
}
