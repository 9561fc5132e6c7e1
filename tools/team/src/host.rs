//! The host of README.

use crate::{PATIENCE, SECRET, TOKEN, Team, WORKSPACE};
use embedding::{rollback, serve};
use rollback_core::audit::{Kind, Verifier};
use rollback_core::ports::{AuditLog as _, CdBackend, Query};
use rollback_core::{Deploy, RollbackView, StateName};
use rollback_engine::{Catalog, DeployReport, Engine};
use rollback_slack::SlackOptions;
use rollback_store::{CHAIN_DEFAULT, Options, SqliteStore};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What the CD system is called in the configuration.
pub const BACKEND: &str = "cd";

/// Between two looks at what a test waits for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One process of the service: its tasks are gone when this is, as after `kill -9`.
#[derive(Debug)]
pub struct Host {
    /// The engine.
    pub engine: Engine,
    address: SocketAddr,
    database: PathBuf,
    stop: oneshot::Sender<()>,
    runs: JoinHandle<()>,
    /// None only while it is dropped: a runtime cannot end inside another one.
    runtime: Option<Runtime>,
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Host {
    /// Starts one that keeps everything in this folder, and gives it to Slack.
    pub async fn start(
        team: &Team,
        folder: &Path,
        catalog: Catalog,
        backend: impl Future<Output = Arc<dyn CdBackend>> + Send + 'static,
    ) -> Self {
        let database = folder.join("rollback.db");
        let workspace = WORKSPACE.parse().expect("an id");
        let mut slack = SlackOptions::new(TOKEN, SECRET, workspace);
        slack.web_api.base_url = team.api_url();
        let path = database.clone();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (stop, stopped) = oneshot::channel::<()>();
        let started = runtime.spawn(async move {
            let backends = vec![(BACKEND.parse().expect("a name"), backend.await)];
            let (running, routes) = rollback(slack, path, catalog, backends).await.expect("a host");
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let engine = running.engine().clone();
            let runs = tokio::spawn(async move {
                let until = async move { drop(stopped.await) };
                serve(running, routes, listener, until).await.expect("a clean shutdown");
            });
            (engine, address, runs)
        });
        let (engine, address, runs) = started.await.expect("a host");
        let host = Self { engine, address, database, stop, runs, runtime: Some(runtime) };
        team.set_interactivity_url(host.callbacks());
        host
    }

    /// Where Slack's callbacks go.
    #[must_use]
    pub fn callbacks(&self) -> String {
        format!("http://{}/slack/interactivity", self.address)
    }

    /// A pipeline reports a deploy.
    pub async fn report(&self, deploy: Deploy) -> DeployReport {
        self.engine.deployed(deploy).await.expect("a kept deploy")
    }

    /// Every rollback, newest first.
    pub async fn rollbacks(&self) -> Vec<RollbackView> {
        self.engine.rollbacks(&Query::all(10)).await.expect("a list")
    }

    /// Waits until the newest rollback is in this state.
    pub async fn reaches(&self, state: StateName) -> RollbackView {
        self.until(state.as_str(), |view| view.state == state).await
    }

    /// Waits until the newest rollback has ended, however.
    pub async fn ended(&self) -> RollbackView {
        self.until("ended", |view| view.state.is_end()).await
    }

    async fn until(
        &self,
        what: &str,
        holds: impl Fn(&RollbackView) -> bool + Send + Sync,
    ) -> RollbackView {
        let reached = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(view) = self.rollbacks().await.into_iter().next().filter(&holds) {
                    return view;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        match reached.await {
            Ok(view) => view,
            Err(_late) => panic!("the rollback never was {what}: {:?}", self.rollbacks().await),
        }
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// Stops it in good order.
    pub async fn stop(mut self) {
        let (stop, _unheard) = oneshot::channel();
        let told = std::mem::replace(&mut self.stop, stop).send(());
        told.expect("a running engine");
        (&mut self.runs).await.expect("a clean shutdown");
    }

    /// Ends it at once, checks the chain of the audit log that it left, and gives the kinds of what
    /// is in it.
    pub async fn audited(self) -> Vec<Kind> {
        let database = self.database.clone();
        drop(self);
        let opened = tokio::time::timeout(PATIENCE, async {
            loop {
                // It lets go of its files a moment later.
                match SqliteStore::open(database.clone(), Options::default()).await {
                    Ok(store) => return store,
                    Err(_held) => tokio::time::sleep(LOOK_EVERY).await,
                }
            }
        });
        let store = opened.await.expect("the process has let go of its store");
        let records = store.audit(&Query::all(200)).await.expect("an audit log");
        let mut verifier = Verifier::new(CHAIN_DEFAULT);
        for record in &records {
            verifier.check(record).expect("a whole chain");
        }
        records.iter().map(|record| record.draft.kind).collect()
    }
}
