//! `ROLLBACK_TEST_KUBECONFIG` points these tests at any disposable cluster: one rollback on one that
//! is lent.

use crate::stage::{Helm, Stage, own, peers};
use kube_lab::Lab;
use rollback_core::Phase;
use rollback_core::ports::CdBackend as _;
use rollback_testkit::{again, order_for};

/// Not a test of its own: the process that is lent the cluster.
#[tokio::test]
async fn a_borrower() {
    let Some(lab) = Lab::borrowed() else { return };
    let (_lab, folder) = peers("a release on a cluster that is lent").unwrap();
    let stage = Stage::set(lab, &folder, Helm::Four).await;
    let order = order_for(stage.back_by_one());
    let receipt = stage.backend.start(again(&order)).await.unwrap();
    let ended = stage.end(&stage.backend, &order, &receipt).await;
    assert_eq!(ended.phase, Phase::Complete, "{ended:?}");
    assert_eq!(stage.truth().await, Some(stage.id(2)));
    assert_eq!(stage.effects().await, 1);
}

#[tokio::test]
async fn a_release_is_rolled_back_on_a_cluster_that_is_lent() {
    let Some((own, _folder)) = own("a release on a cluster that is lent").await else { return };
    own.lend_to("lent::a_borrower");
}
