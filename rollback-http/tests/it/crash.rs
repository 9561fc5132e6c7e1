//! The server dies at every step of an order, and another one takes over with the same log: the
//! order takes effect at most once, and what is said about it is true.
#![expect(
    clippy::unwrap_used,
    clippy::clone_on_ref_ptr,
    reason = "a test fails by panicking, and shares what it likes"
)]

use crate::common::{TOKEN, fake, routes, serve};
use async_trait::async_trait;
use reqwest::Method;
use rollback_core::observed::{Live, Preflight};
use rollback_core::ports::{
    Cancelled, Capabilities, CdBackend, Fence, Fenced, PortError, StartError,
};
use rollback_core::proof::Order;
use rollback_core::{Plan, Progress, Receipt, Revision, RollbackId, ServiceKey};
use rollback_http::server::{LogError, LogRecord, Logged, MemoryLog, OrderLog};
use rollback_testkit::fakes::FakeBackend;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Steps that are left to a server before it stops for ever.
#[derive(Debug)]
struct Life {
    left: AtomicUsize,
    died: Notify,
}

impl Life {
    async fn step(&self) {
        let before =
            self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if before.is_err() {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

/// A log, or a CD system, whose server can die before and after each call.
#[derive(Debug)]
struct Mortal<T> {
    inner: Arc<T>,
    life: Arc<Life>,
}

impl<T: Send + Sync> Mortal<T> {
    async fn call<R: Send>(&self, call: impl Future<Output = R> + Send) -> R {
        self.life.step().await;
        let answer = call.await;
        self.life.step().await;
        answer
    }
}

#[async_trait]
impl OrderLog for Mortal<MemoryLog> {
    async fn append(&self, record: &LogRecord) -> Result<(), LogError> {
        self.call(self.inner.append(record)).await
    }

    async fn read(&self, operation: &RollbackId) -> Result<Option<Logged>, LogError> {
        self.call(self.inner.read(operation)).await
    }
}

#[async_trait]
impl CdBackend for Mortal<FakeBackend> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn history(&self, key: &ServiceKey, limit: usize) -> Result<Vec<Revision>, PortError> {
        self.call(self.inner.history(key, limit)).await
    }

    async fn live(&self, key: &ServiceKey) -> Result<Live, PortError> {
        self.call(self.inner.live(key)).await
    }

    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        self.call(self.inner.preflight(plan)).await
    }

    async fn start(&self, order: &Order) -> Result<Receipt, StartError> {
        self.call(self.inner.start(order)).await
    }

    async fn find(&self, order: &Order) -> Result<Option<Receipt>, PortError> {
        self.call(self.inner.find(order)).await
    }

    async fn fence(&self, order: &Order) -> Result<Fenced, PortError> {
        self.call(self.inner.fence(order)).await
    }

    async fn observe(&self, order: &Order, receipt: &Receipt) -> Result<Progress, PortError> {
        self.call(self.inner.observe(order, receipt)).await
    }

    async fn cancel(&self, order: &Order, receipt: &Receipt) -> Result<Cancelled, PortError> {
        self.call(self.inner.cancel(order, receipt)).await
    }
}

async fn ask(address: SocketAddr, method: Method, path: &str) -> u16 {
    let url = format!("http://{address}/v1/rollbacks{path}");
    let mut request = reqwest::Client::new().request(method, url).bearer_auth(TOKEN);
    if path.is_empty() {
        request = request.header("idempotency-key", "rb-1").json(&json!({
            "operation_id": "rb-1", "service": "checkout", "environment": "production",
            "expected_live": "42", "target": "41", "reason": "errors up 4x",
            "requested_by": {"id": "U02ANA", "name": "Ana"},
        }));
    }
    request.send().await.unwrap().status().as_u16()
}

/// What comes first after the server died.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    TheOrderAgain,
    AFence,
}

/// One life of a server that ends after so many steps. Whether it did.
async fn dies_after(steps: usize, next: Next) -> bool {
    let (cd, log) = (fake(Fence::Yes), Arc::new(MemoryLog::default()));
    let life = Arc::new(Life { left: AtomicUsize::new(steps), died: Notify::new() });
    let mortal_cd = Mortal { inner: cd.clone(), life: life.clone() };
    let mortal_log = Mortal { inner: log.clone(), life: life.clone() };
    let (address, serving) = serve(routes(Arc::new(mortal_cd), Arc::new(mortal_log))).await;
    let died = tokio::select! {
        status = ask(address, Method::POST, "") => {
            assert_eq!(status, 202);
            false
        }
        () = life.died.notified() => true,
    };
    serving.abort();
    let (address, _serving) = serve(routes(cd.clone(), log)).await;

    let told = ask(address, Method::GET, "/rb-1").await;
    let expected = if cd.effects() == 1 { 200 } else { 404 };
    assert_eq!(told, expected, "after {steps} steps");
    match next {
        Next::TheOrderAgain => {
            let told = ask(address, Method::POST, "").await;
            let expected = if cd.effects() == 1 { 202 } else { 503 };
            assert_eq!(told, expected, "after {steps} steps");
        }
        Next::AFence => {
            let told = ask(address, Method::POST, "/rb-1/fence").await;
            let effects = cd.effects();
            assert_eq!(told, if effects == 1 { 409 } else { 200 }, "after {steps} steps");
            let told = ask(address, Method::POST, "").await;
            assert_eq!(told, if effects == 1 { 202 } else { 422 }, "after {steps} steps");
            assert_eq!(cd.effects(), effects, "after {steps} steps");
        }
    }
    assert!(cd.sends() <= 1 && cd.effects() <= 1, "after {steps} steps: it was sent twice");
    died
}

#[tokio::test]
async fn wherever_a_server_dies_an_order_takes_effect_at_most_once_and_is_told_as_it_is() {
    for next in [Next::TheOrderAgain, Next::AFence] {
        let mut deaths = 0;
        while dies_after(deaths, next).await {
            deaths += 1;
        }
        // Reading the log, writing the order down, asking, starting and writing the outcome down,
        // before and after each.
        assert_eq!(deaths, 10, "{next:?}");
    }
}
