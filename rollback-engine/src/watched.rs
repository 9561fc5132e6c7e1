//! The CD systems and the directory as the engine asks them: what they answer, and that they do not
//! answer, is noted for whoever asks what blocks a rollback.

use crate::health::{Health, Part};
use async_trait::async_trait;
use rollback_core::access::Standing;
use rollback_core::observed::{Live, Preflight};
use rollback_core::ports::{
    Cancelled, Capabilities, CdBackend, Changes, Clock, Directory, ErrorKind, Expected, Fenced,
    Freshness, Heard, HistoryOptions, Inquiry, LiveOptions, ObserveOptions, PortError, SourceState,
    StartError,
};
use rollback_core::proof::{Order, OrderRef};
use rollback_core::{
    BackendName, GroupId, Plan, Progress, Receipt, Revision, ServiceKey, Timestamp, UserId,
    in_words,
};
use std::sync::Arc;
use std::time::Duration;

/// A request that is dropped sooner than this was not kept waiting: what it was for has ended.
const HANGS_AFTER: Duration = Duration::from_secs(1);

/// A CD system whose answers are noted.
#[derive(Debug)]
pub(crate) struct WatchedCd {
    pub(crate) name: BackendName,
    pub(crate) backend: Arc<dyn CdBackend>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) health: Arc<Health>,
}

impl WatchedCd {
    async fn read<T>(
        &self,
        request: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let asked = Asked::new(&self.health, Part::Cd(self.name.clone()), &*self.clock);
        let answer = request.await;
        asked.answered(match &answer {
            Ok(_) => Ok(()),
            Err(error) => match error.kind {
                ErrorKind::Retry(_) | ErrorKind::Misconfigured => Err(error.what.clone()),
                // An answer about this service or this order, and none about the CD system.
                ErrorKind::Rejected | ErrorKind::Unsupported | _ => Ok(()),
            },
        });
        answer
    }
}

/// A request that is on its way. Dropped without an answer after a while, it was not answered.
struct Asked<'a> {
    health: &'a Health,
    clock: &'a dyn Clock,
    since: Timestamp,
    part: Option<Part>,
}

impl<'a> Asked<'a> {
    fn new(health: &'a Health, part: Part, clock: &'a dyn Clock) -> Self {
        Self { health, clock, since: clock.now(), part: Some(part) }
    }

    fn says(mut self, state: &SourceState) {
        match state {
            SourceState::Answers => self.answered(Ok(())),
            SourceState::Fails(why) => self.answered(Err(why.clone())),
            // It was kept waiting by us, or not asked at all: that says nothing of it.
            SourceState::NotAsked => self.part = None,
        }
    }

    fn answered(mut self, answer: Result<(), String>) {
        if let Some(part) = self.part.take() {
            self.health.report(part, answer);
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let waited = self.clock.now().since(self.since);
        if let Some(part) = self.part.take()
            && waited >= HANGS_AFTER
        {
            self.health.report(part, Err(format!("it did not answer for {}", in_words(waited))));
        }
    }
}

#[async_trait]
impl CdBackend for WatchedCd {
    fn capabilities(&self, key: &ServiceKey) -> Capabilities {
        self.backend.capabilities(key)
    }

    async fn history(
        &self,
        key: &ServiceKey,
        options: HistoryOptions,
    ) -> Result<Vec<Revision>, PortError> {
        self.read(self.backend.history(key, options)).await
    }

    async fn live(&self, key: &ServiceKey, options: LiveOptions) -> Result<Live, PortError> {
        self.read(self.backend.live(key, options)).await
    }

    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        self.read(self.backend.preflight(plan)).await
    }

    async fn start(&self, order: Order) -> Result<Receipt, StartError> {
        let asked = Asked::new(&self.health, Part::Cd(self.name.clone()), &*self.clock);
        let answer = self.backend.start(order).await;
        asked.answered(match &answer {
            Ok(_) | Err(StartError::Refused { .. } | StartError::Conflict { .. }) => Ok(()),
            Err(StartError::InDoubt { why }) => Err(why.clone()),
        });
        answer
    }

    async fn find(&self, order: &OrderRef) -> Result<Option<Receipt>, PortError> {
        self.read(self.backend.find(order)).await
    }

    async fn fence(&self, order: &OrderRef) -> Result<Fenced, PortError> {
        self.read(self.backend.fence(order)).await
    }

    async fn observe(
        &self,
        order: &OrderRef,
        receipt: &Receipt,
        options: ObserveOptions,
    ) -> Result<Progress, PortError> {
        self.read(self.backend.observe(order, receipt, options)).await
    }

    async fn cancel(&self, order: &OrderRef, receipt: &Receipt) -> Result<Cancelled, PortError> {
        self.read(self.backend.cancel(order, receipt)).await
    }

    fn changes(&self, key: &ServiceKey) -> Box<dyn Changes> {
        self.backend.changes(key)
    }

    async fn drain(&self) {
        self.backend.drain().await;
    }
}

/// A directory whose answers are noted.
#[derive(Debug)]
pub(crate) struct WatchedDirectory {
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) health: Arc<Health>,
}

impl WatchedDirectory {
    fn asks(&self) -> Asked<'_> {
        Asked::new(&self.health, Part::Directory, &*self.clock)
    }
}

#[async_trait]
impl Directory for WatchedDirectory {
    async fn standing(&self, user: &UserId, groups: &[GroupId], freshness: Freshness) -> Standing {
        let groups = groups.to_vec();
        let inquiry = Inquiry::new(user.clone(), groups, freshness, Expected::Permission);
        self.hear(&inquiry).await.standing
    }

    fn last_seen_in(&self, user: &UserId, groups: &[GroupId]) -> Vec<GroupId> {
        self.directory.last_seen_in(user, groups)
    }

    fn last_seen_outside(&self, user: &UserId, groups: &[GroupId]) -> Vec<GroupId> {
        self.directory.last_seen_outside(user, groups)
    }

    async fn hear(&self, inquiry: &Inquiry) -> Heard {
        let asked = self.asks();
        let heard = self.directory.hear(inquiry).await;
        asked.says(&heard.source);
        heard
    }

    async fn look(&self, groups: &[GroupId]) -> SourceState {
        let asked = self.asks();
        let state = self.directory.look(groups).await;
        asked.says(&state);
        state
    }

    fn held_back_max(&self) -> Duration {
        self.directory.held_back_max()
    }
}
