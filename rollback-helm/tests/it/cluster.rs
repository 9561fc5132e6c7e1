//! What can go wrong with a release, brought about on a real cluster with the real helm, 3 and 4.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::stage;
use crate::stage::{AFTERWARDS, APPS, BOTH, CORE, Helm, PASSWORD, Stage, key, peers};
use kube_lab::Behaviour;
use rollback_core::observed::{Acceptance, OperationKind};
use rollback_core::ports::{CdBackend, Fenced, StartError};
use rollback_core::{Phase, Presence, Progress, RevisionStatus};
use rollback_testkit::order_for;
use serde_json::json;
use std::process::Stdio;
use std::time::Duration;

fn message(progress: &Progress) -> String {
    progress.message.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn why(error: &StartError) -> String {
    assert!(matches!(error, StartError::Refused { .. } | StartError::Conflict { .. }), "{error:?}");
    error.to_string()
}

async fn generation(stage: &Stage) -> i64 {
    let web = stage.space.get(APPS, "deployments/web").await;
    web.pointer("/metadata/generation").unwrap().as_i64().unwrap()
}

/// CI can deploy: nothing is left that keeps helm from it.
async fn helm_can_deploy(stage: &Stage, number: u32) {
    let id = stage.deploy(number).await;
    let live = stage.backend.live(&key()).await.unwrap();
    assert_eq!(live.revision.unwrap().revision, id);
}

#[tokio::test]
async fn of_two_processes_one_takes_effect_and_the_other_touches_nothing() {
    let Some((lab, folder)) = peers("two processes at once") else { return };
    for helm in BOTH {
        let stage = Stage::set(lab, &folder, helm).await;
        let other = stage.another(stage.config()).await;
        let before = generation(&stage).await;
        let orders = [
            order_for(stage.plan(&stage.id(3), &stage.id(2))),
            order_for(stage.plan(&stage.id(3), &stage.id(1))),
        ];
        let (one, two) = tokio::join!(stage.backend.start(&orders[0]), other.start(&orders[1]));
        let (backend, order, receipt, error) = match (one, two) {
            (Ok(receipt), Err(error)) => (&stage.backend, &orders[0], receipt, error),
            (Err(error), Ok(receipt)) => (&other, &orders[1], receipt, error),
            both => panic!("one of two: {both:?}"),
        };
        assert!(why(&error).contains("nothing was changed"), "{error}");
        let ended = stage.end(backend, order, &receipt).await;
        assert_eq!(ended.phase, Phase::Complete, "{ended:?}");
        assert_eq!(stage.truth().await.unwrap(), order.plan().to().revision);
        assert_eq!((stage.effects().await, generation(&stage).await), (1, before + 1));
        helm_can_deploy(&stage, 4).await;
    }
}

#[tokio::test]
async fn an_upgrade_that_lands_before_helms_record_is_never_touched() {
    let Some((lab, folder)) = peers("an upgrade in between") else { return };
    for helm in BOTH {
        let stage = Stage::set(lab, &folder, helm).await;
        let order = order_for(stage.back_by_one());
        stage.wire.hold_next_order();
        let (answer, newer) = tokio::join!(stage.backend.start(&order), async {
            stage
                .wait("helm's record on its way", async || (stage.wire.held() > 0).then_some(()))
                .await;
            let newer = stage.deploy(4).await;
            let before = generation(&stage).await;
            assert_eq!(stage.wire.release().await, [409], "the API server itself refused it");
            (newer, before)
        });
        let (newer, before) = newer;
        // It may have waited longer than an order is waited for.
        assert!(
            matches!(answer, Err(StartError::Conflict { .. } | StartError::InDoubt { .. })),
            "{answer:?}"
        );
        assert_eq!(stage.backend.find(&order).await.unwrap(), None);
        assert_eq!((stage.truth().await, stage.effects().await), (Some(newer), 0));
        assert_eq!(generation(&stage).await, before, "no workload was touched");
    }
}

#[tokio::test]
async fn a_lost_answer_is_looked_for_and_not_sent_again() {
    let Some((lab, folder)) = peers("a lost answer") else { return };
    for helm in BOTH {
        let stage = Stage::set(lab, &folder, helm).await;
        let order = order_for(stage.back_by_one());
        stage.wire.lose_next_answer();
        let receipt = stage.backend.start(&order).await.unwrap();
        let ended = stage.end(&stage.backend, &order, &receipt).await;
        assert_eq!(ended.phase, Phase::Complete, "{ended:?}");
        assert_eq!((stage.wire.orders(), stage.effects().await), (1, 1));
        assert_eq!(stage.truth().await, Some(stage.id(2)));
    }
}

/// Not a test of its own: the process that the next ones kill.
#[tokio::test]
async fn a_process_that_is_told_what_to_do() {
    stage::do_as_told().await;
}

#[tokio::test]
async fn when_our_process_is_killed_the_orphaned_helm_can_do_nothing_more() {
    let Some((lab, folder)) = peers("a process that is killed in the middle") else { return };
    for helm in BOTH {
        let stage = Stage::set_with(lab, &folder, helm, AFTERWARDS, |_as_it_is| ()).await;
        stage.befall_earlier(Behaviour::NeverReady);
        let order = order_for(stage.back_by_one());
        let mut killed = stage.child(&order);
        let mut config = stage.config();
        config.lease = Duration::from_secs(2);
        let next = stage.another(config).await;
        let receipt = stage.wait("the order", async || next.find(&order).await.unwrap()).await;
        stage
            .wait("the target in the workload", async || {
                (stage.truth().await == Some(stage.id(2))).then_some(())
            })
            .await;
        killed.kill().await.unwrap();
        // Helm would write now that all is well, if it could.
        stage.befall_earlier(Behaviour::Ready);
        let ended = stage.end(&next, &order, &receipt).await;
        assert_eq!(ended.phase, Phase::Failed);
        assert!(message(&ended).contains("interrupted"), "{ended:?}");
        let stays = stage.history().await.last().unwrap().clone();
        assert_eq!(stays.get("status").unwrap(), "pending-rollback");
        // The way out that the message tells.
        let live = next.live(&key()).await.unwrap();
        assert!(live.in_progress.is_nothing());
        let again = order_for(stage.plan(&live.revision.unwrap().revision, &stage.id(1)));
        let receipt = next.start(&again).await.unwrap();
        let ended = stage.end(&next, &again, &receipt).await;
        assert_eq!(ended.phase, Phase::Complete, "{ended:?}");
        helm_can_deploy(&stage, 4).await;
    }
}

#[tokio::test]
async fn when_our_process_is_killed_before_its_order_took_effect_a_fence_makes_that_certain() {
    let Some((lab, folder)) = peers("a process that is killed before its order took effect") else {
        return;
    };
    for helm in BOTH {
        let stage = Stage::set(lab, &folder, helm).await;
        let before = generation(&stage).await;
        let order = order_for(stage.back_by_one());
        stage.wire.hold_next_order();
        let mut killed = stage.child(&order);
        stage
            .wait("helm's record on its way", async || (stage.wire.held() > 0).then_some(()))
            .await;
        killed.kill().await.unwrap();
        assert_eq!(stage.wire.release().await, [201], "it arrives all the same");
        let next = &stage.backend;
        assert_eq!(next.find(&order).await.unwrap(), None);
        let live = next.live(&key()).await.unwrap();
        assert_eq!(live.revision.unwrap().revision, stage.id(3));
        assert!(live.in_progress.is_nothing(), "a record that nobody stands behind is none");
        assert_eq!(next.fence(&order).await.unwrap(), Fenced::Done);
        assert_eq!(next.find(&order).await.unwrap(), None);
        let refused = next.start(&order).await.unwrap_err();
        assert!(why(&refused).contains("given up"), "{refused}");
        assert_eq!((stage.records().await.len(), generation(&stage).await), (3, before));
        helm_can_deploy(&stage, 4).await;
    }
}

#[tokio::test]
async fn a_rollback_beside_a_waiting_upgrade_is_refused_and_one_after_it_failed_is_not() {
    let Some((lab, folder)) = peers("a waiting upgrade") else { return };
    for helm in BOTH {
        let stage = Stage::set(lab, &folder, helm).await;
        stage.space.behave(&stage::image(4), Behaviour::ImagePullBackOff);
        let mut upgrade = stage.command(&[
            "upgrade",
            "web",
            "--reuse-values",
            "--set=number=4",
            "--wait",
            "--timeout=15s",
        ]);
        let mut upgrade = upgrade
            .arg(stage.chart_path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let working = stage
            .wait("the upgrade", async || {
                stage.backend.live(&key()).await.unwrap().in_progress.something().cloned()
            })
            .await;
        assert_eq!(working.kind, OperationKind::Deploy);
        let plan = stage.back_by_one();
        let preflight = stage.backend.preflight(&plan).await.unwrap();
        let Acceptance::Rejected(words) = preflight.acceptance else { panic!("accepted") };
        assert!(words.contains("revision 4 is pending-upgrade"), "{words}");
        let refused = stage.backend.start(&order_for(plan)).await.unwrap_err();
        assert!(why(&refused).contains("wait until it ends"), "{refused}");
        assert!(!upgrade.wait().await.unwrap().success());
        let history = stage.backend.history(&key(), 10).await.unwrap();
        assert_eq!(history.first().unwrap().status, RevisionStatus::Failed);
        let order = order_for(stage.plan(&history.first().unwrap().id, &stage.id(3)));
        let receipt = stage.backend.start(&order).await.unwrap();
        let ended = stage.end(&stage.backend, &order, &receipt).await;
        assert_eq!(ended.phase, Phase::Complete, "{ended:?}");
        let live = stage.backend.live(&key()).await.unwrap().revision.unwrap();
        assert_eq!(live.revision, stage.id(3));
    }
}

#[tokio::test]
async fn an_upgrade_that_was_killed_is_explained_and_cured_by_a_rollback() {
    let Some((lab, folder)) = peers("an upgrade that was killed") else { return };
    for helm in BOTH {
        let stuck = |config: &mut rollback_helm::Config| config.pending_max = Duration::ZERO;
        let stage = Stage::set_with(lab, &folder, helm, "", stuck).await;
        stage.space.behave(&stage::image(4), Behaviour::NeverReady);
        let mut upgrade = stage.command(&[
            "upgrade",
            "web",
            "--reuse-values",
            "--set=number=4",
            "--wait",
            "--timeout=100s",
        ]);
        let mut upgrade = upgrade
            .arg(stage.chart_path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        stage
            .wait("the fourth record", async || (stage.records().await.len() > 3).then_some(()))
            .await;
        upgrade.kill().await.unwrap();
        // Its Secret is as old as whole seconds tell.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let live = stage.backend.live(&key()).await.unwrap();
        assert!(live.in_progress.is_nothing(), "{live:?}");
        let plan = stage.plan(&live.revision.unwrap().revision, &stage.id(3));
        let preflight = stage.backend.preflight(&plan).await.unwrap();
        assert_eq!(preflight.acceptance, Acceptance::Accepted);
        let notes = preflight.not_undone.join("\n");
        assert!(notes.contains("revision 4 is pending-upgrade and nobody works on it"), "{notes}");
        let order = order_for(plan);
        let receipt = stage.backend.start(&order).await.unwrap();
        let ended = stage.end(&stage.backend, &order, &receipt).await;
        assert_eq!(ended.phase, Phase::Complete, "{ended:?}");
        helm_can_deploy(&stage, 5).await;
    }
}

#[tokio::test]
async fn what_a_rollback_leaves_behind_is_named() {
    let Some((lab, folder)) = peers("what is left behind") else { return };
    for helm in BOTH {
        let stage = Stage::set(lab, &folder, helm).await;
        let debug = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "app", "env": [{"name": "DEBUG", "value": PASSWORD}]}]}}}});
        stage.space.strategic(APPS, "deployments/web", debug).await;
        stage.space.merge(APPS, "deployments/web", stage::replicas(5)).await;
        let plan = stage.back_by_one();
        let scaler = json!({"metadata": {"name": "busy"}, "spec": {"maxReplicas": 9,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
        stage.space.create("apis/autoscaling/v2", "horizontalpodautoscalers", scaler).await;
        let preflight = stage.backend.preflight(&plan).await.unwrap();
        let notes = preflight.not_undone.join("\n");
        let scaled = "deployment web goes from 5 replicas to 2, which the autoscaler `busy` set";
        assert!(notes.contains(scaled), "{notes}");
        if helm == Helm::Four {
            // Helm would notice half-way.
            let Acceptance::Rejected(words) = preflight.acceptance else { panic!("accepted") };
            assert!(words.contains("helm would fail at deployment web"), "{words}");
            assert!(words.contains(".spec.replicas"), "{words}");
            stage.space.merge(APPS, "deployments/web", stage::replicas(2)).await;
            let preflight = stage.backend.preflight(&plan).await.unwrap();
            assert_eq!(preflight.acceptance, Acceptance::Accepted);
        }
        let order = order_for(plan);
        let receipt = stage.backend.start(&order).await.unwrap();
        let ended = stage.end(&stage.backend, &order, &receipt).await;
        assert_eq!(ended.phase, Phase::Complete, "{ended:?}");
        let told = message(&ended);
        assert!(told.contains("containers[app].env[DEBUG] was left behind"), "{told}");
        let words = format!("{told}{notes}{:?}", stage.backend);
        assert!(!words.contains(PASSWORD), "{words}");
    }
}

const HOOK: &str = "
---
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  annotations: {helm.sh/hook: \"pre-rollback,pre-upgrade\"}
spec:
  backoffLimit: 0
  template:
    spec:
      schedulerName: kube-lab
      restartPolicy: Never
      containers: [{name: migrate, image: migrate}]
";

#[tokio::test]
async fn a_hook_of_the_target_is_told_before_it_runs_and_when_it_fails() {
    let Some((lab, folder)) = peers("hooks") else { return };
    for helm in BOTH {
        let stage = Stage::set_with(lab, &folder, helm, HOOK, |_as_it_is| ()).await;
        let before = generation(&stage).await;
        let plan = stage.back_by_one();
        let notes = stage.backend.preflight(&plan).await.unwrap().not_undone.join("\n");
        assert!(notes.contains("a hook of the target runs: job migrate (pre-rollback)"), "{notes}");
        assert!(
            notes.contains("what hooks of revision 3 did is not undone: job migrate"),
            "{notes}"
        );
        stage.space.behave("migrate", Behaviour::CrashLoopBackOff);
        let order = order_for(plan);
        let receipt = stage.backend.start(&order).await.unwrap();
        let ended = stage.end(&stage.backend, &order, &receipt).await;
        assert_eq!(ended.phase, Phase::Failed);
        let told = message(&ended);
        assert!(
            told.contains("a hook of the target") && told.contains("stays pending-rollback"),
            "{told}"
        );
        assert_eq!(generation(&stage).await, before, "no workload was touched");
        stage.space.behave("migrate", Behaviour::Ready);
        let live = stage.backend.live(&key()).await.unwrap().revision.unwrap();
        let again = order_for(stage.plan(&live.revision, &stage.id(2)));
        let receipt = stage.backend.start(&again).await.unwrap();
        let ended = stage.end(&stage.backend, &again, &receipt).await;
        assert_eq!(ended.phase, Phase::Complete, "{ended:?}");
        helm_can_deploy(&stage, 4).await;
    }
}

#[tokio::test]
async fn a_rollback_that_fills_the_history_keeps_its_target() {
    let Some((lab, folder)) = peers("a history that is full") else { return };
    for helm in BOTH {
        let full = |config: &mut rollback_helm::Config| config.history_max = 2;
        let stage = Stage::set_with(lab, &folder, helm, "", full).await;
        let order = order_for(stage.plan(&stage.id(3), &stage.id(1)));
        let receipt = stage.backend.start(&order).await.unwrap();
        let ended = stage.end(&stage.backend, &order, &receipt).await;
        assert_eq!(ended.phase, Phase::Complete, "{ended:?}");
        let numbers: Vec<u32> = stage.records().await.iter().map(stage::number_of).collect();
        assert_eq!(numbers, [1, 3, 4], "the second was pruned, and the target was not");
        let history = stage.backend.history(&key(), 10).await.unwrap();
        let ids: Vec<_> = history.into_iter().map(|revision| revision.id).collect();
        assert_eq!(ids, [stage.id(1), stage.id(3)]);
    }
}

#[tokio::test]
async fn a_release_that_somebody_else_keeps_is_refused_with_where_to_go() {
    let Some((lab, folder)) = peers("somebody else's release") else { return };
    let stage = Stage::set(lab, &folder, Helm::Four).await;
    let argo = json!({"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:a/web"}}});
    stage.space.merge(APPS, "deployments/web", argo).await;
    let plan = stage.back_by_one();
    let preflight = stage.backend.preflight(&plan).await.unwrap();
    let Acceptance::Rejected(words) = preflight.acceptance else { panic!("accepted") };
    assert!(words.contains("Argo CD application `shop`") && words.contains("`argocd`"), "{words}");
    assert_eq!(
        preflight.undone_by.something().map(String::as_str),
        Some("the Argo CD application `shop`")
    );
    let refused = stage.backend.start(&order_for(plan)).await.unwrap_err();
    assert!(why(&refused).contains("nothing was changed"), "{refused}");
    assert_eq!(stage.effects().await, 0);
}

