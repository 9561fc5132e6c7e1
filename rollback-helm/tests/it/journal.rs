//! Where orders are decided: what others do to it, and a process that stood still, on a real cluster
//! with the real helm.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::stage;
use crate::stage::{AFTERWARDS, BOTH, CORE, Helm, JOURNAL, Stage, key, peers};
use http::Method;
use kube_lab::Behaviour;
use rollback_core::Phase;
use rollback_core::ports::{CdBackend as _, Fenced, StartError};
use rollback_testkit::order_for;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LEASES: &str = "apis/coordination.k8s.io/v1";
const RBAC: &str = "apis/rbac.authorization.k8s.io/v1";

fn signal(signal: &str, process: &tokio::process::Child) {
    let id = process.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
}

#[tokio::test]
async fn a_process_that_stood_still_can_write_nothing_once_another_took_its_order_over() {
    let Some((lab, folder)) = peers("a process that stands still") else { return };
    for helm in BOTH {
        let stage = Stage::set_with(lab, &folder, helm, AFTERWARDS, |_as_it_is| ()).await;
        stage.befall_earlier(Behaviour::NeverReady);
        let order = order_for(stage.back_by_one());
        let lease = Duration::from_secs(2);
        let stopped = stage.child_with(&order, lease);
        let mut config = stage.config();
        config.lease = lease;
        let next = stage.another(config).await;
        let receipt = stage.wait("the order", async || next.find(&order).await.unwrap()).await;
        let changed = async || (stage.truth().await == Some(stage.id(2))).then_some(());
        stage.wait("the target in the workload", changed).await;
        signal("-STOP", &stopped);
        let ended = stage.end(&next, &order, &receipt).await;
        assert_eq!(ended.phase, Phase::Failed, "{ended:?}");
        // Written down, so that whoever comes later need not wait until it is silent again.
        let later = stage.another(stage.config()).await;
        assert_eq!(later.observe(&order, &receipt).await.unwrap().phase, Phase::Failed);
        stage.befall_earlier(Behaviour::Ready);
        let live = next.live(&key()).await.unwrap().revision.unwrap();
        let further = order_for(stage.plan(&live.revision, &stage.id(1)));
        let receipt = next.start(&further).await.unwrap();
        let ended = stage.end(&next, &further, &receipt).await;
        assert_eq!(ended.phase, Phase::Complete, "{ended:?}");
        // Its helm sees that all is well, and would write so.
        signal("-CONT", &stopped);
        tokio::time::sleep(Duration::from_secs(8)).await;
        let row = |number: usize| stage.history_row(number);
        assert_eq!(row(4).await, "pending-rollback", "it came back");
        assert_eq!(row(5).await, "deployed");
        assert_eq!(stage.truth().await, Some(stage.id(1)));
    }
}

fn is_change_of_web(method: &Method, path: &str, _body: &[u8]) -> bool {
    *method == Method::PATCH && path.contains("/deployments/web") && !path.contains("dryRun")
}

/// A change that was let through in time and arrives when another rollback is done, whether that one
/// changed the same object or found it as it wants it.
#[tokio::test]
async fn a_change_that_arrives_after_a_takeover_overwrites_nothing() {
    let Some((lab, folder)) = peers("a change that arrives late") else { return };
    for (helm, to) in [(Helm::Three, 1), (Helm::Four, 1), (Helm::Three, 3), (Helm::Four, 3)] {
        let stage = Stage::set(lab, &folder, helm).await;
        let user = stage.space.user(&stage::rules()).await;
        let (wire, kubeconfig) = stage.space.wire_for(&user, is_change_of_web).await;
        let mut config = stage.config();
        config.lease = Duration::from_secs(1);
        let slow = stage::connect(&kubeconfig, config.clone()).await;
        let next = stage.another(config).await;
        let order = order_for(stage.back_by_one());
        wire.hold_next_order();
        let receipt = slow.start(&order).await.unwrap();
        stage.wait("helm's change on its way", async || (wire.held() > 0).then_some(())).await;
        wire.cut();
        let ended = stage.end(&next, &order, &receipt).await;
        assert_eq!(ended.phase, Phase::Failed, "{ended:?}");
        let live = next.live(&key()).await.unwrap().revision.unwrap();
        let further = order_for(stage.plan(&live.revision, &stage.id(to)));
        let receipt = next.start(&further).await.unwrap();
        let ended = stage.end(&next, &further, &receipt).await;
        assert_eq!(ended.phase, Phase::Complete, "{ended:?}");
        assert_eq!(wire.release().await, [409], "{helm:?} to {to}");
        assert_eq!(stage.truth().await, Some(stage.id(to)));
    }
}

