//! The CD systems and the directory as the engine asks them: what they answer, and that they do not
//! answer, is noted for whoever asks what blocks a rollback.

use crate::health::{Health, Part, Read, Unread};
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
    /// Asks about an order or a plan.
    async fn ask<T>(
        &self,
        request: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        self.noted(Of::Part(Part::Cd(self.name.clone())), request).await
    }

    /// Asks about one service, without which none of its rollbacks can begin.
    async fn read<T>(
        &self,
        key: &ServiceKey,
        read: Read,
        request: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        self.noted(Of::Read { cd: &self.name, key, read }, request).await
    }

    async fn noted<T>(
        &self,
        of: Of<'_>,
        request: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let asked = Asked::new(&self.health, of, &*self.clock);
        let answer = request.await;
        asked.answered(came_to(&answer));
        answer
    }
}

fn came_to<T>(answer: &Result<T, PortError>) -> Result<(), Unread> {
    match answer {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind {
            ErrorKind::Retry(_) | ErrorKind::Misconfigured => Unread::Failed(error.what.clone()),
            // An answer about this service or this order, and none about the CD system.
            ErrorKind::Rejected | ErrorKind::Unsupported | _ => Unread::Refused(error.what.clone()),
        }),
    }
}

/// What a request is about.
enum Of<'a> {
    Part(Part),
    Read { cd: &'a BackendName, key: &'a ServiceKey, read: Read },
}

/// A request that is on its way. Dropped without an answer after a while, it was not answered.
struct Asked<'a> {
    health: &'a Health,
    clock: &'a dyn Clock,
    since: Timestamp,
    of: Option<Of<'a>>,
}

impl<'a> Asked<'a> {
    fn new(health: &'a Health, of: Of<'a>, clock: &'a dyn Clock) -> Self {
        Self { health, clock, since: clock.now(), of: Some(of) }
    }

    fn says(mut self, state: &SourceState) {
        match state {
            SourceState::Answers => self.answered(Ok(())),
            SourceState::Fails(why) => self.answered(Err(Unread::Failed(why.clone()))),
            // It was kept waiting by us, or not asked at all: that says nothing of it.
            SourceState::NotAsked => self.of = None,
        }
    }

    fn answered(mut self, answer: Result<(), Unread>) {
        self.note(answer);
    }

    fn note(&mut self, answer: Result<(), Unread>) {
        match self.of.take() {
            Some(Of::Read { cd, key, read }) => {
                self.health.report_read((cd, key), read, self.since, answer);
            }
            Some(Of::Part(part)) => {
                let answer = match answer {
                    Ok(()) | Err(Unread::Refused(_)) => Ok(()),
                    Err(Unread::Failed(why)) => Err(why),
                };
                self.health.report(part, answer);
            }
            None => {}
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let waited = self.clock.now().since(self.since);
        if waited >= HANGS_AFTER {
            let why = format!("it did not answer for {}", in_words(waited));
            self.note(Err(Unread::Failed(why)));
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
        self.read(key, Read::History, self.backend.history(key, options)).await
    }

    async fn live(&self, key: &ServiceKey, options: LiveOptions) -> Result<Live, PortError> {
        self.read(key, Read::Live, self.backend.live(key, options)).await
    }

    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        self.ask(self.backend.preflight(plan)).await
    }

    async fn start(&self, order: Order) -> Result<Receipt, StartError> {
        let of = Of::Part(Part::Cd(self.name.clone()));
        let asked = Asked::new(&self.health, of, &*self.clock);
        let answer = self.backend.start(order).await;
        asked.answered(match &answer {
            Ok(_) | Err(StartError::Refused { .. } | StartError::Conflict { .. }) => Ok(()),
            Err(StartError::InDoubt { why }) => Err(Unread::Failed(why.clone())),
        });
        answer
    }

    async fn find(&self, order: &OrderRef) -> Result<Option<Receipt>, PortError> {
        self.ask(self.backend.find(order)).await
    }

    async fn fence(&self, order: &OrderRef) -> Result<Fenced, PortError> {
        self.ask(self.backend.fence(order)).await
    }

    async fn observe(
        &self,
        order: &OrderRef,
        receipt: &Receipt,
        options: ObserveOptions,
    ) -> Result<Progress, PortError> {
        self.ask(self.backend.observe(order, receipt, options)).await
    }

    async fn cancel(&self, order: &OrderRef, receipt: &Receipt) -> Result<Cancelled, PortError> {
        self.ask(self.backend.cancel(order, receipt)).await
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
        Asked::new(&self.health, Of::Part(Part::Directory), &*self.clock)
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
