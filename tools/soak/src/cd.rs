//! The CD system of all replicas: one for each service, and what took effect in which.

use crate::key;
use async_trait::async_trait;
use rollback_core::observed::{Live, Preflight};
use rollback_core::ports::{
    Cancelled, Capabilities, CdBackend, CompareAndSet, Fence, Fenced, HistoryOptions, LiveOptions,
    ObserveOptions, PortError, StartError,
};
use rollback_core::proof::{Order, OrderRef};
use rollback_core::{Phase, Plan, Progress, Receipt, Revision, ServiceKey, Timestamp};
use rollback_testkit::fakes::FakeBackend;
use rollback_testkit::fixtures;
use rollback_verify::Seen;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Everything that took effect anywhere.
pub(crate) type Effects = Arc<Mutex<Vec<Seen>>>;

/// A CD system that notes what its orders change.
#[derive(Debug)]
pub(crate) struct Cd {
    pub(crate) inner: FakeBackend,
    effects: Effects,
    busy: Arc<AtomicBool>,
}

impl Cd {
    /// The one of this service; three revisions are known, and the newest is live since `now`. While
    /// it is busy, no execution goes on.
    pub(crate) fn of(
        number: usize,
        now: Timestamp,
        effects: &Effects,
        busy: &Arc<AtomicBool>,
    ) -> Arc<Self> {
        let ago = |hours: u64| Timestamp::from_millis(now.as_millis() - hours * 3_600_000);
        let history: Vec<Revision> = [("42", 0), ("41", 26), ("40", 50)]
            .map(|(id, hours)| fixtures::revision(id, &format!("2.{id}.0"), ago(hours)))
            .to_vec();
        let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
        let inner = FakeBackend::with_history(key(number), capabilities, history);
        inner.set_phases([Phase::Started, Phase::Complete]);
        Arc::new(Self { inner, effects: Arc::clone(effects), busy: Arc::clone(busy) })
    }
}

#[async_trait]
impl CdBackend for Cd {
    fn capabilities(&self, key: &ServiceKey) -> Capabilities {
        self.inner.capabilities(key)
    }

    async fn history(
        &self,
        key: &ServiceKey,
        options: HistoryOptions,
    ) -> Result<Vec<Revision>, PortError> {
        self.inner.history(key, options).await
    }

    async fn live(&self, key: &ServiceKey, options: LiveOptions) -> Result<Live, PortError> {
        self.inner.live(key, options).await
    }

    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        self.inner.preflight(plan).await
    }

    async fn start(&self, order: Order) -> Result<Receipt, StartError> {
        let (before, live) = (self.inner.effects(), self.inner.truth());
        let rollback = order.rollback().clone();
        let started = self.inner.start(order).await;
        if self.inner.effects() > before {
            let seen = Seen::TookEffect { rollback, live };
            self.effects.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        }
        started
    }

    async fn find(&self, order: &OrderRef) -> Result<Option<Receipt>, PortError> {
        self.inner.find(order).await
    }

    async fn fence(&self, order: &OrderRef) -> Result<Fenced, PortError> {
        self.inner.fence(order).await
    }

    async fn observe(
        &self,
        order: &OrderRef,
        receipt: &Receipt,
        options: ObserveOptions,
    ) -> Result<Progress, PortError> {
        if self.busy.load(Ordering::Relaxed) {
            return Ok(Progress::new(Phase::Started));
        }
        self.inner.observe(order, receipt, options).await
    }

    async fn cancel(&self, order: &OrderRef, receipt: &Receipt) -> Result<Cancelled, PortError> {
        self.inner.cancel(order, receipt).await
    }
}