#[tokio::test]
async fn a_process_that_stood_still_goes_on_where_nobody_took_its_order_over() {
    let Some((lab, folder)) = peers("a process that stands still for a while") else { return };
    let stage = Stage::set_with(lab, &folder, Helm::Three, AFTERWARDS, |_as_it_is| ()).await;
    stage.befall_earlier(Behaviour::NeverReady);
    let order = order_for(stage.back_by_one());
    let stopped = stage.child_with(&order, Duration::from_secs(1));
    let receipt = stage.wait("the order", async || stage.backend.find(&order).await.unwrap()).await;
    let changed = async || (stage.truth().await == Some(stage.id(2))).then_some(());
    stage.wait("the target in the workload", changed).await;
    signal("-STOP", &stopped);
    tokio::time::sleep(Duration::from_secs(3)).await;
    stage.befall_earlier(Behaviour::Ready);
    signal("-CONT", &stopped);
    let ended = stage.end(&stage.backend, &order, &receipt).await;
    assert_eq!(ended.phase, Phase::Complete, "{ended:?}");
    assert_eq!(stage.history_row(4).await, "deployed");
}

#[tokio::test]
async fn an_order_is_found_whatever_is_swept_away_with_the_release_or_with_leases() {
    let Some((lab, folder)) = peers("what sweeps objects away") else { return };
    let stage = Stage::set(lab, &folder, Helm::Four).await;
    let order = order_for(stage.back_by_one());
    let receipt = stage.backend.start(&order).await.unwrap();
    let ended = stage.end(&stage.backend, &order, &receipt).await;
    assert_eq!(ended.phase, Phase::Complete, "{ended:?}");
    stage.space.delete(LEASES, "leases").await;
    let by_release = ["owner%3Dhelm", "app.kubernetes.io/instance%3Dweb", "name%3Dweb"];
    for label in by_release {
        stage.space.delete(CORE, &format!("configmaps?labelSelector={label}")).await;
    }
    let done = stage.call(&["uninstall", "web"]).await;
    assert!(done.status.success(), "{done:?}");
    assert_eq!(stage.records().await.len(), 0);
    assert_eq!(stage.backend.find(&order).await.unwrap(), Some(receipt), "it happened");
}

#[tokio::test]
async fn a_rollback_whose_journal_is_removed_in_the_middle_is_never_called_absent() {
    let Some((lab, folder)) = peers("a journal that is removed") else { return };
    for helm in BOTH {
        let stage = Stage::set_with(lab, &folder, helm, AFTERWARDS, |_as_it_is| ()).await;
        stage.befall_earlier(Behaviour::NeverReady);
        let order = order_for(stage.back_by_one());
        let receipt = stage.backend.start(&order).await.unwrap();
        let changed = async || (stage.truth().await == Some(stage.id(2))).then_some(());
        stage.wait("the target in the workload", changed).await;
        for (api, object) in [(CORE, JOURNAL), (LEASES, "leases/rollback-helm.web")] {
            if stage.space.find(api, object).await.is_some() {
                stage.space.delete(api, object).await;
            }
        }
        let other = stage.another(stage.config()).await;
        assert_eq!(other.find(&order).await.unwrap().as_ref(), Some(&receipt));
        assert_eq!(other.fence(&order).await.unwrap(), Fenced::Done);
        assert_eq!(other.find(&order).await.unwrap().as_ref(), Some(&receipt), "it takes place");
        stage.befall_earlier(Behaviour::Ready);
        let ended = stage.end(&stage.backend, &order, &receipt).await;
        assert_eq!(ended.phase, Phase::Complete, "{ended:?}");
        assert_eq!(other.find(&order).await.unwrap().as_ref(), Some(&receipt));
    }
}

/// Whether an order was written down. What comes after that is lost, until it is healed.
static DECIDED: AtomicBool = AtomicBool::new(false);

fn is_decision(method: &Method, path: &str, body: &[u8]) -> bool {
    let is_journal = path.contains("/configmaps") || path.contains("/leases");
    let running = br#"state\":\"running"#;
    let running: Vec<u8> = running.iter().copied().filter(|byte| *byte != b'\\').collect();
    let body: Vec<u8> = body.iter().copied().filter(|byte| *byte != b'\\').collect();
    let decides = is_journal
        && [Method::POST, Method::PUT].contains(method)
        && body.windows(running.len()).any(|window| window == running);
    if decides {
        DECIDED.store(true, Ordering::SeqCst);
    }
    decides
}

fn comes_after(_method: &Method, _path: &str, _body: &[u8]) -> bool {
    DECIDED.load(Ordering::SeqCst)
}

