//! A CD system of which an adapter knows one service at a time.

use async_trait::async_trait;
use rollback_core::observed::{Live, Preflight};
use rollback_core::ports::{
    Cancelled, Capabilities, CdBackend, CompareAndSet, ErrorKind, Fence, Fenced, PortError,
    StartError,
};
use rollback_core::proof::Order;
use rollback_core::{Plan, Progress, Receipt, Revision, ServiceKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One adapter for each service.
#[derive(Debug)]
pub(super) struct Each {
    adapters: BTreeMap<ServiceKey, Arc<dyn CdBackend>>,
    capabilities: Capabilities,
}

impl Each {
    /// Adapters of one kind. What the weakest of them cannot do, none can.
    pub(super) fn new(adapters: BTreeMap<ServiceKey, Arc<dyn CdBackend>>) -> Self {
        let weakest = |one: Capabilities, other: Capabilities| {
            let same = one.compare_and_set == other.compare_and_set;
            let compare = if same { one.compare_and_set } else { CompareAndSet::No };
            let fence = if one.fence == other.fence { one.fence } else { Fence::No };
            Capabilities::new(compare, fence)
        };
        let capabilities = adapters
            .values()
            .map(|adapter| adapter.capabilities())
            .reduce(weakest)
            .unwrap_or_else(|| Capabilities::new(CompareAndSet::No, Fence::No));
        Self { adapters, capabilities }
    }

    fn of(
        &self,
        key: &ServiceKey,
        operation: &'static str,
    ) -> Result<&Arc<dyn CdBackend>, PortError> {
        self.adapters.get(key).ok_or_else(|| {
            let what =
                format!("{key} is not configured for this backend; correct the configuration");
            PortError::new(ErrorKind::Misconfigured, "platform-service", operation, what)
        })
    }
}

#[async_trait]
impl CdBackend for Each {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn history(&self, key: &ServiceKey, limit: usize) -> Result<Vec<Revision>, PortError> {
        self.of(key, "read the history")?.history(key, limit).await
    }

    async fn live(&self, key: &ServiceKey) -> Result<Live, PortError> {
        self.of(key, "read what is live")?.live(key).await
    }

    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        self.of(plan.key(), "ask whether it would be accepted")?.preflight(plan).await
    }

    async fn start(&self, order: &Order) -> Result<Receipt, StartError> {
        let adapter = self.of(order.plan().key(), "start");
        let adapter = adapter.map_err(|error| StartError::Refused { why: error.what })?;
        adapter.start(order).await
    }

    async fn find(&self, order: &Order) -> Result<Option<Receipt>, PortError> {
        self.of(order.plan().key(), "find an order")?.find(order).await
    }

    async fn fence(&self, order: &Order) -> Result<Fenced, PortError> {
        self.of(order.plan().key(), "fence")?.fence(order).await
    }

    async fn observe(&self, order: &Order, receipt: &Receipt) -> Result<Progress, PortError> {
        self.of(order.plan().key(), "observe")?.observe(order, receipt).await
    }

    async fn cancel(&self, order: &Order, receipt: &Receipt) -> Result<Cancelled, PortError> {
        self.of(order.plan().key(), "cancel")?.cancel(order, receipt).await
    }

    async fn changes(&self, key: &ServiceKey) {
        match self.adapters.get(key) {
            Some(adapter) => adapter.changes(key).await,
            None => std::future::pending().await,
        }
    }

    async fn drain(&self) {
        // What each waits for goes on meanwhile.
        for adapter in self.adapters.values() {
            adapter.drain().await;
        }
    }
}
