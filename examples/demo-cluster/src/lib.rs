#![doc = include_str!("../README.md")]

mod site;
mod tools;
mod view;

use demo::scenes::{ON_HELM, ON_KUBERNETES, Scene};
use demo::worker::{Worker, WorkerError, work_on};
use demo::{Setup, SiteError};
use kube_lab::{Behaviour, Lab};
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tools::{KUBECONFIG, NAMESPACES, TOOLS, Tools};

/// How long the pods of the good release take to become ready: long enough to be watched.
const READY_AFTER: Duration = Duration::from_secs(3);

/// How many stages this process has opened.
static STAGES: AtomicU32 = AtomicU32::new(0);

/// What rolls the shop back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the adapters that need a cluster")]
pub enum Adapter {
    /// `rollback-kube`: a Deployment.
    Kubernetes,
    /// `rollback-helm`: a release.
    Helm,
}

/// There is no such adapter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NoAdapter;

impl FromStr for Adapter {
    type Err = NoAdapter;

    fn from_str(name: &str) -> Result<Self, NoAdapter> {
        match name {
            "kubernetes" => Ok(Self::Kubernetes),
            "helm" => Ok(Self::Helm),
            _ => Err(NoAdapter),
        }
    }
}

impl Adapter {
    /// Its name on the command line and in the audit trail.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Helm => "helm",
        }
    }

    /// The scenes that it plays.
    #[must_use]
    pub const fn scenes(self) -> &'static [Scene] {
        match self {
            Self::Kubernetes => ON_KUBERNETES,
            Self::Helm => ON_HELM,
        }
    }
}

/// A cluster that scenes are played on.
#[derive(Debug)]
pub struct Stage {
    lab: &'static Lab,
    adapter: Adapter,
    tools: PathBuf,
    namespaces: String,
}

impl Stage {
    /// Starts a cluster of its own, unless one is lent. `None` when what it needs is not installed:
    /// [`demo::command::missing_peers`] says what that is.
    #[must_use]
    pub fn open(adapter: Adapter) -> Option<Self> {
        let tools = peer::find("helm")?;
        let lab = Lab::is_there().then(|| Lab::shared("the demo on a cluster"))??;
        // Several stages may stand on one cluster, of this process and of others.
        let number = STAGES.fetch_add(1, Ordering::Relaxed);
        let namespaces = format!("shop-{}-{number}", std::process::id());
        let of_each_scene = tools::namespace(&namespaces, "");
        lab.adopt(&of_each_scene);
        lab.behave(&of_each_scene, &tools::image("2.13.4"), Behaviour::ReadyAfter(READY_AFTER));
        lab.behave(&of_each_scene, &tools::image("2.14.0"), Behaviour::CrashLoopBackOff);
        Some(Self { lab, adapter, tools, namespaces })
    }

    /// What a demo is set up with to play on this cluster, from this folder and by this program.
    ///
    /// # Errors
    ///
    /// The port of the view cannot be had.
    pub async fn setup(&self, dir: PathBuf, program: PathBuf) -> io::Result<Setup> {
        let (client, names) = (self.lab.client().await, self.namespaces.clone());
        let mut setup = Setup::new(dir, program).offering(self.adapter.scenes());
        setup.view = "The shop, as the cluster sees it";
        setup.view_height = Some(22);
        setup.shop_port = Some(view::serve(client, self.adapter, names).await?);
        let text = |path: &std::path::Path| path.display().to_string();
        setup.env = vec![
            (TOOLS.into(), text(&self.tools)),
            (KUBECONFIG.into(), text(self.lab.kubeconfig())),
            (NAMESPACES.into(), self.namespaces.clone()),
        ];
        Ok(setup)
    }

    /// Leaves nothing behind: ends a cluster of its own, and removes what it made on one that was
    /// lent.
    ///
    /// # Errors
    ///
    /// [`SiteError`] when the namespaces of a cluster that was lent could not be removed.
    pub async fn close(self) -> Result<(), SiteError> {
        if self.lab.is_ours() {
            self.lab.end();
            return Ok(());
        }
        tools::remove_namespaces(&self.tools, self.lab.kubeconfig(), &self.namespaces).await
    }
}

/// The rollback service of a scene, with this adapter.
///
/// # Errors
///
/// As [`work_on`].
pub async fn work(worker: Worker, adapter: Adapter) -> Result<(), WorkerError> {
    let tools = Tools::from_env(&worker).map_err(WorkerError::Site)?;
    let site = site::OnCluster::open(tools, adapter);
    let site = site.await.map_err(WorkerError::Site)?;
    work_on(worker, Arc::new(site)).await
}
