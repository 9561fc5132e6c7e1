//! The conformance suite of CD backends, on a real API server with real controllers, as a user who
//! may do exactly what `rbac.yaml` says.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it did"
)]

use crate::stage;
use crate::stage::{APPS, PATIENCE, Stage, image};
use async_trait::async_trait;
use kube_lab::{Behaviour, Lab};
use rollback_core::ports::CdBackend;
use rollback_core::{RevisionId, ServiceKey};
use rollback_kube::Kind;
use rollback_testkit::Simulated;
use rollback_testkit::backend::{Harness, run_all};
use std::time::Duration;

struct OnCluster(Stage);

#[async_trait]
impl Harness for OnCluster {
    fn backend(&self) -> &dyn CdBackend {
        &self.0.backend
    }

    fn key(&self) -> ServiceKey {
        stage::key()
    }

    async fn truth(&self) -> Option<RevisionId> {
        self.0.truth().await
    }

    async fn effects(&self) -> usize {
        self.0.wire.carried_out()
    }

    async fn deploy(&self) -> RevisionId {
        self.0.deploy(&image(4)).await
    }

    async fn cut(&self) {
        self.0.wire.cut();
    }

    async fn heal(&self) {
        self.0.wire.heal();
    }

    async fn lose_next_answer(&self) -> Simulated {
        self.0.wire.lose_next_answer();
        Simulated::Done
    }

    async fn hold_next_order(&self) -> Simulated {
        self.0.wire.hold_next_order();
        Simulated::Done
    }

    async fn release(&self) {
        assert_eq!(self.0.wire.release().await, [422], "the API server itself refused it");
    }

    async fn prune(&self, revision: &RevisionId) -> Simulated {
        let (name, _uid) = revision.as_str().split_once('@').unwrap();
        self.0.space.delete(APPS, &format!("{}/{name}", self.0.history_resource())).await;
        Simulated::Done
    }

    async fn fail_next_execution(&self) -> Simulated {
        self.0.befall_earlier(Behaviour::InvalidImageName);
        Simulated::Done
    }

    async fn stall_next_execution(&self) -> Simulated {
        self.0.befall_earlier(Behaviour::NeverReady);
        Simulated::Done
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}

async fn conforms(kind: Kind) {
    let Some(lab) = Lab::shared("the conformance suite on a real cluster") else { return };
    let summary = run_all(async || OnCluster(Stage::set(lab, kind).await)).await;
    println!("{summary}");
    summary.skips_only(&[
        "a_fence_that_is_not_declared_is_unsupported",
        "a_job_that_starts_late_does_not_overwrite_a_newer_deploy",
        "a_job_whose_ticket_was_voided_changes_nothing",
        "an_order_that_arrives_again_after_all_is_as_before_changes_nothing",
        "a_running_execution_shows_as_in_progress_and_can_be_cancelled",
    ]);
}

#[tokio::test]
async fn a_deployment_passes_the_conformance_suite_but_for_cancelling() {
    conforms(Kind::Deployment).await;
}

#[tokio::test]
async fn a_stateful_set_passes_the_conformance_suite_but_for_cancelling() {
    conforms(Kind::StatefulSet).await;
}

#[tokio::test]
async fn a_daemon_set_passes_the_conformance_suite_but_for_cancelling() {
    conforms(Kind::DaemonSet).await;
}
