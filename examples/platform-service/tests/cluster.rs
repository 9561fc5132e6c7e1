//! `kind: kubernetes` and `kind: helm`, by configuration alone, on a real cluster.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod stage;

use kube_lab::{Lab, Space, deployment};
use local_slack::{LocalSlack, Outcome};
use serde_json::{Value, json};
use stage::service::{API_TOKEN, Service};
use stage::{CHANNEL, OWNER, PATIENCE, SECRET, TEAM, TOKEN, people};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

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

fn yaml(kind: &str, kubeconfig: &Path, with: &str) -> String {
    format!(
        "slack: {{channel: {CHANNEL}, workspace: {TEAM}}}\n\
         store: sqlite://rollback.db\n\
         backends:\n  \
           cluster: {{kind: {kind}, kubeconfig: \"{}\"}}\n\
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

#[tokio::test]
async fn a_deployment_is_rolled_back_from_slack_by_its_configuration_alone() {
    let Some(lab) = Lab::shared("platform-service with `kind: kubernetes`") else { return };
    let space = lab.space("platform").await;
    let kubeconfig = space.user(&rules(rollback_kube::RBAC)).await;
    space.create(APPS, "deployments", deployment("web", &image(1), 2)).await;
    rolled_out(&space, &image(1)).await;
    let containers = json!([{"name": "app", "image": image(2)}]);
    let newer = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    space.strategic(APPS, WEB, newer).await;
    rolled_out(&space, &image(2)).await;

    let slack = LocalSlack::start(people()).await.unwrap();
    let with = format!("{{namespace: {}, name: web}}", space.name());
    let nothing = tokio::spawn(async {});
    let yaml = yaml("kubernetes", &kubeconfig, &with);
    let service = Service::start_with(&slack, &yaml, nothing, &[]).await;
    slack.set_interactivity_url(service.url("/slack/interactivity"));
    let report = json!({
        "id": "ci-2", "service": "checkout", "environment": "production", "version": "2",
        "deployed_at": now(), "migrations": [],
    });
    let (status, answer) = service.post("/v1/deploys", &report).await;
    assert_eq!(status, 201, "{answer}");
    assert!(answer["target"]["id"].is_string(), "{answer}");

    let message = slack.wait_until(PATIENCE, |slack| {
        let mut messages = slack.messages(CHANNEL).into_iter();
        messages.find(|message| message.element("rollback_open").is_some())
    });
    let message = message.await.unwrap();
    let clicked = slack.click(OWNER, CHANNEL, &message.ts, "rollback_open").await.unwrap();
    assert_eq!(clicked, Outcome::Acknowledged);
    let modal = slack.wait_until(PATIENCE, |slack| {
        let mut views = slack.views(OWNER).into_iter();
        views.find(|view| view.blocks().iter().any(|block| block["block_id"] == "reason"))
    });
    let modal = modal.await.unwrap();
    let reason = [("reason", "errors up")];
    assert_eq!(slack.submit(OWNER, &modal.id, &reason).await.unwrap(), Outcome::Updated);
    rolled_out(&space, &image(1)).await;
    let ended = slack.wait_until(PATIENCE, |slack| {
        let newest = slack.messages(CHANNEL).pop()?;
        newest.all_text().contains("is healthy").then_some(())
    });
    ended.await.unwrap();
}

fn now() -> String {
    stage::deploy("ci-2", "2", "2").deployed_at.to_string()
}

// The local Slack answers while this waits for the process.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_nobody_installed_is_told_by_the_check() {
    let Some(lab) = Lab::shared("platform-service with `kind: helm`") else { return };
    let space = lab.space("platform-helm").await;
    let kubeconfig = space.user(&rules(rollback_helm::RBAC)).await;
    let slack = LocalSlack::start(people()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let with = format!("{{namespace: {}, release: shop}}", space.name());
    let file = folder.path().join("rollback.yaml");
    std::fs::write(&file, yaml("helm", &kubeconfig, &with)).unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_platform-service"))
        .args(["check", "--config", "rollback.yaml"])
        .current_dir(folder.path())
        .env_clear()
        .envs([
            ("SLACK_BOT_TOKEN", TOKEN),
            ("SLACK_SIGNING_SECRET", SECRET),
            ("SLACK_API_URL", slack.api_url().as_str()),
            ("ROLLBACK_API_TOKEN", API_TOKEN),
        ])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&checked.stdout).into_owned();
    let row = told.lines().find(|line| line.contains("checkout/production CD")).unwrap();
    assert!(row.starts_with("UNKNOWN") && row.ends_with("nothing runs"), "{told}");
    assert_eq!(checked.status.code(), Some(0), "what is not known yet is no failure: {told}");
}
