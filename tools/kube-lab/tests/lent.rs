//! A cluster that somebody else lends, by `ROLLBACK_TEST_KUBECONFIG`: a second lab works on it beside
//! the one that it belongs to.
use kube_lab::{Behaviour, Lab, Space, daemon_set, deployment};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const APPS: &str = "apis/apps/v1";

async fn until(space: &Space, object: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let seen = space.get(APPS, object).await;
        if holds(&seen) {
            return seen;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{object} never came that far: {seen}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Not a test of its own: the process that borrows the cluster.
#[tokio::test]
async fn a_borrower() {
    let Some(lab) = Lab::borrowed() else { return };
    let space = lab.space("borrowed").await;
    space.behave("shop:slow", Behaviour::NeverReady);
    space.create(APPS, "deployments", deployment("web", "shop:1", 2)).await;
    space.create(APPS, "deployments", deployment("slow", "shop:slow", 1)).await;
    space.create(APPS, "daemonsets", daemon_set("agent", "shop:1")).await;
    until(&space, "deployments/web", |seen| seen["status"]["availableReplicas"] == 2).await;
    until(&space, "daemonsets/agent", |seen| seen["status"]["numberAvailable"] == 2).await;
    let slow = until(&space, "deployments/slow", |seen| seen["status"]["replicas"] == 1).await;
    assert!(slow["status"]["availableReplicas"].is_null(), "somebody else drove it: {slow}");

    // A user of the lent cluster, over a wire.
    let rules = json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}]);
    let user = space.user(&rules).await;
    let (_wire, over_the_wire) = space.wire(&user).await;
    let config = kube::config::Kubeconfig::read_from(over_the_wire).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(config, &options).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let asked = |what: &str| http::Request::get(space.path(APPS, what)).body(Vec::new()).unwrap();
    let seen: Value = client.request(asked("deployments/web")).await.unwrap();
    assert_eq!(seen["metadata"]["name"], "web");
    assert!(client.request::<Value>(asked("daemonsets/agent")).await.is_err());
}

#[tokio::test]
async fn a_cluster_that_is_lent_is_used_beside_whoever_it_belongs_to() {
    let Some(own) = Lab::own("a cluster that is lent").await else { return };
    let lab = own.lab();
    let own = lab.space("own").await;
    own.create(APPS, "deployments", deployment("web", "shop:1", 1)).await;
    until(&own, "deployments/web", |seen| seen["status"]["availableReplicas"] == 1).await;
    lab.lend_to("a_borrower");
    // What was lent is as it was.
    let seen = own.get(APPS, "deployments/web").await;
    assert_eq!(seen["status"]["availableReplicas"], 1);
}
