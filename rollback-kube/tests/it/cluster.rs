//! What happens on a real cluster besides the conformance suite: permissions, reasons, races with
//! others, and what other tools say about the same objects.
#![expect(clippy::unwrap_used, clippy::future_not_send, reason = "a test fails by panicking")]

use crate::stage::{APPS, KINDS, Stage, connect, image, key, rules};
use http::StatusCode;
use kube_lab::{Behaviour, Lab};
use rollback_core::observed::Acceptance;
use rollback_core::ports::{
    CdBackend as _, ErrorKind, HistoryOptions, LiveOptions, ObserveOptions, PortError, StartError,
};
use rollback_core::proof::OrderRef;
use rollback_core::{Phase, Progress, Receipt};
use rollback_kube::Kind;
use rollback_testkit::{again, order_for};
use serde_json::{Value, json};
use std::process::{Command, Output};
use std::time::Duration;

macro_rules! lab {
    ($why:literal) => {
        match Lab::shared($why) {
            Some(lab) => lab,
            None => return,
        }
    };
}

/// Looks until the execution says this.
async fn until(
    stage: &Stage,
    order: &OrderRef,
    receipt: &Receipt,
    done: impl Fn(&Progress) -> bool,
) -> Progress {
    stage
        .wait("the execution", async || {
            let progress =
                stage.backend.observe(order, receipt, ObserveOptions::default()).await.unwrap();
            done(&progress).then_some(progress)
        })
        .await
}

