//! The conformance suite of CD backends, through the client, a real socket and the server, over a
//! CD system in memory.
#![expect(
    clippy::unwrap_used,
    clippy::clone_on_ref_ptr,
    reason = "a test fails by panicking, and shares what it likes"
)]

use crate::common::{ORDER, client, everything_is_documented, fake, routes, serve};
use async_trait::async_trait;
use rollback_core::observed::{Live, Preflight};
use rollback_core::ports::{
    Cancelled, Capabilities, CdBackend, Fence, Fenced, HistoryOptions, LiveOptions, ObserveOptions,
    PortError, StartError,
};
use rollback_core::proof::{Order, OrderRef};
use rollback_core::{Phase, Plan, Progress, Receipt, Revision, RevisionId, ServiceKey};
use rollback_http::HttpBackend;
use rollback_http::server::{FileLog, MemoryLog};
use rollback_testkit::backend::{Harness, run_all};
use rollback_testkit::fakes::{FakeBackend, Fault, Method};
use rollback_testkit::wire::{Flow, Mishap, Wire};
use rollback_testkit::{Simulated, fixtures};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{Mutex, RwLock, RwLockWriteGuard};
use tokio::task::AbortHandle;

/// Where things go wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Trouble {
    /// Between the client and the server: what befalls an order whose answer is to be lost.
    OnTheWire(Mishap),
    /// Between the server and the CD system.
    BehindTheServer,
}

const LOST: Trouble = Trouble::OnTheWire(Mishap::AnswerLost);

/// A CD system in memory, its server, a wire and a client.
struct Through<B> {
    trouble: Trouble,
    cd: Arc<FakeBackend>,
    wire: Arc<Wire>,
    backend: B,
}

#[async_trait]
impl<B: CdBackend> Harness for Through<B> {
    fn backend(&self) -> &dyn CdBackend {
        &self.backend
    }

    fn key(&self) -> ServiceKey {
        fixtures::key()
    }

    fn knows_expiry(&self) -> Simulated {
        Simulated::Cannot("it sends at once; a server gives an order its own time")
    }

    async fn truth(&self) -> Option<RevisionId> {
        self.cd.truth()
    }

    async fn effects(&self) -> usize {
        self.cd.effects()
    }

    async fn deploy(&self) -> RevisionId {
        let newer = fixtures::revision("43", "2.15.0", fixtures::at(60));
        self.cd.deploy(newer.clone());
        newer.id
    }

    async fn cut(&self) {
        match &self.trouble {
            Trouble::OnTheWire(_) => self.wire.flows(Flow::Down),
            Trouble::BehindTheServer => self.cd.cut(),
        }
    }

    async fn heal(&self) {
        match &self.trouble {
            Trouble::OnTheWire(_) => self.wire.flows(Flow::Clear),
            Trouble::BehindTheServer => self.cd.heal(),
        }
    }

    async fn lose_next_answer(&self) -> Simulated {
        match &self.trouble {
            Trouble::OnTheWire(mishap) => self.wire.befall_next(ORDER, mishap.clone()),
            Trouble::BehindTheServer => self.cd.fail(Method::Start, Fault::LoseAnswer),
        }
        Simulated::Done
    }

    async fn hold_next_order(&self) -> Simulated {
        match &self.trouble {
            Trouble::OnTheWire(_) => self.wire.befall_next(ORDER, Mishap::HeldUp),
            Trouble::BehindTheServer => self.cd.fail(Method::Start, Fault::HoldUp),
        }
        Simulated::Done
    }

    async fn repeat_next_order(&self) -> Simulated {
        match &self.trouble {
            Trouble::OnTheWire(_) => self.wire.befall_next(ORDER, Mishap::Repeated),
            Trouble::BehindTheServer => self.cd.fail(Method::Start, Fault::Repeat),
        }
        Simulated::Done
    }

    async fn release(&self) {
        match &self.trouble {
            Trouble::OnTheWire(_) => self.wire.release().await,
            Trouble::BehindTheServer => self.cd.release(),
        }
    }

    async fn prune(&self, revision: &RevisionId) -> Simulated {
        self.cd.prune(revision);
        Simulated::Done
    }

    async fn fail_next_execution(&self) -> Simulated {
        self.cd.set_phases([Phase::Started, Phase::Failed]);
        Simulated::Done
    }

    async fn stall_next_execution(&self) -> Simulated {
        self.cd.set_phases([Phase::Started]);
        Simulated::Done
    }
}

async fn through(trouble: Trouble, fence: Fence) -> Through<HttpBackend> {
    let cd = fake(fence);
    let (address, _serving) = serve(routes(cd.clone(), Arc::new(MemoryLog::default()))).await;
    let wire = Arc::new(Wire::to(address.port()));
    let backend = client(wire.address(), fence);
    Through { trouble, cd, wire, backend }
}

/// A client whose server is stopped and started again, from its file, before every call.
#[derive(Debug)]
struct Restarting {
    client: HttpBackend,
    cd: Arc<FakeBackend>,
    wire: Arc<Wire>,
    folder: TempDir,
    /// Held to read while a call is under way: a server is not stopped in the middle of one.
    calls: RwLock<()>,
    serving: Mutex<Option<AbortHandle>>,
}

