//! A backend whose requests are counted.

use super::Metrics;
use async_trait::async_trait;
use rollback_core::observed::{Live, Preflight};
use rollback_core::ports::{
    Cancelled, Capabilities, CdBackend, Changes, Fenced, HistoryOptions, LiveOptions,
    ObserveOptions, PortError, StartError,
};
use rollback_core::proof::{Order, OrderRef};
use rollback_core::{BackendName, Plan, Progress, Receipt, Revision, ServiceKey};
use std::sync::Arc;
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Watched {
    metrics: Metrics,
    name: String,
    backend: Arc<dyn CdBackend>,
}

impl Watched {
    pub(super) fn new(metrics: Metrics, name: &BackendName, backend: Arc<dyn CdBackend>) -> Self {
        Self { metrics, name: name.to_string(), backend }
    }

    /// Counts a request that changes nothing, or may be made again.
    async fn read<T>(
        &self,
        operation: &'static str,
        request: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let asked = Asked::new(self, operation);
        let answer = request.await;
        asked.answered(if answer.is_ok() { "ok" } else { "error" });
        answer
    }
}

/// A request that is on its way. One that nobody waits for any more was given up: it took too long.
struct Asked<'a> {
    watched: &'a Watched,
    operation: &'static str,
    since: Instant,
    result: &'static str,
}

impl<'a> Asked<'a> {
    fn new(watched: &'a Watched, operation: &'static str) -> Self {
        Self { watched, operation, since: Instant::now(), result: "given_up" }
    }

    fn answered(mut self, result: &'static str) {
        self.result = result;
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let mut labels =
            vec![("backend", self.watched.name.clone()), ("operation", self.operation.to_owned())];
        let inner = &self.watched.metrics.inner;
        let took = self.since.elapsed().as_secs_f64();
        inner.cd_latencies.get_or_create(&labels).observe(took);
        labels.push(("result", self.result.to_owned()));
        inner.cd_requests.get_or_create(&labels).inc();
    }
}

#[async_trait]
impl CdBackend for Watched {
    fn capabilities(&self, key: &ServiceKey) -> Capabilities {
        self.backend.capabilities(key)
    }

    async fn history(
        &self,
        key: &ServiceKey,
        options: HistoryOptions,
    ) -> Result<Vec<Revision>, PortError> {
        self.read("history", self.backend.history(key, options)).await
    }

    async fn live(&self, key: &ServiceKey, options: LiveOptions) -> Result<Live, PortError> {
        self.read("live", self.backend.live(key, options)).await
    }

    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        self.read("preflight", self.backend.preflight(plan)).await
    }

    async fn start(&self, order: Order) -> Result<Receipt, StartError> {
        let asked = Asked::new(self, "start");
        let answer = self.backend.start(order).await;
        asked.answered(match &answer {
            Ok(_) => "ok",
            Err(StartError::Refused { .. }) => "refused",
            Err(StartError::Conflict { .. }) => "conflict",
            Err(StartError::InDoubt { .. }) => "in_doubt",
        });
        answer
    }

    async fn find(&self, order: &OrderRef) -> Result<Option<Receipt>, PortError> {
        self.read("find", self.backend.find(order)).await
    }

    async fn fence(&self, order: &OrderRef) -> Result<Fenced, PortError> {
        self.read("fence", self.backend.fence(order)).await
    }

    async fn observe(
        &self,
        order: &OrderRef,
        receipt: &Receipt,
        options: ObserveOptions,
    ) -> Result<Progress, PortError> {
        self.read("observe", self.backend.observe(order, receipt, options)).await
    }

    async fn cancel(&self, order: &OrderRef, receipt: &Receipt) -> Result<Cancelled, PortError> {
        self.read("cancel", self.backend.cancel(order, receipt)).await
    }

    fn changes(&self, key: &ServiceKey) -> Box<dyn Changes> {
        self.backend.changes(key)
    }

    async fn drain(&self) {
        self.backend.drain().await;
    }
}