#[tokio::test]
async fn a_number_that_was_given_again_is_not_the_revision_that_was_confirmed() {
    let Some((lab, folder)) = peers("a number that was given again") else { return };
    let stage = Stage::set(lab, &folder, Helm::Four).await;
    let plan = stage.back_by_one();
    stage.space.delete(CORE, "secrets/sh.helm.release.v1.web.v3").await;
    let again = stage.deploy(4).await;
    assert!(again.as_str().starts_with("3@"), "helm gave the number again: {again}");
    let refused = stage.backend.start(&order_for(plan)).await.unwrap_err();
    let StartError::Conflict { live, why } = refused else { panic!("{refused:?}") };
    assert_eq!(live.unwrap().revision, again);
    // Both are called 3: then a person reads what tells them apart.
    assert!(why.contains(again.as_str()) && why.contains(stage.id(3).as_str()), "{why}");
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_and_nothing_is_changed() {
    let Some((lab, folder)) = peers("missing rights") else { return };
    for helm in BOTH {
        let stage = Stage::set(lab, &folder, helm).await;
        let before = generation(&stage).await;
        for (missing, words) in [
            ("configmaps", "configmaps"),
            ("leases", "leases"),
            ("secrets", "may not list secrets"),
        ] {
            let mut rules = stage::rules();
            for rule in rules.as_array_mut().unwrap() {
                let resources = rule.get_mut("resources").unwrap().as_array_mut().unwrap();
                resources.retain(|it| it != missing);
            }
            rules.as_array_mut().unwrap().retain(|it| it.get("resources") != Some(&json!([])));
            let user = stage.space.user(&rules).await;
            let backend = stage::connect(&user, stage.config()).await;
            let refused = backend.start(&order_for(stage.back_by_one())).await.unwrap_err();
            assert!(why(&refused).contains(words), "{refused}");
        }
        assert_eq!((stage.effects().await, generation(&stage).await), (0, before));
    }
}

/// What others have marked is on what runs: not seeing it is not "nobody would undo it".
#[tokio::test]
async fn who_may_not_see_what_runs_cannot_tell_who_would_undo_it() {
    let Some((lab, folder)) = peers("an account that may not see what runs") else { return };
    let stage = Stage::set(lab, &folder, BOTH[0]).await;
    let mut rules = stage::rules();
    for rule in rules.as_array_mut().unwrap() {
        let resources = rule.get_mut("resources").unwrap().as_array_mut().unwrap();
        resources.retain(|it| it != "deployments");
    }
    rules.as_array_mut().unwrap().retain(|it| it.get("resources") != Some(&json!([])));
    let user = stage.space.user(&rules).await;
    let backend = stage::connect(&user, stage.config()).await;
    let preflight = backend.preflight(&stage.back_by_one()).await.unwrap();
    let Presence::CannotTell(why) = preflight.undone_by else { panic!("{preflight:?}") };
    assert!(why.contains("deployments"), "{why}");
    let refused = backend.start(&order_for(stage.back_by_one())).await.unwrap_err();
    assert!(self::why(&refused).contains("deployments"), "{refused}");
}
