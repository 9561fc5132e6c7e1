//! The whole product on a real cluster: the report of a deploy, a click in Slack, the confirmation,
//! the phases in the thread, the audit trail; and what goes wrong in the middle.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::stage;
use crate::stage::{Stage, image};
use kube_lab::{Behaviour, Lab, Server};
use rollback_core::audit::Kind as Entry;
use rollback_core::ports::{CdBackend, LiveOptions};
use rollback_core::{RevisionId, StateName};
use rollback_kube::Kind;
use std::sync::Arc;
use std::time::{Duration, Instant};
use team::{Host, OWNER, Team};

const REASON: &str = "errors up 4x";

struct Product {
    stage: Stage,
    team: Team,
    folder: tempfile::TempDir,
}

impl Product {
    /// Revision 3 is live, and has been reported.
    async fn open(lab: &'static Lab, kind: Kind) -> (Self, Host) {
        let stage = Stage::set(lab, kind).await;
        let folder = tempfile::tempdir().unwrap();
        let product = Self { stage, team: Team::start().await, folder };
        let host = product.start().await;
        // As a CI job would, that knows no revision: the cluster is asked.
        host.report(team::deploy("ci-3", team::VERSION)).await;
        (product, host)
    }

    async fn start(&self) -> Host {
        let (kubeconfig, config) = (self.stage.kubeconfig.clone(), self.stage.config());
        let backend = async move {
            let backend: Arc<dyn CdBackend> = Arc::new(stage::connect(&kubeconfig, config).await);
            backend
        };
        let catalog = team::catalog(|service| service.limits.settle = Duration::from_millis(200));
        Host::start(&self.team, self.folder.path(), catalog, backend).await
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
async fn a_click_a_reason_and_the_workload_runs_the_earlier_revision_again() {
    let Some(lab) = Lab::shared("the whole product on a real cluster") else { return };
    for kind in stage::KINDS {
        let (product, host) = Product::open(lab, kind).await;
        let expected = product.stage.back_by_one().await;
        product.confirm().await;
        let ended = host.reaches(StateName::Succeeded).await;
        assert_eq!(&ended.to.revision, &expected.to().revision);
        assert_eq!(product.truth().await, expected.to().revision);
        assert_eq!((product.stage.wire.orders(), product.stage.wire.carried_out()), (1, 1));
        product.team.message_with("healthy").await;
        let thread = product.team.lines().await.join("\n");
        assert!(thread.contains("errors up 4x"), "{thread}");
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
    let Some(lab) = Lab::shared("a newer deploy after the confirmation") else { return };
    let (product, host) = Product::open(lab, Kind::Deployment).await;
    let modal = product.team.open(OWNER).await;
    product.stage.wire.hold_next_order();
    product.team.confirm(OWNER, &modal, REASON).await;
    let wire = &product.stage.wire;
    product.stage.wait("the order is on its way", async || (wire.held() > 0).then_some(())).await;
    let newer = product.stage.deploy(&image(4)).await;
    assert_eq!(wire.release().await, [422]);
    let ended = host.reaches(StateName::Refused).await;
    assert!(ended.explanation.to_string().contains(newer.short()), "{}", ended.explanation);
    assert_eq!((product.truth().await, wire.carried_out()), (newer, 0));
}

#[tokio::test]
async fn the_controllers_die_in_the_middle_and_it_ends_when_they_are_back() {
    let Some(own) = Lab::own("controllers that die in the middle").await else { return };
    let lab = own.lab();
    let (product, host) = Product::open(lab, Kind::Deployment).await;
    let expected = product.stage.back_by_one().await;
    product.stage.befall_earlier(Behaviour::NeverReady);
    product.confirm().await;
    host.reaches(StateName::Running).await;
    lab.kill(Server::Controllers);
    product.stage.befall_earlier(Behaviour::Ready);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let waits = host.rollbacks().await;
    assert_eq!(waits[0].state, StateName::Running, "nobody rolls anything out now");
    lab.revive(Server::Controllers).await;
    host.reaches(StateName::Succeeded).await;
    assert_eq!(product.truth().await, expected.to().revision);
    assert_eq!(product.stage.wire.carried_out(), 1);
}

#[tokio::test]
async fn the_api_server_dies_in_the_middle_and_it_ends_when_it_is_back() {
    let Some(own) = Lab::own("an API server that dies in the middle").await else { return };
    let lab = own.lab();
    let (product, host) = Product::open(lab, Kind::Deployment).await;
    let expected = product.stage.back_by_one().await;
    product.stage.befall_earlier(Behaviour::NeverReady);
    product.confirm().await;
    host.reaches(StateName::Running).await;
    lab.kill(Server::Api);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let waits = host.rollbacks().await;
    assert_eq!(waits[0].state, StateName::Running, "silence is neither a success nor a failure");
    product.stage.befall_earlier(Behaviour::Ready);
    lab.revive(Server::Api).await;
    host.reaches(StateName::Succeeded).await;
    assert_eq!(product.truth().await, expected.to().revision);
    assert_eq!(product.stage.wire.carried_out(), 1);
}

/// What a watch would go on from is gone: etcd has compacted it, and the API server that comes back
/// remembers nothing from before.
#[tokio::test]
async fn a_watch_from_before_a_compaction_becomes_a_look_now_and_then_until_something_changes() {
    let Some(own) = Lab::own("a watch that is gone").await else { return };
    let lab = own.lab();
    let stage = Stage::set(lab, Kind::Deployment).await;
    stage.settled().await;
    let key = stage::key();
    stage.backend.live(&key, LiveOptions::default()).await.unwrap();
    lab.forget_the_past().await;
    stage.settled().await;
    // The workload has the version that it had: until it changes it is looked at now and then.
    for _look in 0..2 {
        let began = Instant::now();
        let hint = tokio::time::timeout(stage::PATIENCE, async {
            stage.backend.changes(&key).next().await;
        });
        assert!(hint.await.is_ok(), "nothing would ever be looked at again");
        assert!(began.elapsed() > Duration::from_secs(1), "it is looked at again and again");
        stage.backend.live(&key, LiveOptions::default()).await.unwrap();
    }
    let change = serde_json::json!({"metadata": {"annotations": {"example.com/note": "x"}}});
    stage.space.merge(stage::APPS, &stage.object(), change).await;
    stage.settled().await;
    stage.backend.live(&key, LiveOptions::default()).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_secs(3), async {
        stage.backend.changes(&key).next().await;
    });
    assert!(quiet.await.is_err(), "a watch is possible again");
}

#[tokio::test]
async fn our_process_dies_with_the_order_on_its_way_and_the_next_one_finds_it() {
    let Some(lab) = Lab::shared("a process that dies with its order on its way") else { return };
    let (product, host) = Product::open(lab, Kind::Deployment).await;
    let expected = product.stage.back_by_one().await;
    let modal = product.team.open(OWNER).await;
    product.stage.wire.hold_next_order();
    product.team.confirm(OWNER, &modal, REASON).await;
    let wire = &product.stage.wire;
    product.stage.wait("the order is on its way", async || (wire.held() > 0).then_some(())).await;
    drop(host);
    // It arrives all the same, and nobody hears the answer.
    assert_eq!(wire.release().await, [200]);
    let host = product.start().await;
    host.reaches(StateName::Succeeded).await;
    assert_eq!(product.truth().await, expected.to().revision);
    assert_eq!((wire.orders(), wire.carried_out()), (1, 1), "it was sent once");
}

#[tokio::test]
async fn an_order_that_arrives_after_it_was_declared_absent_is_refused_by_the_api_server() {
    let Some(lab) = Lab::shared("an order that arrives after its fence") else { return };
    for kind in stage::KINDS {
        let (product, host) = Product::open(lab, kind).await;
        let expected = product.stage.back_by_one().await;
        let modal = product.team.open(OWNER).await;
        product.stage.wire.hold_next_order();
        product.team.confirm(OWNER, &modal, REASON).await;
        let began = Instant::now();
        let ended = host.reaches(StateName::Failed).await;
        assert!(began.elapsed() >= Duration::from_secs(3), "it gave the answer its time");
        assert_eq!(product.stage.wire.release().await, [422], "{}", ended.explanation);
        assert_eq!(product.truth().await, expected.from().revision);
        assert_eq!(product.stage.wire.carried_out(), 0);
    }
}
