//! What is deployed to, broken and rolled back: a folder on this machine, unless a host has more.

use crate::releases::{Config, HttpHealth, Lifeline, Release, Releases, shop_files};
use crate::worker::{Worker, WorkerError};
use async_trait::async_trait;
use rollback_core::ports::{CdBackend, Clock, HealthSource};
use rollback_core::{Label, Migrations, Revision, RevisionId, ServiceKey};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long an accepted rollback waits before the point of no return. Longer than it needs, so that
/// a visitor can see the phases, and cancel.
const GRACE: Duration = Duration::from_millis(2_500);

/// Why a site did not do what it was told.
pub type SiteError = Box<dyn std::error::Error + Send + Sync>;

/// A version of the shop.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Build {
    /// Its number, as customers know it.
    pub version: &'static str,
    /// The commit that it was built from.
    pub commit: Label,
    /// What it does to the data.
    pub migrations: Migrations,
    /// Whether customers are served by it.
    pub works: bool,
}

/// Where the shop is deployed to.
#[async_trait]
pub trait Site: fmt::Debug + Send + Sync {
    /// Its name as a backend.
    fn name(&self) -> &'static str;

    /// What rolls it back.
    fn backend(&self) -> Arc<dyn CdBackend>;

    /// What says whether customers are served; without one the backend's own word counts.
    fn health(&self) -> Option<Arc<dyn HealthSource>> {
        None
    }

    /// Deploys past the backend, as a pipeline would, until it is live; says as which revision.
    ///
    /// # Errors
    ///
    /// [`SiteError`] in words for the log of the demo.
    async fn deploy(&self, build: &Build) -> Result<Revision, SiteError>;

    /// Removes what a revision would be restored from.
    ///
    /// # Errors
    ///
    /// [`SiteError`] in words for the log of the demo.
    async fn remove(&self, revision: &RevisionId) -> Result<(), SiteError>;

    /// The stage is set: from now on at a pace that can be watched.
    fn staged(&self) {}
}

/// The deployment folder.
#[derive(Debug)]
pub(crate) struct Folder {
    releases: Releases,
    root: PathBuf,
    clock: Arc<dyn Clock>,
}

impl Folder {
    pub(crate) async fn open(
        worker: &Worker,
        key: &ServiceKey,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WorkerError> {
        let (program, root) = (std::env::current_exe()?, worker.dir.join("cd"));
        let mut config =
            Config::new(key.clone(), root.clone(), program, worker.shop_port, Arc::clone(&clock));
        config.first = 40;
        config.grace = Duration::ZERO;
        // The shop outlives this process, as a service in production would.
        config.lifeline = Lifeline::Inherited;
        let folder = Self { releases: Releases::open(config).await?, root, clock };
        if worker.is_staged() {
            folder.staged();
        }
        Ok(folder)
    }
}

#[async_trait]
impl Site for Folder {
    fn name(&self) -> &'static str {
        "folder"
    }

    fn backend(&self) -> Arc<dyn CdBackend> {
        Arc::new(self.releases.clone())
    }

    fn health(&self) -> Option<Arc<dyn HealthSource>> {
        Some(Arc::new(HttpHealth::new(self.releases.health_url(), Arc::clone(&self.clock))))
    }

    async fn deploy(&self, build: &Build) -> Result<Revision, SiteError> {
        Ok(self.releases.deploy(release(build)).await?)
    }

    async fn remove(&self, revision: &RevisionId) -> Result<(), SiteError> {
        Ok(std::fs::remove_dir_all(self.root.join("releases").join(revision.as_str()))?)
    }

    fn staged(&self) {
        self.releases.set_grace(GRACE);
    }
}

const PRICES: [(&str, u32); 3] = [("Espresso", 250), ("Flat white", 380), ("Cinnamon roll", 420)];

fn release(build: &Build) -> Release {
    let files = if build.works {
        shop_files(build.version, &PRICES.map(|(name, cents)| (name, cents.into())))
    } else {
        shop_files(build.version, &PRICES.map(|(name, _)| (name, "2.50".into())))
    };
    let mut release = Release::new(build.version, files);
    release.commit = Some(build.commit.clone());
    release.migrations = build.migrations.clone();
    if !build.works {
        release.leaves_behind = vec![format!("receipts that {} has sent stay sent", build.version)];
    }
    release
}