impl Restarting {
    async fn restart(&self) -> tokio::sync::RwLockReadGuard<'_, ()> {
        let alone = self.calls.write().await;
        let mut serving = self.serving.lock().await;
        if let Some(before) = serving.take() {
            before.abort();
        }
        let path = self.folder.path().join("orders.jsonl");
        let mut log = FileLog::open(&path).await;
        for _again in 0..1_000 {
            // The file is let go of when the last task of the server before has ended.
            if log.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            log = FileLog::open(&path).await;
        }
        let (address, task) = serve(routes(self.cd.clone(), Arc::new(log.unwrap()))).await;
        self.wire.lead_to(address.port());
        *serving = Some(task);
        RwLockWriteGuard::downgrade(alone)
    }
}

#[async_trait]
impl CdBackend for Restarting {
    fn capabilities(&self, key: &ServiceKey) -> Capabilities {
        self.client.capabilities(key)
    }

    async fn history(
        &self,
        key: &ServiceKey,
        options: HistoryOptions,
    ) -> Result<Vec<Revision>, PortError> {
        let _running = self.restart().await;
        self.client.history(key, options).await
    }

    async fn live(&self, key: &ServiceKey, options: LiveOptions) -> Result<Live, PortError> {
        let _running = self.restart().await;
        self.client.live(key, options).await
    }

    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        let _running = self.restart().await;
        self.client.preflight(plan).await
    }

    async fn start(&self, order: Order) -> Result<Receipt, StartError> {
        let _running = self.restart().await;
        self.client.start(order).await
    }

    async fn find(&self, order: &OrderRef) -> Result<Option<Receipt>, PortError> {
        let _running = self.restart().await;
        self.client.find(order).await
    }

    async fn fence(&self, order: &OrderRef) -> Result<Fenced, PortError> {
        let _running = self.restart().await;
        self.client.fence(order).await
    }

    async fn observe(
        &self,
        order: &OrderRef,
        receipt: &Receipt,
        options: ObserveOptions,
    ) -> Result<Progress, PortError> {
        let _running = self.restart().await;
        self.client.observe(order, receipt, options).await
    }

    async fn cancel(&self, order: &OrderRef, receipt: &Receipt) -> Result<Cancelled, PortError> {
        let _running = self.restart().await;
        self.client.cancel(order, receipt).await
    }
}

async fn restarting(trouble: Trouble, fence: Fence) -> Through<Restarting> {
    let Through { trouble, cd, wire, backend: client } = through(trouble, fence).await;
    let backend = Restarting {
        client,
        cd: cd.clone(),
        wire: wire.clone(),
        folder: tempfile::tempdir().unwrap(),
        calls: RwLock::new(()),
        serving: Mutex::new(None),
    };
    Through { trouble, cd, wire, backend }
}

/// The order arrives, and the answer names no execution: what came of it has to be looked for.
fn names_nothing() -> Mishap {
    Mishap::AnswerReplaced(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())
}

const WITH_FENCE: [&str; 5] = [
    "an_order_that_has_expired_is_refused_and_changes_nothing",
    "a_fence_that_is_not_declared_is_unsupported",
    "a_job_that_starts_late_does_not_overwrite_a_newer_deploy",
    "a_job_whose_ticket_was_voided_changes_nothing",
    "what_is_declared_as_not_cancellable_is_not_cancelled",
];
const WITHOUT_FENCE: [&str; 8] = [
    "an_order_that_has_expired_is_refused_and_changes_nothing",
    "a_fence_stops_a_late_order_and_changes_nothing",
    "an_order_that_comes_after_its_own_fence_is_turned_away",
    "an_order_after_a_fence_is_taken",
    "a_fence_does_not_void_another_order_that_comes_later",
    "a_job_that_starts_late_does_not_overwrite_a_newer_deploy",
    "a_job_whose_ticket_was_voided_changes_nothing",
    "what_is_declared_as_not_cancellable_is_not_cancelled",
];

#[tokio::test]
async fn it_conforms_whatever_happens_on_the_wire() {
    run_all(async || through(LOST, Fence::Yes).await).await.skips_only(&WITH_FENCE);
    let summary = run_all(async || through(LOST, Fence::No).await).await;
    summary.skips_only(&WITHOUT_FENCE);
    everything_is_documented();
}

#[tokio::test]
async fn it_conforms_when_a_dispatch_is_answered_without_an_identity() {
    for (fence, skipped) in [(Fence::Yes, &WITH_FENCE[..]), (Fence::No, &WITHOUT_FENCE[..])] {
        let summary =
            run_all(async || through(Trouble::OnTheWire(names_nothing()), fence).await).await;
        summary.skips_only(skipped);
    }
    everything_is_documented();
}

#[tokio::test]
async fn it_conforms_whatever_happens_behind_the_server() {
    let summary = run_all(async || through(Trouble::BehindTheServer, Fence::Yes).await).await;
    summary.skips_only(&WITH_FENCE);
    let summary = run_all(async || through(Trouble::BehindTheServer, Fence::No).await).await;
    summary.skips_only(&WITHOUT_FENCE);
    everything_is_documented();
}

#[tokio::test]
async fn it_conforms_with_a_server_that_is_restarted_before_every_call() {
    for trouble in [LOST, Trouble::BehindTheServer] {
        let summary = run_all(async || restarting(trouble.clone(), Fence::Yes).await).await;
        summary.skips_only(&WITH_FENCE);
    }
    everything_is_documented();
}
