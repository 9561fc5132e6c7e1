//! One backend for many services, out of adapters that know one service each.

use crate::event::{Progress, Receipt};
use crate::model::{Plan, Revision, ServiceKey};
use crate::observed::{Live, Preflight};
use crate::ports::{
    Cancelled, Capabilities, CdBackend, Changes, CompareAndSet, ErrorKind, Fence, Fenced,
    HistoryOptions, LiveOptions, NoChanges, ObserveOptions, PortError, StartError,
};
use crate::proof::{Order, OrderRef};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use async_trait::async_trait;

/// An adapter for each service, as one [`CdBackend`].
///
/// A service without an adapter is refused by name: nothing is sent for it.
///
/// ```
/// use rollback_core::ports::{CdBackend, CompareAndSet};
/// use rollback_core::{PerService, ServiceKey};
/// let none = PerService::default();
/// let checkout = ServiceKey::new("checkout".parse()?, "production".parse()?);
/// assert_eq!(none.capabilities(&checkout).compare_and_set, CompareAndSet::No);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct PerService {
    adapters: BTreeMap<ServiceKey, Arc<dyn CdBackend>>,
}

impl FromIterator<(ServiceKey, Arc<dyn CdBackend>)> for PerService {
    fn from_iter<I: IntoIterator<Item = (ServiceKey, Arc<dyn CdBackend>)>>(adapters: I) -> Self {
        Self { adapters: adapters.into_iter().collect() }
    }
}

impl PerService {
    fn of(
        &self,
        key: &ServiceKey,
        operation: &'static str,
    ) -> Result<&Arc<dyn CdBackend>, PortError> {
        self.adapters.get(key).ok_or_else(|| {
            let what =
                format!("{key} is not configured for this backend; correct the configuration");
            PortError::new(ErrorKind::Misconfigured, "per-service", operation, what)
        })
    }
}

#[async_trait]
impl CdBackend for PerService {
    fn capabilities(&self, key: &ServiceKey) -> Capabilities {
        match self.adapters.get(key) {
            Some(adapter) => adapter.capabilities(key),
            None => Capabilities::new(CompareAndSet::No, Fence::No),
        }
    }

    async fn history(
        &self,
        key: &ServiceKey,
        options: HistoryOptions,
    ) -> Result<Vec<Revision>, PortError> {
        self.of(key, "read the history")?.history(key, options).await
    }

    async fn live(&self, key: &ServiceKey, options: LiveOptions) -> Result<Live, PortError> {
        self.of(key, "read what is live")?.live(key, options).await
    }

    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        self.of(plan.key(), "ask whether it would be accepted")?.preflight(plan).await
    }

    async fn start(&self, order: Order) -> Result<Receipt, StartError> {
        let adapter = self.of(order.plan().key(), "start");
        let adapter = adapter.map_err(|error| StartError::Refused { why: error.what })?;
        adapter.start(order).await
    }

    async fn find(&self, order: &OrderRef) -> Result<Option<Receipt>, PortError> {
        self.of(order.plan().key(), "find an order")?.find(order).await
    }

    async fn fence(&self, order: &OrderRef) -> Result<Fenced, PortError> {
        self.of(order.plan().key(), "fence")?.fence(order).await
    }

    async fn observe(
        &self,
        order: &OrderRef,
        receipt: &Receipt,
        options: ObserveOptions,
    ) -> Result<Progress, PortError> {
        self.of(order.plan().key(), "observe")?.observe(order, receipt, options).await
    }

    async fn cancel(&self, order: &OrderRef, receipt: &Receipt) -> Result<Cancelled, PortError> {
        self.of(order.plan().key(), "cancel")?.cancel(order, receipt).await
    }

    fn changes(&self, key: &ServiceKey) -> Box<dyn Changes> {
        match self.adapters.get(key) {
            Some(adapter) => adapter.changes(key),
            None => Box::new(NoChanges::default()),
        }
    }

    async fn drain(&self) {
        // What each waits for goes on meanwhile.
        for adapter in self.adapters.values() {
            adapter.drain().await;
        }
    }
}
