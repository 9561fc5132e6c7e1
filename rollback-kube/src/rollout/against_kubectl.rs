//! The real `kubectl rollout status` on the same objects says the same, word for word.

use super::{Rollout, status};
use crate::config::Kind;
use crate::objects::Object;
use kube_lab::{Behaviour, Lab, Own, Server, Space};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const APPS: &str = "apis/apps/v1";

struct Scene {
    space: Space,
    kubectl: PathBuf,
    said: Vec<String>,
}

impl Scene {
    fn kubectl(&self, kind: Kind, name: &str) -> String {
        let output = Command::new(&self.kubectl)
            .arg("--kubeconfig")
            .arg(self.space.lab().kubeconfig())
            .args(["--namespace", self.space.name(), "rollout", "status", "--watch=false"])
            .arg(format!("{}/{name}", kind.as_str()))
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        match err.strip_prefix("error: ") {
            Some(error) => format!("failed: {error}"),
            None => out,
        }
    }

    /// Compares, once the words are these: whatever comes before is compared as well.
    async fn until(&mut self, kind: Kind, name: &str, expected: &str) {
        let path = format!("{}/{name}", kind.resource());
        for _look in 0..200 {
            let before = self.space.get(APPS, &path).await;
            let theirs = self.kubectl(kind, name);
            let after = self.space.get(APPS, &path).await;
            if before != after {
                continue;
            }
            let object: Object = serde_json::from_value(before.clone()).unwrap();
            let ours = match status(kind, &object) {
                Rollout::Failed(said) => format!("failed: {said}"),
                Rollout::Done(said) | Rollout::Waiting(said) => said,
            };
            assert_eq!(ours, theirs, "{before}");
            let reached = ours.contains(expected);
            self.said.push(ours);
            if reached {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{kind:?} never said {expected:?}: {:?}", self.said);
    }

    async fn create(&self, kind: Kind, name: &str, adjust: impl Fn(&mut Value)) {
        let mut made = match kind {
            Kind::Deployment => kube_lab::deployment(name, "shop:1", 3),
            Kind::StatefulSet => kube_lab::stateful_set(name, "shop:1", 3),
            Kind::DaemonSet => kube_lab::daemon_set(name, "shop:1"),
        };
        adjust(&mut made);
        self.space.create(APPS, kind.resource(), made).await;
    }

    async fn image(&self, kind: Kind, name: &str, image: &str) {
        let change = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}});
        self.space.strategic(APPS, &format!("{}/{name}", kind.resource()), change).await;
    }
}

#[tokio::test]
async fn we_say_what_kubectl_says() {
    let Some(tools) = peer::wanted("helm", "a comparison with kubectl rollout status") else {
        return;
    };
    let own = Lab::own("what kubectl says when nobody observes a change").await;
    let shared = || Lab::shared("a comparison with kubectl rollout status");
    let Some(lab) = own.as_ref().map(Own::lab).or_else(shared) else { return };
    let mut scene = Scene {
        space: lab.space("status").await,
        kubectl: tools.join("kubectl"),
        said: Vec::new(),
    };
    scene.space.behave("shop:slow", Behaviour::NeverReady);
    deployments(&mut scene).await;
    stateful_sets(&mut scene).await;
    daemon_sets(&mut scene).await;
    if own.is_some() {
        // Nobody observes what changes now.
        lab.kill(Server::Controllers);
        for (kind, name, words) in [
            (Kind::Deployment, "web", "Waiting for deployment spec update to be observed..."),
            (Kind::StatefulSet, "db", "Waiting for statefulset spec update to be observed..."),
            (Kind::DaemonSet, "agent", "Waiting for daemon set spec update to be observed..."),
        ] {
            scene.image(kind, name, "shop:3").await;
            scene.until(kind, name, words).await;
        }
    }
}

async fn deployments(scene: &mut Scene) {
    let kind = Kind::Deployment;
    scene.create(kind, "web", |_| ()).await;
    scene.until(kind, "web", "successfully rolled out").await;
    scene.image(kind, "web", "shop:slow").await;
    scene.until(kind, "web", "1 out of 3 new replicas have been updated").await;
    scene.image(kind, "web", "shop:2").await;
    scene.until(kind, "web", "successfully rolled out").await;
    scene.create(kind, "none", |made| made["spec"]["replicas"] = 0.into()).await;
    scene.until(kind, "none", "successfully rolled out").await;
    scene
        .create(kind, "all", |made| {
            made["spec"]["strategy"] = json!({"type": "Recreate"});
            made["spec"]["template"]["spec"]["containers"][0]["image"] = "shop:slow".into();
        })
        .await;
    scene.until(kind, "all", "0 of 3 updated replicas are available").await;
    scene
        .create(kind, "late", |made| {
            made["spec"]["progressDeadlineSeconds"] = 1.into();
            made["spec"]["template"]["spec"]["containers"][0]["image"] = "shop:slow".into();
        })
        .await;
    scene.until(kind, "late", "exceeded its progress deadline").await;
}

async fn stateful_sets(scene: &mut Scene) {
    let kind = Kind::StatefulSet;
    scene.create(kind, "db", |_| ()).await;
    scene.until(kind, "db", "partitioned roll out complete: 3 new pods").await;
    scene.image(kind, "db", "shop:slow").await;
    scene.until(kind, "db", "Waiting for 1 pods to be ready...").await;
    scene
        .create(kind, "part", |made| {
            made["spec"]["updateStrategy"] =
                json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}});
        })
        .await;
    scene.until(kind, "part", "partitioned roll out complete: 3 new pods").await;
    scene.image(kind, "part", "shop:2").await;
    scene.until(kind, "part", "partitioned roll out complete: 1 new pods").await;
    scene
        .create(kind, "manual", |made| made["spec"]["updateStrategy"] = json!({"type": "OnDelete"}))
        .await;
    scene.until(kind, "manual", "only available for RollingUpdate").await;
}

async fn daemon_sets(scene: &mut Scene) {
    let kind = Kind::DaemonSet;
    scene.create(kind, "agent", |_| ()).await;
    scene.until(kind, "agent", "successfully rolled out").await;
    scene.image(kind, "agent", "shop:slow").await;
    scene.until(kind, "agent", "1 out of 2 new pods have been updated").await;
    scene
        .create(kind, "slow", |made| {
            made["spec"]["template"]["spec"]["containers"][0]["image"] = "shop:slow".into();
        })
        .await;
    scene.until(kind, "slow", "0 of 2 updated pods are available").await;
    scene
        .create(kind, "manual", |made| made["spec"]["updateStrategy"] = json!({"type": "OnDelete"}))
        .await;
    scene.until(kind, "manual", "only available for RollingUpdate").await;
}
