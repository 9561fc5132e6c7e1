//! The conformance suite over real folders.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_trait::async_trait;
use backend::Releases;
use rollback_core::ports::CdBackend;
use rollback_core::{RevisionId, ServiceKey};
use rollback_testkit::backend::{Harness, run_all};
use rollback_testkit::{Simulated, fixtures};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A folder of three releases, the newest live.
struct Folder {
    releases: Releases,
    root: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("orders")).unwrap();
        let releases = Releases { key: fixtures::key(), root: root.path().to_owned() };
        let folder = Self { releases, root };
        for id in ["20261128-1", "20261129-1", "20261130-1"] {
            folder.release(id);
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn release(&self, id: &str) {
        let release = self.path("releases").join(id);
        fs::create_dir_all(&release).unwrap();
        let current = self.path("current");
        drop(fs::remove_file(&current));
        symlink(release, current).unwrap();
    }
}

#[async_trait]
impl Harness for Folder {
    fn backend(&self) -> &dyn CdBackend {
        &self.releases
    }

    fn key(&self) -> ServiceKey {
        fixtures::key()
    }

    async fn truth(&self) -> Option<RevisionId> {
        let link = fs::read_link(self.path("current")).ok()?;
        link.file_name().and_then(|name| name.to_str()?.parse().ok())
    }

    async fn effects(&self) -> usize {
        let orders = fs::read_dir(self.path("orders")).unwrap();
        let is_done = |path: &Path| fs::read_to_string(path).unwrap() == "done";
        orders.filter(|order| is_done(&order.as_ref().unwrap().path())).count()
    }

    async fn deploy(&self) -> RevisionId {
        self.release("20261201-1");
        "20261201-1".parse().unwrap()
    }

    /// The folder is not there, as when a disk is not mounted.
    async fn cut(&self) {
        fs::rename(self.root.path(), self.away()).unwrap();
    }

    async fn heal(&self) {
        fs::rename(self.away(), self.root.path()).unwrap();
    }

    async fn prune(&self, revision: &RevisionId) -> Simulated {
        fs::remove_dir_all(self.path("releases").join(revision.as_str())).unwrap();
        Simulated::Done
    }
}

impl Folder {
    fn away(&self) -> PathBuf {
        self.root.path().with_extension("away")
    }
}

#[tokio::test]
async fn a_folder_of_releases_keeps_the_contract() {
    let summary = run_all(async || Folder::new()).await;
    summary.skips_only(&[
        "a_late_order_does_not_overwrite_a_newer_deploy",
        "a_fence_stops_a_late_order_and_changes_nothing",
        "a_fence_that_is_not_declared_is_unsupported",
        "a_job_that_starts_late_does_not_overwrite_a_newer_deploy",
        "a_job_whose_ticket_was_voided_changes_nothing",
        "an_order_that_arrives_again_after_all_is_as_before_changes_nothing",
        "a_lost_answer_is_in_doubt_and_found_by_reading",
        "an_execution_that_fails_is_failed_and_never_complete",
        "a_running_execution_shows_as_in_progress_and_can_be_cancelled",
    ]);
}