#[tokio::test]
async fn an_order_that_was_perhaps_written_down_is_in_doubt_until_it_is_written_down_that_it_was_not()
 {
    let Some((lab, folder)) = peers("an order whose writing down is not answered") else { return };
    let stage = Stage::set(lab, &folder, Helm::Four).await;
    let rules = stage::rules();
    let user = stage.space.user(&rules).await;
    let (wire, kubeconfig) = stage.space.wire_for(&user, is_decision).await;
    let mut config = stage.config();
    config.start_within = Duration::from_secs(12);
    let backend = stage::connect(&kubeconfig, config).await;
    let order = order_for(stage.back_by_one());
    wire.lose_next_answer();
    wire.lose(comes_after);
    // The account of this wire is the second one.
    let list = stage.space.get(RBAC, "rolebindings").await;
    let name = |it: &Value| it.pointer("/metadata/name").unwrap().as_str().unwrap().to_owned();
    let mut bindings: Vec<Value> = list.get("items").unwrap().as_array().unwrap().clone();
    bindings.sort_by_key(|it| name(it).trim_start_matches("user-").parse::<u32>().unwrap());
    let binding = bindings.pop().unwrap();
    let (answer, ()) = tokio::join!(backend.start(&order), async {
        stage.wait("the decision", async || (wire.carried_out() > 0).then_some(())).await;
        stage.space.delete(RBAC, &format!("rolebindings/{}", name(&binding))).await;
        wire.heal();
    });
    let found = stage.backend.find(&order).await.unwrap();
    match answer {
        // Whoever is told so may order another one.
        Err(StartError::Refused { why }) => assert_eq!(found, None, "it stands there: {why}"),
        Err(StartError::InDoubt { .. }) => {}
        other => panic!("{other:?}"),
    }
    let mut again = json!({"metadata": {"name": name(&binding)}});
    for part in ["roleRef", "subjects"] {
        again[part] = binding.get(part).unwrap().clone();
    }
    stage.space.create(RBAC, "rolebindings", again).await;
    stage
        .wait("that it was given up", async || {
            (stage.backend.find(&order).await.unwrap().is_none()).then_some(())
        })
        .await;
    stage.nothing_undecided().await;
    assert_eq!((stage.truth().await, stage.records().await.len()), (Some(stage.id(3)), 3));
}

/// What the release before this one kept, and what becomes of it.
#[tokio::test]
async fn the_lease_of_an_earlier_release_is_read_and_sealed_before_anything_is_decided() {
    let Some((lab, folder)) = peers("the Lease of an earlier release") else { return };
    let stage = Stage::set(lab, &folder, Helm::Four).await;
    let (void, done) = (order_for(stage.back_by_one()), other_order(&stage, "an-earlier-order"));
    let uid = stage.records().await.pop().unwrap();
    let uid = uid.pointer("/metadata/uid").unwrap().as_str().unwrap().to_owned();
    let at = "2026-11-22T09:30:00.000Z";
    let orders = json!([
        {"order": void.rollback().as_str(), "state": "void", "at": at, "to": null, "made": null, "message": null},
        {"order": done.rollback().as_str(), "state": "complete", "at": at, "to": stage.id(3).as_str(),
            "made": [3, uid], "message": "it went well"},
    ]);
    let lease = json!({
        "metadata": {"name": "rollback-helm.web",
            "labels": {"app.kubernetes.io/managed-by": "rollback-helm"},
            "annotations": {"rollback-rs.github.io/orders": orders.to_string()}},
        "spec": {"holderIdentity": "x", "renewTime": "2026-11-22T09:30:00.000000Z"},
    });
    stage.space.create(LEASES, "leases", lease).await;
    let found = stage.backend.find(&done).await.unwrap().unwrap();
    assert_eq!(found.execution.as_str(), format!("3@{}", uid.get(..8).unwrap()));
    let refused = stage.backend.start(&void).await.unwrap_err();
    assert!(refused.to_string().contains("given up"), "{refused}");
    let order = other_order(&stage, "a-later-order");
    let receipt = stage.backend.start(&order).await.unwrap();
    let ended = stage.end(&stage.backend, &order, &receipt).await;
    assert_eq!(ended.phase, Phase::Complete, "{ended:?}");
    assert!(stage.journal().await.is_some());
    assert!(stage.backend.find(&done).await.unwrap().is_some());
    let lease = stage.space.get(LEASES, "leases/rollback-helm.web").await;
    let annotations = lease.pointer("/metadata/annotations").unwrap();
    let orders = annotations.get("rollback-rs.github.io/orders").unwrap().as_str().unwrap();
    let as_before: Result<Vec<Value>, _> = serde_json::from_str(orders);
    assert!(as_before.is_err(), "the earlier release could go on: {orders}");
}

fn other_order(stage: &Stage, id: &str) -> rollback_core::proof::Order {
    let now = rollback_core::ports::Clock::now(&stage::WallClock);
    rollback_testkit::order_at(stage.back_by_one(), &id.parse().unwrap(), now)
}
