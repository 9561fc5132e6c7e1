//! How a rollback goes, beside `kubectl rollout status` on the same rollout: slow ones, ones that go
//! back and forth, and ones that never end. Where kubectl and we say something else, the test says
//! why.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::stage::{PATIENCE, Stage, image};
use kube_lab::{Behaviour, Lab};
use rollback_core::ports::CdBackend as _;
use rollback_core::{Phase, Progress};
use rollback_kube::{Config, Kind};
use rollback_testkit::order_for;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// How far apart the two may be told of the same end: both look now and then.
const APART_MAX: Duration = Duration::from_secs(6);

fn peers(what: &str) -> Option<(&'static Lab, PathBuf)> {
    let tools = peer::wanted("helm", what)?;
    Some((Lab::shared(what)?, tools.join("kubectl")))
}

/// How a rollout ended, and after how long.
#[derive(Debug)]
struct End {
    well: bool,
    words: String,
    after: Duration,
}

/// What kubectl says of the rollout until it ends; none when it has not ended by then.
async fn kubectl(program: &Path, stage: &Stage, within: Duration) -> Option<End> {
    let began = Instant::now();
    let watching = Command::new(program)
        .arg("--kubeconfig")
        .arg(stage.space.lab().kubeconfig())
        .args(["--namespace", stage.space.name(), "rollout", "status"])
        .arg(format!("{}/web", stage.kind.as_str()))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(within, watching).await.ok()?.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let words = format!("{} {}", text(&output.stdout), text(&output.stderr));
    Some(End { well: output.status.success(), words, after: began.elapsed() })
}

fn words(progress: &Progress) -> String {
    progress.message.as_ref().map(ToString::to_string).unwrap_or_default()
}

struct Played {
    ours: End,
    theirs: Option<End>,
}

