//! The whole product on a real cluster: the report of a deploy, a click in Slack, the confirmation,
//! the phases in the thread, the audit trail; and what goes wrong in the middle.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::stage;
use crate::stage::{BOTH, CORE, Helm, Stage, own, peers};
use kube_lab::{Behaviour, Server};
use rollback_core::audit::Kind as Entry;
use rollback_core::ports::{CdBackend, LiveOptions};
use rollback_core::{RevisionId, StateName};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use team::{Host, OWNER, Team};

const REASON: &str = "errors up 4x";

struct Product {
    stage: Stage,
    team: Team,
    folder: tempfile::TempDir,
}

impl Product {
    /// Revision 3 is live, and has been reported.
    async fn open(lab: &'static kube_lab::Lab, folder: &Path, helm: Helm) -> (Self, Host) {
        let stage = Stage::set_patient(lab, folder, helm).await;
        let folder = tempfile::tempdir().unwrap();
        let product = Self { stage, team: Team::start().await, folder };
        let host = product.start().await;
        // As a CI job would, that knows no revision: the cluster is asked.
        host.report(team::deploy("ci-3", team::VERSION)).await;
        (product, host)
    }

    async fn start(&self) -> Host {
        let (kubeconfig, mut config) = (self.stage.kubeconfig.clone(), self.stage.config());
        config.start_within = Duration::from_secs(8);
        config.timeout = Duration::from_secs(80);
        let backend = async move {
            let backend: Arc<dyn CdBackend> = Arc::new(stage::connect(&kubeconfig, config).await);
            backend
        };
        Host::start(&self.team, self.folder.path(), team::catalog(|_as_it_is| ()), backend).await
    }

    async fn confirm(&self) {
        let modal = self.team.open(OWNER).await;
        self.team.confirm(OWNER, &modal, REASON).await;
    }

    async fn truth(&self) -> RevisionId {
        self.stage.truth().await.unwrap()
    }
}

#[tokio::test]
async fn a_click_a_reason_and_the_release_is_the_earlier_revision_again() {
    let Some((lab, folder)) = peers("the whole product on a real cluster") else { return };
    for helm in BOTH {
        let (product, host) = Product::open(lab, &folder, helm).await;
        let expected = product.stage.back_by_one();
        product.confirm().await;
        let ended = host.reaches(StateName::Succeeded).await;
        assert_eq!(&ended.to.revision, &expected.to().revision);
        assert_eq!(product.truth().await, expected.to().revision);
        assert_eq!((product.stage.wire.orders(), product.stage.effects().await), (1, 1));
        product.team.message_with("healthy").await;
        let thread = product.team.lines().await.join("\n");
        assert!(thread.contains("errors up 4x"), "{thread}");
        assert!(!thread.contains(stage::PASSWORD), "{thread}");
        let audited = host.audited().await;
        for entry in
            [Entry::Requested, Entry::Confirmed, Entry::Triggered, Entry::Phase, Entry::Succeeded]
        {
            assert!(audited.contains(&entry), "{entry:?} is missing: {audited:?}");
        }
    }
}

#[tokio::test]
async fn a_newer_deploy_after_the_confirmation_is_never_overwritten() {
    let Some((lab, folder)) = peers("a newer deploy after the confirmation") else { return };
    let (product, host) = Product::open(lab, &folder, Helm::Four).await;
    let modal = product.team.open(OWNER).await;
    product.stage.wire.hold_next_order();
    product.team.confirm(OWNER, &modal, REASON).await;
    let wire = &product.stage.wire;
    product.stage.wait("helm's record on its way", async || (wire.held() > 0).then_some(())).await;
    let newer = product.stage.deploy(4).await;
    assert_eq!(wire.release().await, [409]);
    let ended = host.ended().await;
    assert!(matches!(ended.state, StateName::Refused | StateName::Failed), "{ended:?}");
    assert_eq!((product.truth().await, product.stage.effects().await), (newer, 0));
}

