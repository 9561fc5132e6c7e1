//! What others on a real cluster do to a rollback of the real helm, 3 and 4: admission webhooks,
//! whoever else is in charge of the release, hooks that fail afterwards, and a helm that somebody
//! kills.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::stage;
use crate::stage::{AFTERWARDS, APPS, BOTH, CORE, Helm, Stage, key, peers};
use http::Method;
use kube_lab::{Behaviour, Consent};
use rollback_core::observed::Acceptance;
use rollback_core::ports::{CdBackend as _, StartError};
use rollback_core::{Phase, Progress, RevisionId, RevisionStatus};
use rollback_testkit::order_for;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

fn message(progress: &Progress) -> String {
    progress.message.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// As helm tells it: the status of each revision, oldest first.
async fn statuses(stage: &Stage) -> Vec<String> {
    let rows = stage.history().await;
    rows.iter().map(|row| row.get("status").unwrap().as_str().unwrap().to_owned()).collect()
}

/// Orders the step back, and says how it ended.
async fn ordered(stage: &Stage, to: &RevisionId) -> Progress {
    let live = stage.backend.live(&key()).await.unwrap().revision.unwrap();
    let order = order_for(stage.plan(&live.revision, to));
    let receipt = stage.backend.start(&order).await.unwrap();
    stage.end(&stage.backend, &order, &receipt).await
}

/// The same once more ends well, and CI can deploy.
async fn is_cured(stage: &Stage) {
    let ended = ordered(stage, &stage.id(1)).await;
    assert_eq!(ended.phase, Phase::Complete, "{ended:?}");
    assert_eq!(stage.truth().await, Some(stage.id(1)));
    stage.deploy(5).await;
}

#[tokio::test]
async fn a_webhook_that_forbids_the_change_leaves_a_failure_that_is_told_and_cured() {
    let Some((lab, folder)) = peers("an admission webhook") else { return };
    for helm in BOTH {
        let stage = Stage::set(lab, &folder, helm).await;
        let Some(webhook) = stage.space.webhook("an admission webhook").await else { return };
        webhook.says(Consent::Deny("no rollbacks on a Friday".into()));
        let path = format!("{}?dryRun=All", stage.space.path(APPS, "deployments/web"));
        let change = json!({"metadata": {"labels": {"x": "y"}}});
        stage
            .wait("the webhook is known", async || {
                let patch = "application/merge-patch+json";
                let tried = stage.space.try_ask(Method::PATCH, &path, patch, &change).await;
                tried.err().filter(|error| error.to_string().contains("Friday"))
            })
            .await;
        let preflight = stage.backend.preflight(&stage.back_by_one()).await.unwrap();
        match (helm, preflight.acceptance) {
            // Helm 3 merges on this side: only the order itself finds it out.
            (Helm::Three, Acceptance::Accepted) => {}
            (Helm::Four, Acceptance::Rejected(why)) => {
                assert!(why.contains("no rollbacks on a Friday"), "{why}");
            }
            (_, other) => panic!("{helm:?}: {other:?}"),
        }
        let ended = ordered(&stage, &stage.id(2)).await;
        assert_eq!(ended.phase, Phase::Failed);
        let told = message(&ended);
        assert!(told.contains("no rollbacks on a Friday") && told.contains("failed"), "{told}");
        assert_eq!(stage.truth().await, Some(stage.id(3)), "no workload was changed");
        // Helm calls the one that runs superseded, and the one that does not failed.
        assert_eq!(statuses(&stage).await, ["superseded", "superseded", "superseded", "failed"]);
        webhook.says(Consent::Allow);
        is_cured(&stage).await;
    }
}

#[tokio::test]
async fn a_wait_that_runs_out_is_a_failure_although_the_target_is_what_runs() {
    let Some((lab, folder)) = peers("a wait that runs out") else { return };
    for helm in BOTH {
        let short = |config: &mut rollback_helm::Config| config.timeout = Duration::from_secs(4);
        let stage = Stage::set_with(lab, &folder, helm, AFTERWARDS, short).await;
        stage.space.behave(&stage::image(2), Behaviour::NeverReady);
        let ended = ordered(&stage, &stage.id(2)).await;
        assert_eq!(ended.phase, Phase::Failed);
        assert!(message(&ended).contains("not ready in time"), "{ended:?}");
        assert_eq!(stage.truth().await, Some(stage.id(2)));
        // Helm still calls the one that was left deployed.
        assert_eq!(statuses(&stage).await, ["superseded", "superseded", "deployed", "failed"]);
        let history = stage.backend.history(&key(), 10).await.unwrap();
        assert_eq!(history.first().unwrap().status, RevisionStatus::Failed);
        is_cured(&stage).await;
    }
}

#[tokio::test]
async fn pods_that_do_not_come_up_are_a_failure_that_helm_calls_deployed() {
    let Some((lab, folder)) = peers("pods that do not come up") else { return };
    for helm in BOTH {
        let stage = Stage::set(lab, &folder, helm).await;
        stage.space.behave(&stage::image(2), Behaviour::NeverReady);
        let ended = ordered(&stage, &stage.id(2)).await;
        assert_eq!(ended.phase, Phase::Failed);
        let told = message(&ended);
        assert!(told.contains("deployment web exceeded its progress deadline"), "{told}");
        assert_eq!(stage.truth().await, Some(stage.id(2)));
        // Helm did its part, and does not look at pods.
        let told = statuses(&stage).await;
        assert_eq!(told, ["superseded", "superseded", "superseded", "deployed"]);
        let history = stage.backend.history(&key(), 10).await.unwrap();
        assert_eq!(history.first().unwrap().status, RevisionStatus::Failed);
        assert!(stage.backend.live(&key()).await.unwrap().in_progress.is_nothing());
        is_cured(&stage).await;
    }
}

#[tokio::test]
async fn a_hook_that_fails_afterwards_leaves_the_target_running_and_the_release_pending() {
    let Some((lab, folder)) = peers("a hook that fails afterwards") else { return };
    for helm in BOTH {
        let stage = Stage::set_with(lab, &folder, helm, AFTERWARDS, |_as_it_is| ()).await;
        stage.space.behave("notify", Behaviour::CrashLoopBackOff);
        let ended = ordered(&stage, &stage.id(2)).await;
        assert_eq!(ended.phase, Phase::Failed);
        let told = message(&ended);
        assert!(told.contains("a hook of the target"), "{told}");
        assert!(told.contains("stays pending-rollback and keeps helm from deploying"), "{told}");
        assert_eq!(stage.truth().await, Some(stage.id(2)));
        let told = statuses(&stage).await;
        assert_eq!(told, ["superseded", "superseded", "deployed", "pending-rollback"]);
        stage.space.behave("notify", Behaviour::Ready);
        is_cured(&stage).await;
    }
}

#[tokio::test]
async fn a_helm_that_somebody_kills_is_told_as_cut_off_and_cured_by_the_next_rollback() {
    let Some((lab, folder)) = peers("a helm that is killed") else { return };
    for helm in BOTH {
        let wrapper = tempfile::tempdir().unwrap();
        let (program, pid) = (wrapper.path().join("helm"), wrapper.path().join("pid"));
        let real = folder.join(helm.command());
        let script =
            format!("#!/bin/sh\necho $$ >{}\nexec {} \"$@\"\n", pid.display(), real.display());
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let wrapped = |config: &mut rollback_helm::Config| config.helm.clone_from(&program);
        let stage = Stage::set_with(lab, &folder, helm, AFTERWARDS, wrapped).await;
        stage.befall_earlier(Behaviour::NeverReady);
        let order = order_for(stage.back_by_one());
        let receipt = stage.backend.start(&order).await.unwrap();
        let target = Some(stage.id(2));
        let changed = async || (stage.truth().await == target).then_some(());
        stage.wait("the target in the workload", changed).await;
        let pid = std::fs::read_to_string(&pid).unwrap();
        let killed = std::process::Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
        assert!(killed.success());
        stage.befall_earlier(Behaviour::Ready);
        let ended = stage.end(&stage.backend, &order, &receipt).await;
        assert_eq!(ended.phase, Phase::Failed);
        assert!(message(&ended).contains("stays pending-rollback"), "{ended:?}");
        is_cured(&stage).await;
    }
}

/// What says of each revision that it is done.
fn is_last_word(method: &Method, path: &str, _body: &[u8]) -> bool {
    *method == Method::PUT && path.contains("/secrets/sh.helm.release.v1.web.v4")
}

#[tokio::test]
async fn a_rollback_whose_last_word_is_lost_is_told_as_pending_and_cured() {
    let Some((lab, folder)) = peers("a last word that is lost") else { return };
    for helm in BOTH {
        let stage = Stage::set(lab, &folder, helm).await;
        stage.wire.lose(is_last_word);
        let ended = ordered(&stage, &stage.id(2)).await;
        assert_eq!(ended.phase, Phase::Failed);
        let told = message(&ended);
        assert!(told.contains("stays pending-rollback and keeps helm from deploying"), "{told}");
        assert_eq!(stage.truth().await, Some(stage.id(2)), "all of it was done");
        // Nothing is deployed any more, by helm's own account.
        let told = statuses(&stage).await;
        assert_eq!(told, ["superseded", "superseded", "superseded", "pending-rollback"]);
        let live = stage.backend.live(&key()).await.unwrap();
        assert!(live.in_progress.is_nothing(), "nobody works on it");
        stage.wire.heal();
        is_cured(&stage).await;
    }
}

const WIDGET: &str = "
{{ if .Values.widget }}
apiVersion: {{ .Release.Namespace }}.example.com/v1
kind: Widget
metadata: {name: thing}
{{ end }}
";

/// Makes the cluster serve a kind that is of this namespace alone, or no longer.
async fn serve_widgets(stage: &Stage, serve: bool) {
    const KINDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let group = format!("{}.example.com", stage.space.name());
    let name = format!("widgets.{group}");
    let schema = json!({"openAPIV3Schema": {"type": "object"}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {"group": group, "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]},
    });
    let (method, path, body) = match serve {
        true => (Method::POST, KINDS.to_owned(), definition),
        false => (Method::DELETE, format!("{KINDS}/{name}"), json!({})),
    };
    stage.space.try_ask(method, &path, "application/json", &body).await.unwrap();
    let path = format!("/apis/{group}/v1");
    stage
        .wait("the kinds of the cluster", async || {
            let asked =
                stage.space.try_ask(Method::GET, &path, "application/json", &json!(null)).await;
            let kinds = asked.ok().and_then(|it| it.pointer("/resources/0/kind").cloned());
            (kinds == serve.then(|| json!("Widget"))).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_kind_that_is_no_longer_served_is_told_before_and_what_helm_makes_of_it_is_cured() {
    let Some((lab, folder)) = peers("a kind that is no longer served") else { return };
    for helm in BOTH {
        let stage = Stage::set(lab, &folder, helm).await;
        std::fs::write(stage.chart_path().join("templates/widget.yaml"), WIDGET).unwrap();
        serve_widgets(&stage, true).await;
        stage.upgrade(4, &["--set=widget=true", "--wait", "--timeout=100s"]).await;
        stage.deploy(5).await;
        let plan = stage.plan(&stage.id(5), &stage.id(4));
        let preflight = stage.backend.preflight(&plan).await.unwrap();
        // Helm 4's is rehearsed, and this account may not apply widgets.
        let before = format!("{:?}", preflight.acceptance);
        assert!(!before.contains("does not serve"), "{before}");
        serve_widgets(&stage, false).await;
        let preflight = stage.backend.preflight(&plan).await.unwrap();
        let Acceptance::Rejected(why) = preflight.acceptance else { panic!("accepted") };
        let kind = format!("kind Widget ({}.example.com/v1)", stage.space.name());
        assert!(why.contains(&kind) && why.contains("install that kind again"), "{why}");
        // It went between the look and the order.
        let ended = ordered(&stage, &stage.id(4)).await;
        assert_eq!(ended.phase, Phase::Failed);
        let told = message(&ended);
        assert!(told.contains("does not serve what a revision has any more: kind"), "{told}");
        assert!(told.contains("stays pending-rollback") && told.ends_with("once more"), "{told}");
        assert_eq!(stage.truth().await, Some(stage.id(5)), "no workload was touched");
        // Helm's newest record is one that it cannot read: that is told, and so it comes.
        let live = stage.backend.live(&key()).await.unwrap().revision.unwrap();
        let preflight = stage.backend.preflight(&stage.plan(&live.revision, &stage.id(1))).await;
        let notes = preflight.unwrap().not_undone.join("\n");
        assert!(notes.contains("the rollback after this one goes through"), "{notes}");
        assert_eq!(ordered(&stage, &stage.id(1)).await.phase, Phase::Failed);
        is_cured(&stage).await;
    }
}

#[tokio::test]
async fn whoever_else_keeps_a_real_release_is_named_and_nothing_is_changed() {
    let Some((lab, folder)) = peers("somebody else's release") else { return };
    // Who wrote helm's newest record, as the API server notes it.
    for (manager, who, by_itself) in [
        ("terraform-provider-helm_v3.1.2_x5", "Terraform's Helm provider", false),
        ("pulumi-resource-kubernetes", "Pulumi", false),
        ("helm-controller", "a helm-controller (Flux)", true),
    ] {
        let stage = Stage::set(lab, &folder, Helm::Four).await;
        let newest = "secrets/sh.helm.release.v1.web.v3";
        let path = format!("{}?fieldManager={manager}", stage.space.path(CORE, newest));
        let touched = json!({"metadata": {"annotations": {"example.com/by": manager}}});
        let patch = "application/merge-patch+json";
        stage.space.try_ask(Method::PATCH, &path, patch, &touched).await.unwrap();
        refuses(&stage, who, by_itself).await;
    }
    let stage = Stage::set(lab, &folder, Helm::Three).await;
    let flux = json!({"metadata": {"labels": {"helm.toolkit.fluxcd.io/name": "shop"}}});
    stage.space.merge(APPS, "deployments/web", flux).await;
    refuses(&stage, "Flux's HelmRelease `shop`", true).await;
}

async fn refuses(stage: &Stage, who: &str, by_itself: bool) {
    let plan = stage.back_by_one();
    let preflight = stage.backend.preflight(&plan).await.unwrap();
    let Acceptance::Rejected(why) = preflight.acceptance else { panic!("accepted: {who}") };
    assert!(why.contains(who), "{why}");
    assert_eq!(preflight.undone_by.something().is_some(), by_itself, "{:?}", preflight.undone_by);
    let refused = stage.backend.start(&order_for(plan)).await.unwrap_err();
    assert!(matches!(refused, StartError::Refused { .. }), "{refused:?}");
    assert!(refused.to_string().contains("nothing was changed"), "{refused}");
    assert_eq!(stage.wire.orders(), 0, "helm was never called");
}

#[tokio::test]
async fn a_release_that_is_uninstalled_is_not_brought_back() {
    let Some((lab, folder)) = peers("a release that is uninstalled") else { return };
    for helm in BOTH {
        let stage = Stage::set(lab, &folder, helm).await;
        let done = stage.call(&["uninstall", "web", "--keep-history"]).await;
        assert!(done.status.success(), "{done:?}");
        assert_eq!(stage.backend.live(&key()).await.unwrap().revision, None);
        let preflight = stage.backend.preflight(&stage.back_by_one()).await.unwrap();
        let Acceptance::Rejected(why) = preflight.acceptance else { panic!("accepted") };
        assert!(why.contains("uninstalled"), "{why}");
        let refused = stage.backend.start(&order_for(stage.back_by_one())).await;
        assert!(refused.is_err(), "{refused:?}");
        assert_eq!(stage.wire.orders(), 0);
    }
}
