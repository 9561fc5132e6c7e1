//! The table of words, said by the real helm, 3 and 4, on a real cluster: what is not said like that
//! any more is noticed here, and not by a person who waits for a rollback.

use super::{Cause, cause};
use core::mem::discriminant;
use core::time::Duration;
use kube_lab::{Behaviour, Lab, Space};
use serde_json::json;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::process::Command;

const APPS: &str = "apis/apps/v1";

/// Three revisions: with an object more in the first, and a hook that fails when it is told to.
const TEMPLATES: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  progressDeadlineSeconds: {{ .Values.deadline }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      schedulerName: kube-lab
      terminationGracePeriodSeconds: 0
      containers: [{name: app, image: "shop:{{ .Values.number }}"}]
{{ if eq (int .Values.number) 1 }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: extra}
data: {number: "1"}
{{ end }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  annotations: {helm.sh/hook: pre-rollback}
spec:
  backoffLimit: 0
  template:
    spec:
      schedulerName: kube-lab
      restartPolicy: Never
      containers: [{name: migrate, image: migrate}]
"#;

struct Scene {
    space: Space,
    helm: PathBuf,
    home: TempDir,
}

impl Scene {
    async fn set(lab: &'static Lab, helm: PathBuf, deadline: u32) -> Self {
        let scene =
            Self { space: lab.space("words").await, helm, home: tempfile::tempdir().unwrap() };
        std::fs::create_dir(scene.path("templates")).unwrap();
        let about = "apiVersion: v2\nname: web\nversion: 0.1.0\n";
        std::fs::write(scene.path("Chart.yaml"), about).unwrap();
        std::fs::write(scene.path("templates/all.yaml"), TEMPLATES).unwrap();
        let values = format!("number: 0\ndeadline: {deadline}\n");
        std::fs::write(scene.path("values.yaml"), values).unwrap();
        for number in 1..=3 {
            scene
                .does(&["upgrade", "--install", "web", ".", &format!("--set=number={number}")])
                .await;
        }
        scene
    }

    fn path(&self, file: &str) -> PathBuf {
        self.home.path().join(file)
    }

    async fn as_whom(&self, kubeconfig: &Path, arguments: &[&str]) -> (bool, String) {
        // Each time as on a machine that has never seen the cluster, as ours is.
        let fresh = tempfile::tempdir().unwrap();
        let mut command = Command::new(&self.helm);
        command
            .arg(format!("--namespace={}", self.space.name()))
            .args(arguments)
            .current_dir(self.home.path())
            .env_clear()
            // The story is longer than what helm would keep of it.
            .env("HELM_MAX_HISTORY", "0")
            .env("KUBECONFIG", kubeconfig);
        for name in ["HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, fresh.path());
        }
        let output = command.output().await.unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    async fn does(&self, arguments: &[&str]) {
        let (done, stderr) = self.as_whom(self.space.lab().kubeconfig(), arguments).await;
        assert!(done, "{stderr}");
    }

    /// It fails, and what helm says is taken for this.
    async fn fails(&self, arguments: &[&str], expected: &Cause) {
        self.fails_as(self.space.lab().kubeconfig(), arguments, expected).await;
    }

    async fn fails_as(&self, kubeconfig: &Path, arguments: &[&str], expected: &Cause) {
        let (done, stderr) = self.as_whom(kubeconfig, arguments).await;
        assert!(!done, "{arguments:?} succeeded");
        let found = cause(&stderr);
        let same = discriminant(&found) == discriminant(expected);
        assert!(same, "{} {arguments:?}: {stderr}\nis taken for {found:?}", self.helm.display());
    }

    /// Somebody who may do this and nothing else.
    async fn user(&self, resources: &[&str]) -> PathBuf {
        let rule = json!({"apiGroups": [""], "resources": resources, "verbs": ["*"]});
        self.space.user(&json!([rule])).await
    }

    /// Somebody whose kubeconfig was changed like this.
    async fn changed(&self, name: &str, at: &str, to: &str) -> PathBuf {
        let user = std::fs::read_to_string(self.user(&["events"]).await).unwrap();
        let mut config: serde_json::Value = serde_json::from_str(&user).unwrap();
        *config.pointer_mut(at).unwrap() = to.into();
        std::fs::write(self.path(name), config.to_string()).unwrap();
        self.path(name)
    }
}

fn any() -> String {
    String::new()
}

#[tokio::test]
async fn the_real_helm_says_what_the_table_says() {
    let Some(folder) = peer::wanted("helm", "helm's own words") else { return };
    let Some(lab) = Lab::shared("helm's own words") else { return };
    for (helm, four) in [("helm3", false), ("helm4", true)] {
        let scene = Scene::set(lab, folder.join(helm), 600).await;
        usage(&scene, four).await;
        access(&scene).await;
        state(&scene, four).await;
        if four {
            let scene = Scene::set(lab, folder.join(helm), 1).await;
            scene.space.behave("shop:2", Behaviour::NeverReady);
            let wait = ["rollback", "web", "2", "--wait", "--timeout=60s"];
            scene.fails(&wait, &Cause::DeadlineExceeded(any())).await;
        }
        killed(&Scene::set(lab, folder.join(helm), 600).await).await;
    }
}

/// What is wrong with the question.
async fn usage(scene: &Scene, four: bool) {
    scene.fails(&["rollback", "nope", "1"], &Cause::NoRelease).await;
    scene.fails(&["history", "nope"], &Cause::NoRelease).await;
    scene.fails(&["rollback", "web", "99"], &Cause::NoTarget).await;
    for arguments in [
        vec!["rollback", "web", "abc"],
        vec!["rollback", "web", "--", "-1"],
        vec!["rollback", "UPPER_CASE", "1"],
        vec!["history", "UPPER_CASE"],
        vec!["rollback"],
        vec!["rollback", "web", "1", "--no-such-flag"],
        vec!["history", "web", "--output=xml"],
    ] {
        scene.fails(&arguments, &Cause::Usage(any())).await;
    }
    if four {
        for flags in [
            ["--recreate-pods", "--no-hooks"],
            ["--server-side=true", "--force-replace"],
            ["--server-side=false", "--force-conflicts"],
            ["--server-side=perhaps", "--no-hooks"],
        ] {
            let arguments = ["rollback", "web", "2", flags[0], flags[1]];
            scene.fails(&arguments, &Cause::Usage(any())).await;
        }
    }
}

/// Whether it gets there, and may.
async fn access(scene: &Scene) {
    let to_two = ["rollback", "web", "2"];
    let server = "/clusters/0/cluster/server";
    let nowhere = scene.changed("nowhere", server, "https://127.0.0.1:1").await;
    scene.fails_as(&nowhere, &to_two, &Cause::Unreachable).await;
    scene.fails_as(&scene.path("no-such-file"), &to_two, &Cause::Unreachable).await;
    let context = ["rollback", "web", "2", "--kube-context=nope"];
    scene.fails(&context, &Cause::Unreachable).await;
    let stranger = scene.changed("stranger", "/users/0/user/token", "of-another-cluster").await;
    scene.fails_as(&stranger, &to_two, &Cause::Unauthorized).await;
    let nobody = scene.user(&["events"]).await;
    scene.fails_as(&nobody, &to_two, &Cause::Forbidden(any())).await;
    // Who may write the record and no workload notices after the record was made.
    let keeper = scene.user(&["secrets"]).await;
    let arguments = ["rollback", "web", "2", "--no-hooks"];
    scene.fails_as(&keeper, &arguments, &Cause::Forbidden(any())).await;
}

/// What the cluster and the release are like.
async fn state(scene: &Scene, four: bool) {
    let to_two = ["rollback", "web", "2", "--wait", "--timeout=2s"];
    scene.space.behave("shop:2", Behaviour::NeverReady);
    scene.fails(&to_two, &Cause::NotReady(any())).await;
    scene.space.behave("shop:2", Behaviour::Ready);

    scene.space.behave("migrate", Behaviour::CrashLoopBackOff);
    scene.fails(&["rollback", "web", "2"], &Cause::Hook(any())).await;
    // That left it pending: an upgrade is told so.
    let upgrade = ["upgrade", "web", ".", "--set=number=4"];
    scene.fails(&upgrade, &Cause::Busy).await;
    scene.space.behave("migrate", Behaviour::NeverReady);
    scene.fails(&["rollback", "web", "2", "--timeout=2s"], &Cause::Hook(any())).await;
    scene.space.behave("migrate", Behaviour::Ready);
    scene.does(&["rollback", "web", "3"]).await;

    // An object of the target that somebody else made meanwhile.
    let extra = json!({"metadata": {"name": "extra"}, "data": {"number": "theirs"}});
    scene.space.create("api/v1", "configmaps", extra).await;
    scene.fails(&["rollback", "web", "1"], &Cause::ObjectMissing(any())).await;
    scene.space.delete("api/v1", "configmaps/extra").await;
    scene.does(&["rollback", "web", "3"]).await;

    if four {
        let path = scene.space.path(APPS, "deployments/web?fieldManager=somebody&force=true");
        let theirs = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web"}, "spec": {"replicas": 7}});
        let apply = "application/apply-patch+yaml";
        scene.space.try_ask(http::Method::PATCH, &path, apply, &theirs).await.unwrap();
        scene.fails(&["rollback", "web", "2"], &Cause::FieldConflict(any())).await;
        scene.does(&["rollback", "web", "3", "--force-conflicts"]).await;
    }

    // Somebody has the next number, unseen in helm's own list.
    let all = scene.space.get("api/v1", "secrets?labelSelector=owner%3Dhelm,name%3Dweb").await;
    let next = all["items"].as_array().unwrap().len() + 1;
    let name = format!("sh.helm.release.v1.web.v{next}");
    scene.space.create("api/v1", "secrets", json!({"metadata": {"name": name}})).await;
    scene.fails(&["rollback", "web", "2"], &Cause::LostRace).await;
}

/// It is ended by a signal, and says nothing.
async fn killed(scene: &Scene) {
    scene.space.behave("shop:2", Behaviour::NeverReady);
    let mut command = Command::new(&scene.helm);
    let helm = command
        .args(["rollback", "web", "2", "--wait", "--timeout=60s"])
        .arg(format!("--namespace={}", scene.space.name()))
        .env_clear()
        .env("KUBECONFIG", scene.space.lab().kubeconfig())
        .env("HOME", scene.home.path())
        .stderr(std::process::Stdio::piped())
        .spawn();
    let mut helm = helm.unwrap();
    while scene.space.find("api/v1", "secrets/sh.helm.release.v1.web.v4").await.is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    helm.start_kill().unwrap();
    let ended = helm.wait_with_output().await.unwrap();
    assert_eq!(cause(&String::from_utf8_lossy(&ended.stderr)), Cause::Killed);
}