#[tokio::test]
async fn the_api_server_and_the_controllers_die_in_the_middle_and_it_ends_when_they_are_back() {
    let Some((own, folder)) = own("servers that die in the middle").await else { return };
    let lab = own.lab();
    for (helm, server) in [
        (Helm::Three, Server::Controllers),
        (Helm::Four, Server::Controllers),
        (Helm::Three, Server::Api),
        (Helm::Four, Server::Api),
    ] {
        let (product, host) = Product::open(lab, &folder, helm).await;
        let expected = product.stage.back_by_one();
        product.stage.befall_earlier(Behaviour::NeverReady);
        product.confirm().await;
        host.reaches(StateName::Running).await;
        let target = &expected.to().revision;
        let changed = async || (product.stage.truth().await.as_ref() == Some(target)).then_some(());
        product.stage.wait("the target in the workload", changed).await;
        // A helm that is still writing when its API server dies fails, and says so.
        let record = "secrets/sh.helm.release.v1.web.v4";
        let written = async || {
            let record = product.stage.space.get(CORE, record).await;
            (record["metadata"]["labels"]["status"] == "deployed").then_some(())
        };
        product.stage.wait("helm's record of its end", written).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        lab.kill(server);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let waits = host.rollbacks().await;
        let state = waits.first().unwrap().state;
        assert_eq!(state, StateName::Running, "silence is neither a success nor a failure");
        product.stage.befall_earlier(Behaviour::Ready);
        lab.revive(server).await;
        let ended = host.ended().await;
        assert_eq!(ended.state, StateName::Succeeded, "{helm:?} {server:?}: {}", ended.explanation);
        assert_eq!(product.truth().await, expected.to().revision);
    }
}

#[tokio::test]
async fn a_watch_from_before_a_compaction_is_a_hint_to_look_again_and_goes_on_from_there() {
    let Some((own, folder)) = own("a watch that is gone").await else { return };
    let lab = own.lab();
    let stage = Stage::set(lab, &folder, Helm::Four).await;
    let key = stage::key();
    stage.backend.live(&key, LiveOptions::default()).await.unwrap();
    lab.forget_the_past().await;
    let hint = tokio::time::timeout(stage::PATIENCE, async {
        stage.backend.changes(&key).next().await;
    });
    assert!(hint.await.is_ok(), "nothing would ever be looked at again");
    stage.backend.live(&key, LiveOptions::default()).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_secs(3), async {
        stage.backend.changes(&key).next().await;
    });
    assert!(quiet.await.is_err(), "it looks again and again for nothing");
    let (newer, hint) = tokio::join!(
        stage.deploy(4),
        tokio::time::timeout(stage::PATIENCE, async {
            stage.backend.changes(&key).next().await;
        })
    );
    assert!(hint.is_ok(), "{newer} was not hinted at");
}

#[tokio::test]
async fn our_process_dies_with_helms_record_on_its_way_and_the_next_one_proves_that_nothing_happened()
 {
    let Some((lab, folder)) = peers("a process that dies with helm's record on its way") else {
        return;
    };
    let (product, host) = Product::open(lab, &folder, Helm::Four).await;
    let expected = product.stage.back_by_one();
    let modal = product.team.open(OWNER).await;
    product.stage.wire.hold_next_order();
    product.team.confirm(OWNER, &modal, REASON).await;
    let wire = &product.stage.wire;
    product.stage.wait("helm's record on its way", async || (wire.held() > 0).then_some(())).await;
    drop(host);
    // It arrives all the same, and nobody hears the answer.
    assert_eq!(wire.release().await, [201]);
    let host = product.start().await;
    let ended = host.ended().await;
    assert_eq!(ended.state, StateName::Failed, "{}", ended.explanation);
    assert_eq!(product.truth().await, expected.from().revision);
    assert_eq!(product.stage.records().await.len(), 3, "its record is gone");
    product.stage.deploy(4).await;
}
