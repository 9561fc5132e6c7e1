//! `ROLLBACK_TEST_KUBECONFIG` points these tests at any disposable cluster: one rollback on one that
//! is lent.

use crate::stage::Stage;
use kube_lab::Lab;
use rollback_core::Phase;
use rollback_core::ports::CdBackend as _;
use rollback_core::ports::ObserveOptions;
use rollback_kube::Kind;
use rollback_testkit::{again, order_for};

/// Not a test of its own: the process that is lent the cluster.
#[tokio::test]
async fn a_borrower() {
    let Some(lab) = Lab::borrowed() else { return };
    let stage = Stage::set(lab, Kind::Deployment).await;
    let order = order_for(stage.back_by_one().await);
    let receipt = stage.backend.start(again(&order)).await.unwrap();
    stage
        .wait("the rollback", async || {
            let progress =
                stage.backend.observe(&order, &receipt, ObserveOptions::default()).await.unwrap();
            (progress.phase == Phase::Complete).then_some(())
        })
        .await;
    assert_eq!(stage.truth().await.as_ref(), Some(&order.plan().to().revision));
    assert_eq!(stage.wire.carried_out(), 1);
}

#[tokio::test]
async fn a_deployment_is_rolled_back_on_a_cluster_that_is_lent() {
    let Some(own) = Lab::own("a rollback on a cluster that is lent").await else { return };
    own.lend_to("lent::a_borrower");
}
