//! How a rollback's pods come up, beside `kubectl rollout status` on the same workload: slow ones, ones
//! that go back and forth, and ones that never get ready. Where kubectl and we say something else, the
//! test says why.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::stage::{Helm, PATIENCE, Stage, peers};
use kube_lab::Behaviour;
use rollback_core::Phase;
use rollback_core::ports::CdBackend as _;
use rollback_testkit::{again, order_for};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// How far apart the two may be told of the same end: both look now and then, and what was left behind
/// is looked for before ours is told.
const APART_MAX: Duration = Duration::from_secs(6);

/// How a rollout ended, and when.
#[derive(Debug)]
struct End {
    well: bool,
    words: String,
    at: Instant,
}

async fn kubectl(folder: &Path, stage: &Stage, object: &str, within: Duration) -> Option<End> {
    let watching = Command::new(folder.join("kubectl"))
        .arg("--kubeconfig")
        .arg(stage.space.lab().kubeconfig())
        .args(["--namespace", stage.space.name(), "rollout", "status", object])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(within, watching).await.ok()?.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let words = format!("{} {}", text(&output.stdout), text(&output.stderr));
    Some(End { well: output.status.success(), words, at: Instant::now() })
}

/// Rolls back by one, and looks at it in both ways from the moment that the workload has the target.
async fn play(
    folder: &Path,
    stage: &Stage,
    ((kind, name), within): ((&str, &str), Duration),
    meanwhile: impl Future<Output = ()>,
) -> (End, Option<End>) {
    let order = order_for(stage.back_by_one());
    let receipt = stage.backend.start(again(&order)).await.unwrap();
    let workload = format!("{kind}s/{name}");
    let changed = async || (stage.revision_in(&workload).await == Some(stage.id(2))).then_some(());
    stage.wait("the target in the workload", changed).await;
    let ours = async {
        let ended = stage.end(&stage.backend, &order, &receipt).await;
        let words = ended.message.as_ref().map(ToString::to_string).unwrap_or_default();
        End { well: ended.phase == Phase::Complete, words, at: Instant::now() }
    };
    let object = format!("{kind}/{name}");
    let theirs = kubectl(folder, stage, &object, within);
    let (ours, theirs, ()) = tokio::join!(ours, theirs, meanwhile);
    (ours, theirs)
}

fn agree((ours, theirs): &(End, Option<End>), well: bool) {
    let theirs = theirs.as_ref().unwrap();
    assert_eq!((ours.well, theirs.well), (well, well), "ours: {ours:?}, kubectl: {theirs:?}");
    let apart = ours.at.max(theirs.at).duration_since(ours.at.min(theirs.at));
    assert!(apart < APART_MAX, "ours: {ours:?}, kubectl: {theirs:?}");
}

const WEB: ((&str, &str), Duration) = (("deployment", "web"), PATIENCE);

#[tokio::test]
async fn pods_that_take_their_time_are_ready_when_kubectl_says_so() {
    let Some((lab, folder)) = peers("slow pods beside kubectl") else { return };
    let stage = Stage::set(lab, &folder, Helm::Four).await;
    stage.befall_earlier(Behaviour::ReadyAfter(Duration::from_secs(3)));
    let began = Instant::now();
    let played = play(&folder, &stage, WEB, async {}).await;
    agree(&played, true);
    assert!(played.0.at.duration_since(began) > Duration::from_secs(3), "{played:?}");
}

#[tokio::test]
async fn pods_that_come_and_go_are_ready_when_kubectl_says_so() {
    let Some((lab, folder)) = peers("flapping pods beside kubectl") else { return };
    let stage = Stage::set(lab, &folder, Helm::Three).await;
    stage.befall_earlier(Behaviour::NeverReady);
    let flapping = async {
        for behaviour in
            [Behaviour::CrashLoopBackOff, Behaviour::NeverReady, Behaviour::OutOfMemory]
        {
            tokio::time::sleep(Duration::from_millis(1_200)).await;
            stage.befall_earlier(behaviour);
        }
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        stage.befall_earlier(Behaviour::Ready);
    };
    agree(&play(&folder, &stage, WEB, flapping).await, true);
}

#[tokio::test]
async fn pods_that_never_get_ready_fail_when_kubectl_says_so() {
    let Some((lab, folder)) = peers("pods that never get ready beside kubectl") else { return };
    let stage = Stage::set(lab, &folder, Helm::Four).await;
    stage.befall_earlier(Behaviour::NeverReady);
    let played = play(&folder, &stage, WEB, async {}).await;
    agree(&played, false);
    for end in [&played.0.words, &played.1.as_ref().unwrap().words] {
        assert!(end.contains("exceeded its progress deadline"), "{end}");
    }
}

const DATABASE: &str = "
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      schedulerName: kube-lab
      terminationGracePeriodSeconds: 0
      containers:
      - {name: app, image: \"registry.example.com/db:{{ .Values.number }}\"}
";

/// A StatefulSet has no deadline, and kubectl waits for ever; ours is `deadline`.
#[tokio::test]
async fn a_stateful_set_that_never_gets_ready_ends_ours_while_kubectl_waits_for_ever() {
    let Some((lab, folder)) = peers("a StatefulSet without a deadline beside kubectl") else {
        return;
    };
    let soon = |config: &mut rollback_helm::Config| config.deadline = Duration::from_secs(3);
    let stage = Stage::set_with(lab, &folder, Helm::Four, DATABASE, soon).await;
    stage.space.behave("registry.example.com/db:2", Behaviour::NeverReady);
    let looked = (("statefulset", "db"), Duration::from_secs(12));
    let (ours, theirs) = play(&folder, &stage, looked, async {}).await;
    assert!(!ours.well && theirs.is_none(), "{ours:?} {theirs:?}");
    assert!(ours.words.contains("statefulset db") && ours.words.contains("no pod"), "{ours:?}");
}