fn words(progress: &Progress) -> String {
    progress.message.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[tokio::test]
async fn each_verb_that_is_missing_is_named_with_its_resource_and_its_namespace() {
    let lab = lab!("missing permissions on a real cluster");
    for kind in KINDS {
        let stage = Stage::set(lab, kind).await;
        stage.befall_earlier(Behaviour::NeverReady);
        stage.set_image(&image(2)).await;
        let plan = {
            let history = stage.backend.history(&key(), HistoryOptions::newest(10)).await.unwrap();
            let to = history.iter().find(|it| it.version == Some("shop:3".into())).unwrap();
            stage.plan_to(&to.id).await
        };
        for (verb, resource) in [
            ("get", stage.resource()),
            ("patch", stage.resource()),
            ("list", stage.history_resource()),
            ("list", "pods"),
        ] {
            let user = stage.space.user(&without(verb, resource)).await;
            let backend = connect(&user, stage.config()).await;
            let error: PortError = backend.preflight(&plan).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
            let named = format!("may not {verb} {resource}");
            let place = format!("in namespace `{}`", stage.space.name());
            let told = error.to_string();
            assert!(told.contains(&named) && told.contains(&place), "{told}");
            let started = backend.start(order_for(plan.clone())).await;
            let refused = matches!(started, Err(StartError::Refused { .. }));
            assert!(refused || resource == "pods", "{started:?}");
        }
    }
}

/// The Role without one verb of one resource.
fn without(verb: &str, resource: &str) -> Value {
    let mut left = Vec::new();
    for rule in rules().as_array().unwrap() {
        for one in rule["resources"].as_array().unwrap() {
            let verbs: Vec<&Value> = rule["verbs"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|it| one != resource || *it != verb)
                .collect();
            if !verbs.is_empty() {
                left.push(
                    json!({"apiGroups": rule["apiGroups"], "resources": [one], "verbs": verbs}),
                );
            }
        }
    }
    left.into()
}

#[tokio::test]
async fn without_the_right_to_watch_it_looks_now_and_then() {
    let lab = lab!("a watch that is not allowed, on a real cluster");
    let stage = Stage::set(lab, Kind::Deployment).await;
    let user = stage.space.user(&without("watch", "deployments")).await;
    let backend = connect(&user, stage.config()).await;
    backend.live(&key(), LiveOptions::default()).await.unwrap();
    let hint = tokio::time::timeout(Duration::from_secs(10), async {
        backend.changes(&key()).next().await;
    })
    .await;
    assert!(hint.is_ok(), "nothing would ever be looked at again");
}

#[tokio::test]
async fn a_change_is_hinted_at_once_and_nothing_is_hinted_without_one() {
    let lab = lab!("a watch on a real cluster");
    for kind in KINDS {
        let stage = Stage::set(lab, kind).await;
        stage.settled().await;
        let key = key();
        stage.backend.live(&key, LiveOptions::default()).await.unwrap();
        let quiet = tokio::time::timeout(Duration::from_millis(300), async {
            stage.backend.changes(&key).next().await;
        });
        assert!(quiet.await.is_err(), "a hint came for nothing");
        let change = json!({"metadata": {"annotations": {"example.com/note": "x"}}});
        // Between the look and the wait: a watch from the look's version still tells of it.
        stage.space.merge(APPS, &stage.object(), change).await;
        let hint = tokio::time::timeout(Duration::from_secs(5), async {
            stage.backend.changes(&key).next().await;
        });
        assert!(hint.await.is_ok(), "a change was not hinted at");
    }
}

#[tokio::test]
async fn why_a_rollback_waits_is_told_with_the_pods_name() {
    let lab = lab!("failing pods on a real cluster");
    for (behaviour, expected) in [
        (Behaviour::ImagePullBackOff, "ImagePullBackOff"),
        (Behaviour::CrashLoopBackOff, "CrashLoopBackOff"),
        (Behaviour::OutOfMemory, "OOMKilled"),
        (Behaviour::Unschedulable, "no node takes it (0/3 nodes are available"),
    ] {
        let stage = Stage::set(lab, Kind::Deployment).await;
        stage.befall_earlier(behaviour);
        let order = order_for(stage.back_by_one().await);
        let receipt = stage.backend.start(again(&order)).await.unwrap();
        let progress = until(&stage, &order, &receipt, |it| words(it).contains(expected)).await;
        assert!(progress.phase <= Phase::HealthChecking, "{progress:?}");
        assert!(words(&progress).contains("pod `web-"), "{}", words(&progress));
        // It heals, and so does the rollback.
        stage.befall_earlier(Behaviour::Ready);
        until(&stage, &order, &receipt, |it| it.phase == Phase::Complete).await;
    }
}

#[tokio::test]
async fn a_limit_of_the_namespace_that_the_target_breaks_is_told() {
    let lab = lab!("a limit range on a real cluster");
    let little = json!({"requests": {"cpu": "1m"}});
    let modest = |manifest: &mut Value| {
        manifest["spec"]["template"]["spec"]["containers"][0]["resources"] = little.clone();
    };
    let stage = Stage::set_with(lab, Kind::Deployment, modest).await;
    let range = json!({"metadata": {"name": "limits"},
        "spec": {"limits": [{"type": "Container", "min": {"cpu": "900m"}}]}});
    stage.space.create("api/v1", "limitranges", range).await;
    let pod = json!({"metadata": {"name": "try"},
        "spec": {"containers": [{"name": "app", "image": "shop", "resources": little}]}});
    let try_one = format!("{}?dryRun=All", stage.space.path("api/v1", "pods"));
    stage
        .wait("the limit holds", async || {
            let made = stage.space.try_ask(http::Method::POST, &try_one, "application/json", &pod);
            let refused = made.await.err()?.to_string();
            refused.contains("minimum cpu").then_some(())
        })
        .await;
    let order = order_for(stage.back_by_one().await);
    let receipt = stage.backend.start(again(&order)).await.unwrap();
    let told = |it: &Progress| words(it).contains("cannot be created");
    let progress = until(&stage, &order, &receipt, told).await;
    assert!(words(&progress).contains("minimum cpu usage"), "{}", words(&progress));
}

#[tokio::test]
async fn a_deadline_that_passes_is_a_failure_with_the_reason() {
    let lab = lab!("a progress deadline on a real cluster");
    let short = |manifest: &mut Value| manifest["spec"]["progressDeadlineSeconds"] = 2.into();
    let stage = Stage::set_with(lab, Kind::Deployment, short).await;
    stage.befall_earlier(Behaviour::CrashLoopBackOff);
    let order = order_for(stage.back_by_one().await);
    let receipt = stage.backend.start(again(&order)).await.unwrap();
    let progress = until(&stage, &order, &receipt, |it| it.phase == Phase::Failed).await;
    let told = words(&progress);
    assert!(told.contains("progress deadline") && told.contains("CrashLoopBackOff"), "{told}");
}

#[tokio::test]
async fn replicas_that_an_autoscaler_set_are_kept_even_when_it_scales_in_between() {
    let lab = lab!("an autoscaler on a real cluster");
    for kind in [Kind::Deployment, Kind::StatefulSet] {
        let stage = Stage::set(lab, kind).await;
        let plan = stage.back_by_one().await;
        let order = order_for(plan.clone());
        stage.wire.hold_next_order();
        let scale = json!({"spec": {"replicas": 4}});
        let (started, refused_once) = tokio::join!(stage.backend.start(again(&order)), async {
            stage
                .wait("the order is on its way", async || (stage.wire.held() > 0).then_some(()))
                .await;
            stage.space.merge(APPS, &stage.object(), scale).await;
            stage.wire.release().await
        });
        assert_eq!(refused_once, [422]);
        let receipt = started.unwrap();
        until(&stage, &order, &receipt, |it| it.phase == Phase::Complete).await;
        assert_eq!(stage.read().await["spec"]["replicas"], 4);
        assert_eq!(stage.truth().await.as_ref(), Some(&plan.to().revision));
        assert_eq!((stage.wire.orders(), stage.wire.carried_out()), (2, 1));
    }
}

#[tokio::test]
async fn a_deploy_that_lands_while_the_order_is_on_its_way_is_a_conflict() {
    let lab = lab!("a race with a deploy on a real cluster");
    for kind in KINDS {
        let stage = Stage::set(lab, kind).await;
        let order = order_for(stage.back_by_one().await);
        stage.wire.hold_next_order();
        let (started, (newer, answers)) = tokio::join!(stage.backend.start(again(&order)), async {
            stage
                .wait("the order is on its way", async || (stage.wire.held() > 0).then_some(()))
                .await;
            stage.set_image(&image(4)).await;
            let newer = stage.truth().await.unwrap();
            (newer, stage.wire.release().await)
        });
        assert_eq!(answers, [422], "the API server itself refuses it");
        let Err(StartError::Conflict { live, .. }) = started else { panic!("{started:?}") };
        assert_eq!(live.map(|live| live.revision), Some(newer));
        assert_eq!(stage.wire.carried_out(), 0);
    }
}

#[tokio::test]
async fn an_order_that_slept_through_its_fence_is_not_built_anew() {
    let lab = lab!("a fence on a real cluster");
    for kind in KINDS {
        let stage = Stage::set(lab, kind).await;
        let order = order_for(stage.back_by_one().await);
        let other_process = stage.another(stage.config()).await;
        stage.wire.hold_next_order();
        let (started, answers) = tokio::join!(stage.backend.start(again(&order)), async {
            stage
                .wait("the order is on its way", async || (stage.wire.held() > 0).then_some(()))
                .await;
            other_process.fence(&order).await.unwrap();
            stage.wire.release().await
        });
        assert_eq!(answers, [422]);
        assert!(matches!(started, Err(StartError::Refused { .. })), "{started:?}");
        // Not even when all of it is slept through: the fence names the order.
        let late = stage.backend.start(again(&order)).await;
        assert!(matches!(late, Err(StartError::Refused { .. })), "{late:?}");
        assert_eq!(stage.wire.carried_out(), 0);
    }
}

/// Teleport, Rancher or nginx in front of an API server: what they answer is not its word.
#[tokio::test]
async fn a_gateway_that_answers_for_the_api_server_proves_nothing() {
    let lab = lab!("a gateway in front of a real API server");
    for code in [401, 403, 404, 408, 409, 422, 429] {
        let code = StatusCode::from_u16(code).unwrap();
        let stage = Stage::set(lab, Kind::Deployment).await;
        let order = order_for(stage.back_by_one().await);
        stage.wire.answer_next_order(code);
        let started = stage.backend.start(again(&order)).await;
        assert!(matches!(started, Err(StartError::InDoubt { .. })), "{code}: {started:?}");
        assert_eq!(stage.wire.carried_out(), 1, "the gateway had passed it on");
        let receipt = stage.backend.find(&order).await.unwrap().unwrap();

        stage.wire.answer_for_the_server(code);
        let seen =
            stage.backend.observe(&order, &receipt, ObserveOptions::default()).await.unwrap_err();
        assert!(matches!(seen.kind, ErrorKind::Retry(_)), "{code}: {seen}");
        let fenced = stage.backend.fence(&order).await.unwrap_err();
        assert!(matches!(fenced.kind, ErrorKind::Retry(_)), "{code}: {fenced}");
        let found = stage.backend.find(&order).await.unwrap_err();
        assert!(matches!(found.kind, ErrorKind::Retry(_)), "{code}: {found}");

        stage.wire.heal();
        until(&stage, &order, &receipt, |progress| progress.phase == Phase::Complete).await;
    }
}

#[tokio::test]
async fn kubectl_still_shows_why_the_restored_revision_was_made() {
    let lab = lab!("kubectl rollout history after a rollback");
    let cause = |number: u32| {
        let words = format!("ship {number}");
        json!({"metadata": {"annotations": {"kubernetes.io/change-cause": words}}})
    };
    let stage = Stage::set_with(lab, Kind::Deployment, |manifest| {
        manifest["metadata"]["annotations"] = cause(1)["metadata"]["annotations"].clone();
    })
    .await;
    for number in [4, 5] {
        stage.deploy(&image(number)).await;
        stage.space.merge(APPS, &stage.object(), cause(number)).await;
        stage
            .wait("the ReplicaSet has the cause", async || {
                let sets = stage.space.get(APPS, "replicasets").await;
                let sets = sets["items"].as_array().unwrap();
                let words =
                    cause(number)["metadata"]["annotations"]["kubernetes.io/change-cause"].clone();
                let has = |set: &Value| {
                    set["metadata"]["annotations"]["kubernetes.io/change-cause"] == words
                };
                sets.iter().any(has).then_some(())
            })
            .await;
    }
    let order = order_for(stage.back_by_one().await);
    let receipt = stage.backend.start(again(&order)).await.unwrap();
    until(&stage, &order, &receipt, |progress| progress.phase == Phase::Complete).await;
    let history = ["rollout", "history", "deployment/web"];
    let Some(output) = kubectl(lab, stage.space.name(), &history) else { return };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap();
    assert!(last.ends_with("ship 4"), "{said}");
    assert!(said.contains("ship 5"), "{said}");
}

#[tokio::test]
async fn a_fence_rolls_nothing_out() {
    let lab = lab!("a fence on a real cluster");
    for kind in KINDS {
        let stage = Stage::set(lab, kind).await;
        let pods = async || {
            let list = stage.space.get("api/v1", "pods").await;
            let uid = |pod: &Value| pod["metadata"]["uid"].to_string();
            let mut uids: Vec<String> = list["items"].as_array().unwrap().iter().map(uid).collect();
            uids.sort();
            uids
        };
        let before = (pods().await, stage.truth().await);
        stage.backend.fence(&order_for(stage.back_by_one().await)).await.unwrap();
        stage.observed().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!((pods().await, stage.truth().await), before);
    }
}

#[tokio::test]
async fn the_history_that_kubernetes_prunes_is_explained() {
    let lab = lab!("a pruned history on a real cluster");
    for kind in KINDS {
        let short = |manifest: &mut Value| manifest["spec"]["revisionHistoryLimit"] = 1.into();
        let stage = Stage::set_with(lab, kind, short).await;
        // Which of the two goes depends on whose pods are still there.
        let gone = stage
            .wait("the history is pruned", async || {
                // The controllers prune when they look at a workload, whatever made them look.
                let nudge = stage.read().await["metadata"]["resourceVersion"].clone();
                let nudge = json!({"metadata": {"annotations": {"example.com/nudge": nudge}}});
                stage.space.merge(APPS, &stage.object(), nudge).await;
                let history =
                    stage.backend.history(&key(), HistoryOptions::newest(10)).await.unwrap();
                let kept: Vec<_> = history.into_iter().map(|revision| revision.id).collect();
                [&stage.first, &stage.second].into_iter().find(|id| !kept.contains(id)).cloned()
            })
            .await;
        let plan = stage.plan_to(&gone).await;
        let preflight = stage.backend.preflight(&plan).await.unwrap();
        let Acceptance::Rejected(why) = preflight.acceptance else { panic!("accepted") };
        assert!(why.contains("(it keeps 1)") && why.contains("deploy that version anew"), "{why}");
    }
}

#[tokio::test]
async fn a_paused_deployment_is_refused_and_says_how_to_resume_it() {
    let lab = lab!("a paused deployment on a real cluster");
    let stage = Stage::set(lab, Kind::Deployment).await;
    let plan = stage.back_by_one().await;
    stage.space.merge(APPS, &stage.object(), json!({"spec": {"paused": true}})).await;
    let preflight = stage.backend.preflight(&plan).await.unwrap();
    let Acceptance::Rejected(why) = preflight.acceptance else { panic!("accepted") };
    assert!(why.contains("kubectl rollout resume deployment/web"), "{why}");
    let started = stage.backend.start(order_for(plan)).await;
    assert!(matches!(started, Err(StartError::Refused { .. })), "{started:?}");
    assert_eq!(stage.wire.orders(), 0);
}

#[tokio::test]
async fn a_preflight_is_rehearsed_by_the_api_server_and_leaves_no_trace() {
    let own = Lab::own("the API server's own account of a dry run").await;
    let lab = match &own {
        Some(own) => own.lab(),
        None => lab!("a dry run on a real cluster"),
    };
    for kind in KINDS {
        let stage = Stage::set(lab, kind).await;
        stage.settled().await;
        let plan = stage.back_by_one().await;
        let before = stage.read().await;
        let preflight = stage.backend.preflight(&plan).await.unwrap();
        assert_eq!(preflight.acceptance, Acceptance::Accepted);
        assert_eq!(stage.read().await, before);
        if own.is_some() {
            let rehearsed = lab.requests().into_iter().any(|request| {
                let uri = request["requestURI"].as_str().unwrap_or_default();
                uri.contains(stage.space.name())
                    && uri.contains("dryRun=All")
                    && request["verb"] == "patch"
            });
            assert!(rehearsed, "the API server was not asked");
        }
    }
}

#[tokio::test]
async fn an_ordered_stateful_set_names_the_pod_to_delete_and_completes_once_it_is() {
    let lab = lab!("the trap of an ordered StatefulSet on a real cluster");
    let stage = Stage::set(lab, Kind::StatefulSet).await;
    stage.space.behave(&image(4), Behaviour::ImagePullBackOff);
    stage.set_image(&image(4)).await;
    stage
        .wait("the last pod is broken", async || {
            let pod = stage.space.find("api/v1", "pods/web-1").await?;
            let reason = &pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
            (reason == "ImagePullBackOff").then_some(())
        })
        .await;
    let plan = stage.back_by_one().await;
    let live = stage.backend.live(&key(), LiveOptions::default()).await.unwrap();
    assert!(live.in_progress.is_nothing(), "a stuck deploy is in the way of its own rollback");
    let preflight = stage.backend.preflight(&plan).await.unwrap();
    let told = preflight.not_undone.join("\n");
    assert!(told.contains("delete pod `web-1`"), "{told}");

    let order = order_for(plan);
    let receipt = stage.backend.start(again(&order)).await.unwrap();
    let named = |it: &Progress| words(it).contains("delete pod `web-1`");
    until(&stage, &order, &receipt, named).await;
    stage.space.delete("api/v1", "pods/web-1").await;
    until(&stage, &order, &receipt, |it| it.phase == Phase::Complete).await;
}

#[tokio::test]
async fn a_new_process_tells_an_overtaken_order_and_never_calls_it_complete() {
    let lab = lab!("an overtaken order on a real cluster");
    let stage = Stage::set(lab, Kind::Deployment).await;
    let order = order_for(stage.back_by_one().await);
    let receipt = stage.backend.start(again(&order)).await.unwrap();
    let newer = stage.deploy(&image(4)).await;
    let progress = stage
        .another(stage.config())
        .await
        .observe(&order, &receipt, ObserveOptions::default())
        .await
        .unwrap();
    assert_eq!(progress.phase, Phase::Failed);
    assert!(words(&progress).contains("took its place"), "{}", words(&progress));
    assert_eq!(progress.live.map(|live| live.revision), Some(newer));
}

#[tokio::test]
async fn an_order_is_found_by_a_new_process_after_a_newer_deploy() {
    let lab = lab!("finding an order on a real cluster");
    for kind in KINDS {
        let stage = Stage::set(lab, kind).await;
        let order = order_for(stage.back_by_one().await);
        let receipt = stage.backend.start(again(&order)).await.unwrap();
        stage.deploy(&image(4)).await;
        let found = stage.another(stage.config()).await.find(&order).await.unwrap();
        assert_eq!(found, Some(receipt));
    }
}

#[tokio::test]
async fn a_workload_that_was_made_anew_is_another_one() {
    let lab = lab!("a workload that is made anew, on a real cluster");
    for kind in KINDS {
        let stage = Stage::set(lab, kind).await;
        let order = order_for(stage.back_by_one().await);
        let receipt = stage.backend.start(again(&order)).await.unwrap();
        stage.space.delete(APPS, &stage.object()).await;
        let gone =
            stage.backend.observe(&order, &receipt, ObserveOptions::default()).await.unwrap();
        assert_eq!(gone.phase, Phase::Failed);
        let manifest = match kind {
            Kind::Deployment => kube_lab::deployment("web", &image(2), 1),
            Kind::StatefulSet => kube_lab::stateful_set("web", &image(2), 1),
            Kind::DaemonSet => kube_lab::daemon_set("web", &image(2)),
        };
        stage
            .wait("it can be made anew", async || {
                let path = stage.space.path(APPS, stage.resource());
                let made =
                    stage.space.try_ask(http::Method::POST, &path, "application/json", &manifest);
                made.await.ok()
            })
            .await;
        stage.rolled_out().await;
        let another =
            stage.backend.observe(&order, &receipt, ObserveOptions::default()).await.unwrap();
        assert_eq!(another.phase, Phase::Failed, "another object of that name is complete");
        assert!(words(&another).contains("made anew"), "{}", words(&another));
        let found = stage.backend.find(&order).await;
        assert!(found.is_err(), "it is proved absent by an object that cannot know: {found:?}");
    }
}

#[tokio::test]
async fn of_two_deploys_within_one_second_the_history_knows_which_came_first() {
    let lab = lab!("two deploys within one second, on a real cluster");
    for kind in KINDS {
        let all = |manifest: &mut Value| manifest["spec"]["revisionHistoryLimit"] = 100.into();
        let stage = Stage::set_with(lab, kind, all).await;
        let object_of = |id: &rollback_core::RevisionId| {
            let (name, _uid) = id.as_str().split_once('@').unwrap();
            format!("{}/{name}", stage.history_resource())
        };
        let mut number = 4;
        // Until both fall into one second.
        let (first, second) = loop {
            let mut made = Vec::new();
            for next in [number, number + 1] {
                stage.set_image(&image(next)).await;
                made.push(stage.truth().await.unwrap());
            }
            let mut seconds = Vec::new();
            for id in &made {
                let object = stage.space.get(APPS, &object_of(id)).await;
                seconds.push(object["metadata"]["creationTimestamp"].clone());
            }
            number += 2;
            if seconds[0] == seconds[1] {
                break (made[0].clone(), made[1].clone());
            }
            assert!(number < 100, "no two deploys fell into one second");
        };
        stage.rolled_out().await;
        let history = stage.backend.history(&key(), HistoryOptions::newest(10)).await.unwrap();
        let ids: Vec<_> = history.iter().map(|revision| revision.id.clone()).collect();
        assert_eq!(ids[..2], [second, first], "{kind:?}");
        assert!(history[0].deployed_at.is_some(), "{kind:?}: {:?}", history[0]);
        assert_eq!(history[0].deployed_at, history[1].deployed_at);
    }
}

fn kubectl(lab: &Lab, namespace: &str, arguments: &[&str]) -> Option<Output> {
    let tools = peer::wanted("helm", "a comparison with kubectl")?;
    let mut command = Command::new(tools.join("kubectl"));
    command.arg("--kubeconfig").arg(lab.kubeconfig()).args(["--namespace", namespace]);
    Some(command.args(arguments).output().unwrap())
}

#[tokio::test]
async fn a_revision_keeps_its_identity_when_kubectl_renumbers_it() {
    let lab = lab!("kubectl rollout undo on a real cluster");
    for kind in KINDS {
        let stage = Stage::set(lab, kind).await;
        let plan = stage.back_by_one().await;
        let object = format!("{}/web", kind.as_str());
        let undo = ["rollout", "undo", &object, "--to-revision=2"];
        let Some(output) = kubectl(lab, stage.space.name(), &undo) else { return };
        assert!(output.status.success(), "{output:?}");
        stage.rolled_out().await;
        let live =
            stage.backend.live(&key(), LiveOptions::default()).await.unwrap().revision.unwrap();
        assert_eq!(live.revision, plan.to().revision);
        let history = stage.backend.history(&key(), HistoryOptions::newest(10)).await.unwrap();
        let ids: Vec<_> = history.iter().map(|revision| &revision.id).collect();
        assert_eq!(ids[..2], [&plan.to().revision, &plan.from().revision]);
        let kept = stage.space.get(APPS, stage.history_resource()).await;
        assert_eq!(history[0].deployed_at, None, "nobody noted when it came back: {kept}");
        // And an order for what was live before is a conflict, though all of it still exists.
        let started = stage.backend.start(order_for(plan)).await;
        assert!(matches!(started, Err(StartError::Conflict { .. })), "{started:?}");
    }
}
