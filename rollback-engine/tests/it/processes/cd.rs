//! The CD system: the contract over HTTP, in the process that is never killed. It tells what takes
//! effect, what is fenced off and what is turned away, and can kill whoever sends it an order.

use super::child::TOKEN;
use super::lines::append;
use super::scenes::Scene;
use async_trait::async_trait;
use rollback_core::observed::{Live, Preflight};
use rollback_core::ports::{
    Cancelled, Capabilities, CdBackend, CompareAndSet, Fence, Fenced, PortError, StartError,
};
use rollback_core::proof::Order;
use rollback_core::{Phase, Plan, Progress, Receipt, Revision, ServiceKey};
use rollback_http::server::{MemoryLog, Server};
use rollback_testkit::fakes::{FakeBackend, Fault, Method};
use rollback_testkit::fixtures::{self, parsed};
use rollback_testkit::invariants::Seen;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

/// A moment of an order at the CD system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Moment {
    /// It has arrived, and nothing has happened.
    Arrived,
    /// It has taken effect, and nobody has been told.
    TookEffect,
}

#[derive(Debug)]
pub(crate) struct Cd {
    inner: FakeBackend,
    log: PathBuf,
    deed: Mutex<Option<(Moment, Deed)>>,
}

/// What is done at a moment.
struct Deed(Box<dyn FnOnce() + Send>);

impl fmt::Debug for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deed")
    }
}

impl Cd {
    pub(crate) fn of(scene: Scene, folder: &Path) -> Arc<Self> {
        let fence = if scene == Scene::Unknown { Fence::No } else { Fence::Yes };
        let inner = FakeBackend::new(Capabilities::new(CompareAndSet::Yes, fence));
        match scene {
            Scene::Lost | Scene::Unknown => inner.fail(Method::Start, Fault::LoseRequest),
            Scene::Overtaken => inner.put_live(&parsed("40")),
            Scene::Cancelled => inner.set_phases([Phase::Started; 400]),
            Scene::Happy
            | Scene::Approved
            | Scene::Proposed
            | Scene::Denied
            | Scene::Expired
            | Scene::Unhealthy
            | Scene::Quiet
            | Scene::Hosted => {}
        }
        Arc::new(Self { inner, log: folder.join("seen.log"), deed: Mutex::default() })
    }

    /// Does this at this moment of the next order.
    pub(crate) fn at(&self, moment: Moment, deed: impl FnOnce() + Send + 'static) {
        let deed = Deed(Box::new(deed));
        *self.deed.lock().unwrap_or_else(PoisonError::into_inner) = Some((moment, deed));
    }

    pub(crate) fn effects(&self) -> usize {
        self.inner.effects()
    }

    pub(crate) async fn serve(self: &Arc<Self>) -> (SocketAddr, JoinHandle<()>) {
        let backend: Arc<dyn CdBackend> = Arc::<Self>::clone(self);
        let log = Arc::new(MemoryLog::default());
        let routes = Server::new(TOKEN, log).unwrap().service(fixtures::key(), backend).router();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        (address, server)
    }

    fn reached(&self, moment: Moment) {
        let mut deed = self.deed.lock().unwrap_or_else(PoisonError::into_inner);
        let due = deed.take_if(|(at, _)| *at == moment);
        drop(deed);
        if let Some((_, Deed(due))) = due {
            due();
        }
    }

    fn saw(&self, seen: &Seen) {
        append(&self.log, &super::lines::written(seen));
    }
}

#[async_trait]
impl CdBackend for Cd {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn history(&self, key: &ServiceKey, limit: usize) -> Result<Vec<Revision>, PortError> {
        self.inner.history(key, limit).await
    }

    async fn live(&self, key: &ServiceKey) -> Result<Live, PortError> {
        self.inner.live(key).await
    }

    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        self.inner.preflight(plan).await
    }

    async fn start(&self, order: &Order) -> Result<Receipt, StartError> {
        self.reached(Moment::Arrived);
        let rollback = order.rollback().clone();
        let (effects, live) = (self.inner.effects(), self.inner.truth());
        let answer = self.inner.start(order).await;
        if self.inner.effects() > effects {
            self.saw(&Seen::TookEffect { rollback, live });
            self.reached(Moment::TookEffect);
        } else if let Err(error) = &answer {
            append(&self.log, &format!("turned-away {rollback} {error}"));
        }
        answer
    }

    async fn find(&self, order: &Order) -> Result<Option<Receipt>, PortError> {
        self.inner.find(order).await
    }

    async fn fence(&self, order: &Order) -> Result<Fenced, PortError> {
        self.inner.fence(order).await
    }

    async fn observe(&self, order: &Order, receipt: &Receipt) -> Result<Progress, PortError> {
        self.inner.observe(order, receipt).await
    }

    async fn cancel(&self, order: &Order, receipt: &Receipt) -> Result<Cancelled, PortError> {
        self.inner.cancel(order, receipt).await
    }

    async fn changes(&self, key: &ServiceKey) {
        self.inner.changes(key).await;
    }

    async fn drain(&self) {
        self.inner.drain().await;
    }
}
