//! Every scene on a real cluster, played through the signed door of the local Slack.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use crate::common::Play;
use demo::scenes::{ANA, ON_HELM, ON_KUBERNETES};
use demo_cluster::Adapter;
use serde_json::Value;

const BOTH: [Adapter; 2] = [Adapter::Kubernetes, Adapter::Helm];

fn kinds(seen: &Value) -> Vec<&str> {
    let records = seen["engine"]["records"].as_array().into_iter().flatten();
    records.map(|record| record["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_good_rollback_makes_the_pods_ready_again() {
    for adapter in BOTH {
        let Some(play) = Play::of(adapter, adapter.as_str()).await else { return };
        let target = play.state()["engine"]["releases"][1]["id"].clone();
        play.roll_back(ANA).await;
        let seen = play.ends("succeeded").await;
        assert_eq!(seen["engine"]["rollbacks"][0]["to"]["revision"], target);
        assert_eq!(seen["engine"]["live"]["version"], "2.13.4");
        play.until("customers are served", |state| state["shop"]["status"] == 200).await;
        let page = play.demo().show().shop_html().unwrap();
        assert!(page.contains("shop:2.13.4") && page.contains("3 of 3 pods ready"), "{page}");
        let told = play.thread_says("healthy").await;
        assert!(told.iter().any(|line| line.contains("customers cannot pay")), "{told:?}");
        play.over().await;
    }
}

#[tokio::test]
async fn a_newer_deploy_makes_a_confirmation_stale() {
    for (adapter, scene) in BOTH.into_iter().zip(["kubernetes-newer", "helm-newer"]) {
        let Some(play) = Play::of(adapter, scene).await else { return };
        play.click(ANA).await;
        let newer = |state: &Value| state["engine"]["live"]["version"] == "2.14.1";
        play.until("the hotfix is live", newer).await;
        play.until("the hotfix was told", |state| state["told"][0].is_object()).await;
        play.confirm(ANA).await;
        let seen = play.ends("refused").await;
        assert!(newer(&seen) && !kinds(&seen).contains(&"triggered"), "{seen}");
        play.over().await;
    }
}

#[tokio::test]
async fn a_target_that_is_gone_is_found_out_at_the_click() {
    for (adapter, scene) in BOTH.into_iter().zip(["kubernetes-missing", "helm-missing"]) {
        let Some(play) = Play::of(adapter, scene).await else { return };
        play.until("the target is gone", |state| state["told"][0].is_object()).await;
        play.click(ANA).await;
        let seen = play.ends("refused").await;
        assert!(!kinds(&seen).contains(&"confirmed"), "{seen}");
        assert_eq!(seen["shop"]["status"], 503, "nothing was touched");
        play.over().await;
    }
}

#[tokio::test]
async fn a_process_killed_in_the_middle_is_taken_over_and_nothing_is_done_twice() {
    let Some(play) = Play::of(Adapter::Kubernetes, "kubernetes-kill").await else { return };
    play.roll_back(ANA).await;
    play.until("the process is dead", |state| {
        state["told"][0].is_object() && state["worker"].is_null()
    })
    .await;
    play.until("another one runs", |state| state["worker"].is_u64()).await;
    let seen = play.ends("succeeded").await;
    assert_eq!(kinds(&seen).iter().filter(|kind| **kind == "triggered").count(), 1);
    play.until("customers are served", |state| state["shop"]["status"] == 200).await;
    play.over().await;
}

#[test]
fn every_scene_is_played() {
    let here = include_str!("scenes.rs");
    for scene in ON_KUBERNETES.iter().chain(ON_HELM) {
        let played = here.contains(&format!("\"{}\"", scene.id));
        let good = BOTH.iter().any(|adapter| adapter.as_str() == scene.id);
        assert!(played || good, "nobody plays `{}`", scene.id);
    }
}

#[test]
fn whoever_has_no_cluster_is_told_what_to_install_and_nothing_is_started() {
    let nowhere = tempfile::tempdir().unwrap();
    let called = std::process::Command::new(env!("CARGO_BIN_EXE_demo-cluster"))
        .args(["--backend", "helm"])
        .env_remove("ROLLBACK_TEST_KUBECONFIG")
        .env("XDG_CACHE_HOME", nowhere.path())
        .output()
        .unwrap();
    assert_eq!(called.status.code(), Some(1));
    let told = String::from_utf8_lossy(&called.stderr);
    assert!(told.contains("tools/peers kube-cluster && tools/peers helm"), "{told}");
    assert!(called.stdout.is_empty(), "{}", String::from_utf8_lossy(&called.stdout));
}