/// Orders the step back, and looks at it in both ways while `meanwhile` happens to its pods. Kubectl
/// is given up so long after we have seen an end.
async fn play(
    stage: &Stage,
    kubectl_at: &Path,
    config: Config,
    patience: Duration,
    meanwhile: impl Future<Output = ()>,
) -> Played {
    let backend = stage.another(config).await;
    let order = order_for(stage.back_by_one().await);
    let receipt = backend.start(&order).await.unwrap();
    let began = Instant::now();
    let ours = async {
        let looking = async {
            loop {
                let progress = backend.observe(&order, &receipt).await.unwrap();
                if matches!(progress.phase, Phase::Complete | Phase::Failed) {
                    let well = progress.phase == Phase::Complete;
                    return End { well, words: words(&progress), after: began.elapsed() };
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.unwrap()
    };
    let theirs = kubectl(kubectl_at, stage, patience);
    let (ours, theirs, ()) = tokio::join!(ours, theirs, meanwhile);
    Played { ours, theirs }
}

impl Played {
    /// Both say the same, at about the same time.
    fn agree(&self, well: bool, said: &str) {
        let theirs = self.theirs.as_ref().unwrap();
        let both = format!("ours: {:?}, kubectl: {theirs:?}", self.ours);
        assert_eq!((self.ours.well, theirs.well), (well, well), "{both}");
        assert!(self.ours.words.contains(said) && theirs.words.contains(said), "{both}");
        assert!(self.ours.after.abs_diff(theirs.after) < APART_MAX, "{both}");
    }
}

async fn wait(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

fn deadline(seconds: u32) -> impl Fn(&mut Value) {
    move |made| {
        let spec = made.get_mut("spec").unwrap().as_object_mut().unwrap();
        spec.insert("progressDeadlineSeconds".to_owned(), seconds.into());
    }
}

#[tokio::test]
async fn a_slow_rollout_is_done_when_kubectl_says_so() {
    let Some((lab, kubectl)) = peers("a slow rollout beside kubectl") else { return };
    for (kind, said) in [
        (Kind::Deployment, "successfully rolled out"),
        (Kind::StatefulSet, "partitioned roll out complete"),
        (Kind::DaemonSet, "successfully rolled out"),
    ] {
        let stage = Stage::set(lab, kind).await;
        stage.befall_earlier(Behaviour::ReadyAfter(Duration::from_millis(2_500)));
        let played = play(&stage, &kubectl, stage.config(), PATIENCE, async {}).await;
        played.agree(true, said);
        assert!(played.ours.after > Duration::from_secs(2), "{:?}", played.ours);
    }
}

#[tokio::test]
async fn a_rollout_that_goes_back_and_forth_is_done_when_kubectl_says_so() {
    let Some((lab, kubectl)) = peers("a flapping rollout beside kubectl") else { return };
    let stage = Stage::set_with(lab, Kind::Deployment, deadline(30)).await;
    stage.befall_earlier(Behaviour::NeverReady);
    let flapping = async {
        for behaviour in [
            Behaviour::CrashLoopBackOff,
            Behaviour::NeverReady,
            Behaviour::OutOfMemory,
            Behaviour::ImagePullBackOff,
            Behaviour::NeverReady,
        ] {
            wait(800).await;
            stage.befall_earlier(behaviour);
        }
        wait(800).await;
        stage.befall_earlier(Behaviour::Ready);
    };
    let played = play(&stage, &kubectl, stage.config(), PATIENCE, flapping).await;
    played.agree(true, "successfully rolled out");
    assert!(played.ours.after > Duration::from_secs(4), "{:?}", played.ours);
}

#[tokio::test]
async fn a_rollout_that_never_ends_fails_when_kubectl_says_so_and_in_its_words() {
    let Some((lab, kubectl)) = peers("a rollout that is stuck beside kubectl") else { return };
    let stage = Stage::set_with(lab, Kind::Deployment, deadline(5)).await;
    stage.befall_earlier(Behaviour::NeverReady);
    let played = play(&stage, &kubectl, stage.config(), PATIENCE, async {}).await;
    played.agree(false, "exceeded its progress deadline");
    // One pod got ready, and then nothing more: the time counts from that pod.
    let stage = Stage::set_with(lab, Kind::Deployment, deadline(5)).await;
    let one_of_two = async {
        wait(1_500).await;
        stage.befall_earlier(Behaviour::NeverReady);
    };
    stage.befall_earlier(Behaviour::ReadyAfter(Duration::from_secs(1)));
    let played = play(&stage, &kubectl, stage.config(), PATIENCE, one_of_two).await;
    played.agree(false, "exceeded its progress deadline");
    assert!(played.ours.after > Duration::from_secs(5), "{:?}", played.ours);
}

/// Kubectl waits for as long as the Deployment's own deadline; we call it failed once its pods have
/// failed for `grace`, with the reason that they give, because somebody waits for the outcome.
#[tokio::test]
async fn pods_that_keep_failing_end_ours_after_its_grace_while_kubectl_still_waits() {
    let Some((lab, kubectl)) = peers("pods that fail beside kubectl") else { return };
    let stage = Stage::set_with(lab, Kind::Deployment, deadline(600)).await;
    stage.befall_earlier(Behaviour::ImagePullBackOff);
    let mut config = stage.config();
    config.grace = Duration::from_secs(3);
    let played = play(&stage, &kubectl, config, Duration::from_secs(12), async {}).await;
    assert!(!played.ours.well && played.theirs.is_none(), "{:?}", played.ours);
    assert!(played.ours.words.contains("ImagePullBackOff"), "{:?}", played.ours);
    assert!(played.ours.after < Duration::from_secs(12), "{:?}", played.ours);
    // An image that can never be pulled is not waited for at all.
    let stage = Stage::set_with(lab, Kind::Deployment, deadline(600)).await;
    stage.befall_earlier(Behaviour::InvalidImageName);
    let played = play(&stage, &kubectl, stage.config(), Duration::from_secs(6), async {}).await;
    assert!(!played.ours.well && played.theirs.is_none(), "{:?}", played.ours);
    assert!(played.ours.words.contains("InvalidImageName"), "{:?}", played.ours);
}

/// StatefulSets and DaemonSets have no deadline, and kubectl waits for ever; ours is `deadline`.
#[tokio::test]
async fn a_workload_without_a_deadline_ends_ours_while_kubectl_waits_for_ever() {
    let Some((lab, kubectl)) = peers("a workload without a deadline beside kubectl") else {
        return;
    };
    for kind in [Kind::StatefulSet, Kind::DaemonSet] {
        let stage = Stage::set(lab, kind).await;
        stage.befall_earlier(Behaviour::NeverReady);
        let mut config = stage.config();
        config.deadline = Duration::from_secs(3);
        let played = play(&stage, &kubectl, config, Duration::from_secs(10), async {}).await;
        assert!(!played.ours.well && played.theirs.is_none(), "{kind:?}: {:?}", played.ours);
    }
}

/// Who deploys the image of an earlier revision by hand is seen as what it is, by both.
#[tokio::test]
async fn something_newer_in_between_is_overtaken_for_us_and_a_success_for_kubectl() {
    let Some((lab, kubectl)) = peers("a rollout that is overtaken beside kubectl") else { return };
    let stage = Stage::set_with(lab, Kind::Deployment, deadline(60)).await;
    stage.befall_earlier(Behaviour::NeverReady);
    let newer = async {
        wait(1_500).await;
        stage.set_image(&image(9)).await;
    };
    let played = play(&stage, &kubectl, stage.config(), PATIENCE, newer).await;
    // Kubectl follows whatever the workload becomes; a rollback that was replaced did not succeed.
    assert!(!played.ours.well && played.ours.words.contains("took its place"), "{:?}", played.ours);
    assert!(played.theirs.unwrap().well);
}
