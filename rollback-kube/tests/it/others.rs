//! What others on a real cluster do to a rollback: admission webhooks, quotas, whoever else is in
//! charge of the workload.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::stage::{APPS, KINDS, Stage, key};
use kube_lab::{Consent, Lab};
use rollback_core::observed::Acceptance;
use rollback_core::ports::{CdBackend as _, ErrorKind, StartError};
use rollback_core::{Phase, Plan};
use rollback_kube::Kind;
use rollback_testkit::order_for;
use serde_json::json;

macro_rules! lab {
    ($why:literal) => {
        match Lab::shared($why) {
            Some(lab) => lab,
            None => return,
        }
    };
}

/// The rehearsal is refused, once the API server knows of what refuses it.
async fn rejected(stage: &Stage, plan: &Plan) -> String {
    stage
        .wait("a refusal", async || match stage.backend.preflight(plan).await.ok()?.acceptance {
            Acceptance::Rejected(why) => Some(why),
            Acceptance::Accepted => None,
        })
        .await
}

#[tokio::test]
async fn a_webhook_that_forbids_the_rollback_is_heard_before_anything_is_touched() {
    let lab = lab!("an admission webhook on a real cluster");
    let stage = Stage::set(lab, Kind::Deployment).await;
    let plan = stage.back_by_one().await;
    let Some(webhook) = stage.space.webhook("an admission webhook").await else { return };
    webhook.says(Consent::Deny("no rollbacks on a Friday".into()));
    let why = rejected(&stage, &plan).await;
    assert!(why.contains("no rollbacks on a Friday"), "{why}");
    let started = stage.backend.start(&order_for(plan.clone())).await;
    let Err(StartError::Refused { why }) = started else { panic!("{started:?}") };
    assert!(
        why.contains("no rollbacks on a Friday") && why.contains("nothing was changed"),
        "{why}"
    );
    assert_eq!(stage.truth().await.as_ref(), Some(&plan.from().revision));
    webhook.says(Consent::Allow);
    assert_eq!(stage.backend.preflight(&plan).await.unwrap().acceptance, Acceptance::Accepted);
}

#[tokio::test]
async fn a_webhook_that_makes_something_else_of_the_target_is_found_by_the_rehearsal() {
    let lab = lab!("an admission webhook that changes what is asked, on a real cluster");
    let stage = Stage::set(lab, Kind::Deployment).await;
    let plan = stage.back_by_one().await;
    let Some(webhook) = stage.space.webhook("an admission webhook").await else { return };
    let sidecar = json!({"name": "mesh", "image": "mesh:1"});
    webhook.says(Consent::Change(
        json!([{"op": "add", "path": "/spec/template/spec/containers/-", "value": sidecar}]),
    ));
    let why = rejected(&stage, &plan).await;
    assert!(why.contains("webhook") && why.contains("something else than the target"), "{why}");
    assert_eq!(stage.truth().await.as_ref(), Some(&plan.from().revision));
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_makes_the_facts_unknown_and_not_a_refusal() {
    let lab = lab!("a broken admission webhook on a real cluster");
    let stage = Stage::set(lab, Kind::Deployment).await;
    let plan = stage.back_by_one().await;
    let Some(webhook) = stage.space.webhook("an admission webhook").await else { return };
    webhook.says(Consent::Broken);
    let error = stage.wait("no answer", async || stage.backend.preflight(&plan).await.err()).await;
    assert!(matches!(error.kind, ErrorKind::Retry(_)), "{error:?}");
    // The API server says 500: whether the order was carried out has to be read.
    let order = order_for(plan.clone());
    let started = stage.backend.start(&order).await;
    assert!(matches!(started, Err(StartError::InDoubt { .. })), "{started:?}");
    assert_eq!(stage.backend.find(&order).await.unwrap(), None);
    webhook.says(Consent::Allow);
    stage.backend.fence(&order).await.unwrap();
    assert_eq!(stage.backend.find(&order).await.unwrap(), None);
    assert_eq!(stage.truth().await.as_ref(), Some(&plan.from().revision));
}

#[tokio::test]
async fn a_quota_that_leaves_no_room_is_told_and_waited_for_until_it_is_raised() {
    let lab = lab!("a quota on a real cluster");
    let stage = Stage::set(lab, Kind::Deployment).await;
    let quota = json!({"metadata": {"name": "pods"}, "spec": {"hard": {"pods": "2"}}});
    stage.space.create("api/v1", "resourcequotas", quota).await;
    stage
        .wait("the quota is counted", async || {
            let quota = stage.space.get("api/v1", "resourcequotas/pods").await;
            (quota.pointer("/status/used/pods")? == "2").then_some(())
        })
        .await;
    let order = order_for(stage.back_by_one().await);
    let receipt = stage.backend.start(&order).await.unwrap();
    let told = stage
        .wait("the quota in words", async || {
            let progress = stage.backend.observe(&order, &receipt).await.unwrap();
            assert_ne!(progress.phase, Phase::Failed, "{progress:?}");
            let words = progress.message?.to_string();
            words.contains("cannot be created").then_some(words)
        })
        .await;
    assert!(told.contains("exceeded quota: pods"), "{told}");
    let room = json!({"spec": {"hard": {"pods": "9"}}});
    stage.space.merge("api/v1", "resourcequotas/pods", room).await;
    stage
        .wait("the rollback", async || {
            let progress = stage.backend.observe(&order, &receipt).await.unwrap();
            (progress.phase == Phase::Complete).then_some(())
        })
        .await;
}

#[tokio::test]
async fn whoever_else_is_in_charge_of_a_real_object_is_named_and_nothing_is_changed() {
    let lab = lab!("somebody else's workload on a real cluster");
    let marks = [
        (
            json!({"labels": {"helm.toolkit.fluxcd.io/name": "shop"}}),
            "Flux's HelmRelease `shop`",
            true,
        ),
        (
            json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}),
            "Flux's Kustomization `apps`",
            true,
        ),
        (
            json!({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:a/web"}}),
            "the Argo CD application `shop`",
            true,
        ),
        (
            json!({"labels": {"app.kubernetes.io/managed-by": "Helm"},
                "annotations": {"meta.helm.sh/release-name": "shop"}}),
            "the Helm release `shop`",
            false,
        ),
    ];
    for (kind, (marks, who, by_itself)) in KINDS.into_iter().cycle().zip(marks) {
        let stage = Stage::set(lab, kind).await;
        let plan = stage.back_by_one().await;
        stage.space.merge(APPS, &stage.object(), json!({"metadata": marks})).await;
        refuses(&stage, &plan, who, by_itself).await;
    }
}

#[tokio::test]
async fn a_workload_of_an_operator_is_left_to_it() {
    let lab = lab!("an operator's workload on a real cluster");
    let stage = Stage::set(lab, Kind::Deployment).await;
    let plan = stage.back_by_one().await;
    let owner = json!({"metadata": {"name": "main"}});
    let owner = stage.space.create("api/v1", "configmaps", owner).await;
    let uid = owner.pointer("/metadata/uid").unwrap();
    let owned = json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap",
        "name": "main", "uid": uid, "controller": true}]}});
    stage.space.merge(APPS, &stage.object(), owned).await;
    refuses(&stage, &plan, "ConfigMap `main`, which owns it,", true).await;
}

