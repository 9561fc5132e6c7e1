//! The conformance suite of CD backends, on real folders, a real symlink and a real service.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common::{Stage, key, release, stage};
use async_trait::async_trait;
use demo::releases::Mishap;
use rollback_core::ports::CdBackend;
use rollback_core::{RevisionId, ServiceKey};
use rollback_testkit::Simulated;
use rollback_testkit::backend::{Harness, run_all};
use std::time::Duration;

struct Folder(Stage);

#[async_trait]
impl Harness for Folder {
    fn backend(&self) -> &dyn CdBackend {
        &self.0.releases
    }

    fn key(&self) -> ServiceKey {
        key()
    }

    async fn truth(&self) -> Option<RevisionId> {
        self.0.truth()
    }

    /// The journal, read as a stranger would.
    async fn effects(&self) -> usize {
        let journal = std::fs::read_to_string(self.0.root().join("journal.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> =
            journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let rollbacks: Vec<_> = lines
            .iter()
            .filter(|line| line["kind"] == "accepted" && line["operation"].is_string())
            .map(|line| &line["execution"])
            .collect();
        let switched = |line: &&serde_json::Value| {
            line["step"] == "switching" && rollbacks.contains(&&line["execution"])
        };
        lines.iter().filter(switched).count()
    }

    async fn deploy(&self) -> RevisionId {
        self.0.releases.deploy(release("2.15.0")).await.unwrap().id
    }

    /// The disk is unplugged.
    async fn cut(&self) {
        std::fs::rename(self.0.root(), self.0.dir.path().join("unplugged")).unwrap();
    }

    async fn heal(&self) {
        std::fs::rename(self.0.dir.path().join("unplugged"), self.0.root()).unwrap();
    }

    async fn lose_next_answer(&self) -> Simulated {
        self.0.releases.befall_next_order(Mishap::AnswerLost);
        Simulated::Done
    }

    async fn hold_next_order(&self) -> Simulated {
        self.0.releases.befall_next_order(Mishap::HeldUp);
        Simulated::Done
    }

    async fn release(&self) {
        self.0.releases.let_held_orders_arrive().await;
    }

    async fn prune(&self, revision: &RevisionId) -> Simulated {
        std::fs::remove_dir_all(self.0.release_folder(revision.as_str())).unwrap();
        Simulated::Done
    }

    /// The program that serves releases is replaced by one that ends at once.
    async fn fail_next_execution(&self) -> Simulated {
        std::fs::remove_file(&self.0.config.program).unwrap();
        std::os::unix::fs::symlink("/bin/false", &self.0.config.program).unwrap();
        Simulated::Done
    }

    async fn stall_next_execution(&self) -> Simulated {
        self.0.releases.set_grace(Duration::from_secs(3600));
        Simulated::Done
    }
}

#[tokio::test]
async fn it_passes_the_conformance_suite_with_the_fence_it_has_and_without_tickets() {
    let summary = run_all(async || Folder(stage().await)).await;
    println!("{summary}");
    summary.skips_only(&[
        "a_fence_that_is_not_declared_is_unsupported",
        "a_job_that_starts_late_does_not_overwrite_a_newer_deploy",
        "a_job_whose_ticket_was_voided_changes_nothing",
        "an_order_that_arrives_again_after_all_is_as_before_changes_nothing",
        "what_is_declared_as_not_cancellable_is_not_cancelled",
    ]);
}
