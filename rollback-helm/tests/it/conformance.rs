//! The conformance suite of CD backends, on a real API server with real controllers and the real
//! helm, 3 and 4, as a user who may do exactly what `rbac.yaml` says.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it skips"
)]

use crate::stage;
use crate::stage::{CORE, Helm, PATIENCE, Stage};
use async_trait::async_trait;
use kube_lab::Behaviour;
use rollback_core::ports::CdBackend;
use rollback_core::{RevisionId, ServiceKey};
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
        self.0.effects().await
    }

    async fn deploy(&self) -> RevisionId {
        self.0.deploy(4).await
    }

    async fn cut(&self) {
        self.0.wire.cut();
    }

    async fn heal(&self) {
        self.0.wire.heal();
    }

    async fn lose_next_answer(&self) -> Simulated {
        Simulated::Cannot(
            "a lost answer is looked for at once, and no doubt is left; tests/it/cluster.rs shows it",
        )
    }

    async fn hold_next_order(&self) -> Simulated {
        self.0.wire.hold_next_order();
        Simulated::Done
    }

    async fn release(&self) {
        let answers = self.0.wire.release().await;
        assert_eq!(answers.len(), 1, "helm asked once");
        self.0.nothing_undecided().await;
    }

    async fn prune(&self, revision: &RevisionId) -> Simulated {
        let (number, _uid) = revision.as_str().split_once('@').unwrap();
        self.0.space.delete(CORE, &format!("secrets/sh.helm.release.v1.web.v{number}")).await;
        Simulated::Done
    }

    async fn fail_next_execution(&self) -> Simulated {
        self.0.befall_earlier(Behaviour::NeverReady);
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

async fn conforms(helm: Helm) {
    let Some((lab, folder)) = stage::peers("the conformance suite on a real cluster") else {
        return;
    };
    let summary = run_all(async || OnCluster(Stage::set(lab, &folder, helm).await)).await;
    println!("{summary}");
    summary.skips_only(&[
        "a_fence_that_is_not_declared_is_unsupported",
        "a_job_that_starts_late_does_not_overwrite_a_newer_deploy",
        "a_job_whose_ticket_was_voided_changes_nothing",
        "an_order_that_arrives_again_after_all_is_as_before_changes_nothing",
        "a_lost_answer_is_in_doubt_and_found_by_reading",
        "a_running_execution_shows_as_in_progress_and_can_be_cancelled",
    ]);
}

#[tokio::test]
async fn helm_3_passes_the_conformance_suite_but_for_cancelling() {
    conforms(Helm::Three).await;
}

#[tokio::test]
async fn helm_4_passes_the_conformance_suite_but_for_cancelling() {
    conforms(Helm::Four).await;
}