async fn refuses(stage: &Stage, plan: &Plan, who: &str, by_itself: bool) {
    let preflight = stage.backend.preflight(plan).await.unwrap();
    let Acceptance::Rejected(why) = preflight.acceptance else { panic!("accepted: {who}") };
    assert!(why.contains(who), "{why}");
    assert_eq!(preflight.undone_by.something().is_some(), by_itself, "{:?}", preflight.undone_by);
    let started = stage.backend.start(&order_for(plan.clone())).await;
    assert!(matches!(started, Err(StartError::Refused { .. })), "{started:?}");
    assert_eq!(stage.wire.orders(), 0, "nothing was sent");
}

#[tokio::test]
async fn what_a_real_object_keeps_is_told_before_it_is_rolled_back() {
    let lab = lab!("what stays behind on a real cluster");
    let stage = Stage::set(lab, Kind::Deployment).await;
    // As `kubectl apply --server-side` does, by a manager that is somebody else.
    let path = format!("{}?fieldManager=kubectl", stage.space.path(APPS, &stage.object()));
    let meta = json!({"annotations": {
        "kubectl.kubernetes.io/last-applied-configuration": "{}"}});
    let applied = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta});
    let kind = "application/apply-patch+yaml";
    stage.space.try_ask(http::Method::PATCH, &path, kind, &applied).await.unwrap();
    let plan = stage.back_by_one().await;
    let told = stage.backend.preflight(&plan).await.unwrap().not_undone.join("\n");
    assert!(told.contains("the next `kubectl apply` deploys it again"), "{told}");
    assert!(told.contains("`kubectl` applies this workload server-side"), "{told}");

    let stage = Stage::set(lab, Kind::StatefulSet).await;
    let partition = json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 1}}}});
    stage.space.merge(APPS, &stage.object(), partition).await;
    let plan = stage.back_by_one().await;
    let told = stage.backend.preflight(&plan).await.unwrap().not_undone.join("\n");
    assert!(told.contains("pods below ordinal 1 keep their revision"), "{told}");
}

#[tokio::test]
async fn a_workload_whose_pods_wait_to_be_deleted_by_hand_is_refused() {
    let lab = lab!("OnDelete on a real cluster");
    for kind in [Kind::StatefulSet, Kind::DaemonSet] {
        let stage = Stage::set(lab, kind).await;
        let plan = stage.back_by_one().await;
        let manual =
            json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}});
        stage.space.merge(APPS, &stage.object(), manual).await;
        stage.observed().await;
        let preflight = stage.backend.preflight(&plan).await.unwrap();
        let Acceptance::Rejected(why) = preflight.acceptance else { panic!("accepted") };
        assert!(why.contains("OnDelete") && why.contains("set RollingUpdate"), "{why}");
        let live = stage.backend.live(&key()).await.unwrap();
        assert_eq!(live.revision.map(|live| live.revision), Some(plan.from().revision.clone()));
    }
}
