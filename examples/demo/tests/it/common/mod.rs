//! A deployment folder of a test's own, with three good releases of the shop in it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use demo::releases::{Config, Release, Releases, shop_files};
use rollback_core::{Migrations, RevisionId, ServiceKey};
use rollback_engine::SystemClock;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Stage {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) config: Config,
    pub(crate) releases: Releases,
}

pub(crate) fn key() -> ServiceKey {
    ServiceKey::new("checkout".parse().unwrap(), "production".parse().unwrap())
}

pub(crate) fn release(version: &str) -> Release {
    let files = shop_files(version, &[("Espresso", 250.into()), ("Flat white", 380.into())]);
    let mut release = Release::new(version, files);
    release.migrations = Migrations::Known(Vec::new());
    release
}

/// The program is called through a link, so that a test can put something else in its place.
pub(crate) async fn stage() -> Stage {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_demo"), &program).unwrap();
    let clock = Arc::new(SystemClock::new());
    let mut config = Config::new(key(), dir.path().join("cd"), program, free_port(), clock);
    config.first = 40;
    config.up_within = Duration::from_secs(4);
    let releases = Releases::open(config.clone()).await.unwrap();
    for version in ["2.13.3", "2.13.4", "2.14.0"] {
        releases.deploy(release(version)).await.unwrap();
    }
    Stage { dir, config, releases }
}

impl Stage {
    pub(crate) fn root(&self) -> &Path {
        &self.config.root
    }

    /// What the symlink says, past the adapter.
    pub(crate) fn truth(&self) -> Option<RevisionId> {
        let target = std::fs::read_link(self.root().join("current")).ok()?;
        target.file_name()?.to_str()?.parse().ok()
    }

    pub(crate) fn release_folder(&self, id: &str) -> PathBuf {
        self.root().join("releases").join(id)
    }
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
