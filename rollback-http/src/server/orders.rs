//! What becomes of an order: received once, started at most once, and known from then on.
//!
//! ```text
//!  POST ─► [turn of this id] ─► log ── never seen ─► Received is on the disk ─► preflight ─► start ─► outcome
//!                                └──── seen ───────► the same outcome again; in doubt: find, never start
//! ```

use super::answers::{Found, Placed, Stopped, Unanswered, Void};
use super::log::{Because, LogRecord, Logged, OrderLog, Outcome, Received, Refusal};
use crate::wire::{OrderBody, Promises, Revision, Service};
use rollback_core::observed::Acceptance;
use rollback_core::ports::{
    Cancelled, Capabilities, CdBackend, CompareAndSet, Fence, Fenced, HistoryOptions, LiveOptions,
    ObserveOptions, PortError, StartError,
};
use rollback_core::proof::OrderRef;
use rollback_core::proof::relay::Relayed;
use rollback_core::{
    Actor, Plan, Presence, Receipt, RevisionRef, RollbackId, ServiceKey, Timestamp,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

/// How many revisions a service document has: more than anybody looks through.
const HISTORY_MAX: usize = 200;
/// How long a received order may wait before it is too old to be sent on.
const VALID_FOR: Duration = Duration::from_secs(60);

/// The services and their backends, and what is known of the orders for them.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) services: BTreeMap<ServiceKey, Arc<dyn CdBackend>>,
    pub(super) log: Arc<dyn OrderLog>,
    /// How long a caller waits for an answer.
    pub(super) answer_within: Duration,
    pub(super) turns: Turns,
}

/// One at a time for each order.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<BTreeMap<RollbackId, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    async fn of(&self, operation: &RollbackId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(operation).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::default();
                turns.insert(operation.clone(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(0).after(since)
}

/// What an authenticated caller sent. None when it is no rollback at all.
fn relayed(received: &Received) -> Option<Relayed> {
    let sent = &received.order;
    let key = ServiceKey::new(sent.service.clone(), sent.environment.clone());
    let from = RevisionRef::new(sent.expected_live.clone());
    let to = RevisionRef::new(sent.target.clone());
    let mut actor = Actor::new(sent.requested_by.id.clone());
    actor.name.clone_from(&sent.requested_by.name);
    Some(Relayed {
        rollback: sent.operation_id.clone(),
        plan: Plan::new(key, from, to).ok()?,
        requested_by: actor,
        reason: sent.reason.clone(),
        received_at: received.at,
        valid_until: received.at.after(VALID_FOR),
    })
}

impl Orders {
    /// Does it in a task of its own: a caller who hangs up cuts nothing short.
    async fn apart<T, F>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, Unanswered>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Unanswered>> + Send + 'static,
    {
        let task = tokio::spawn(work(Arc::clone(self)));
        match timeout(self.answer_within, task).await {
            Ok(Ok(done)) => done,
            Ok(Err(_panic)) => Err(Unanswered::new("the server failed; look at its log")),
            Err(_elapsed) => Err(Unanswered::late(self.answer_within)),
        }
    }

    /// Takes an order in, once.
    pub(super) async fn place(self: &Arc<Self>, order: OrderBody) -> Placed {
        let placed = self.apart(|orders| async move {
            let _turn = orders.turns.of(&order.operation_id).await;
            orders.decide(order).await
        });
        placed.await.unwrap_or_else(|unanswered| Placed::Unknown(unanswered.why))
    }

    async fn decide(&self, order: OrderBody) -> Result<Placed, Unanswered> {
        if let Some(known) = self.log.read(&order.operation_id).await? {
            return self.again(known, &order).await;
        }
        let received = Received::new(now(), order);
        // On the disk before anything is done about it: whatever happens next, it is never done
        // a second time.
        self.log.append(&LogRecord::Received(received.clone())).await?;
        let placed = self.first(&received).await;
        self.note(&received.order.operation_id, &placed).await;
        Ok(placed)
    }

    /// The same answer again; in doubt, whatever reading finds out.
    async fn again(&self, known: Logged, order: &OrderBody) -> Result<Placed, Unanswered> {
        let Some(received) = known.received else {
            return Ok(Placed::Voided);
        };
        if received.order != *order {
            return Ok(Placed::Another);
        }
        match known.outcome {
            Some(Outcome::Accepted(receipt)) => Ok(Placed::Accepted(receipt)),
            Some(Outcome::Refused(refusal)) => Ok(Placed::Refused(refusal)),
            Some(Outcome::Voided) => Ok(Placed::Voided),
            None => Ok(match self.resolve(&received).await? {
                Some(receipt) => Placed::Accepted(receipt),
                None => Placed::Unknown(
                    "it came before, what became of it is not known, and it was not sent again"
                        .to_owned(),
                ),
            }),
        }
    }

    /// Sends it on, the only time.
    async fn first(&self, received: &Received) -> Placed {
        let refused = |because, why: String| Placed::Refused(Refusal::new(because, why));
        let Some(relayed) = relayed(received) else {
            return refused(Because::Refused, "it leads to where it starts".to_owned());
        };
        let plan = relayed.plan.clone();
        let key = plan.key();
        let Some(backend) = self.services.get(key) else {
            return refused(Because::Missing, format!("{key} is not known here"));
        };
        if let Some(why) = self.obstacle(backend.as_ref(), &plan).await {
            return refused(self.because(backend.as_ref(), &plan).await, why);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the one server that relays, behind its token"
        )]
        let order = relayed.into_order();
        match timeout(self.answer_within, backend.start(order)).await {
            Ok(Ok(receipt)) => Placed::Accepted(receipt),
            Ok(Err(StartError::Refused { why })) => {
                refused(self.because(backend.as_ref(), &plan).await, why)
            }
            Ok(Err(StartError::Conflict { live, why })) => {
                let mut refusal = Refusal::new(Because::LiveHasMoved, why);
                refusal.live = live;
                Placed::Refused(refusal)
            }
            Ok(Err(StartError::InDoubt { why })) => Placed::Unknown(why),
            Err(_elapsed) => Placed::Unknown(Unanswered::late(self.answer_within).why),
        }
    }

    /// What the backend would say against it. Nobody else asks: the caller sees no more of the
    /// backend than the contract shows.
    async fn obstacle(&self, backend: &dyn CdBackend, plan: &Plan) -> Option<String> {
        match timeout(self.answer_within / 2, backend.preflight(plan)).await {
            Ok(Ok(preflight)) => match (preflight.acceptance, preflight.undone_by) {
                (Acceptance::Rejected(why), _) => Some(why),
                (Acceptance::Accepted, Presence::Something(by)) => {
                    Some(format!("{by} would undo it"))
                }
                // The caller judges that: it is told in the service's document.
                (Acceptance::Accepted, Presence::Nothing | Presence::CannotTell(_)) => None,
            },
            Ok(Err(error)) => Some(format!("it could not be checked: {}", error.what)),
            Err(_elapsed) => Some("it could not be checked in time".to_owned()),
        }
    }

    /// Whether a refusal is for want of the target.
    async fn because(&self, backend: &dyn CdBackend, plan: &Plan) -> Because {
        let to = &plan.to().revision;
        let history = backend.history(plan.key(), HistoryOptions::newest(HISTORY_MAX));
        match timeout(self.answer_within / 4, history).await {
            Ok(Ok(history))
                if history.len() < HISTORY_MAX && history.iter().all(|it| it.id != *to) =>
            {
                Because::Missing
            }
            Ok(Ok(_) | Err(_)) | Err(_) => Because::Refused,
        }
    }

    /// Writes an outcome down. When that fails, the order is in doubt after a restart, and reading
    /// finds out: it is never sent again.
    async fn note(&self, operation: &RollbackId, placed: &Placed) {
        let (operation_id, at) = (operation.clone(), now());
        let record = match placed {
            Placed::Accepted(receipt) => {
                LogRecord::Accepted { operation_id, at, receipt: receipt.clone() }
            }
            Placed::Refused(refusal) => {
                LogRecord::Refused { operation_id, at, refusal: refusal.clone() }
            }
            Placed::Voided => LogRecord::Voided { operation_id, at },
            Placed::Another | Placed::Unknown(_) => return,
        };
        if let Err(error) = self.log.append(&record).await {
            tracing::error!(%operation, %error, "an outcome could not be written down");
        }
    }

    fn backend(&self, received: &Received) -> Result<(&dyn CdBackend, OrderRef), Unanswered> {
        let relayed = relayed(received).ok_or_else(|| Unanswered::new("it is no rollback"))?;
        let order = relayed.into_order_ref();
        let key = order.plan().key();
        match self.services.get(key) {
            Some(backend) => Ok((backend.as_ref(), order)),
            None => Err(Unanswered::new(format!("{key} is not known here any more"))),
        }
    }

    async fn bounded<T>(
        &self,
        asked: impl Future<Output = Result<T, PortError>> + Send,
    ) -> Result<T, Unanswered> {
        let within = self.answer_within;
        Ok(timeout(within, asked).await.map_err(|_elapsed| Unanswered::late(within))??)
    }

    /// Finds out by reading what became of an order that was sent on.
    async fn resolve(&self, received: &Received) -> Result<Option<Receipt>, Unanswered> {
        let operation = &received.order.operation_id;
        let (backend, order) = self.backend(received)?;
        let found = self.bounded(backend.find(&order)).await?;
        if let Some(receipt) = &found {
            self.note(operation, &Placed::Accepted(receipt.clone())).await;
        }
        Ok(found)
    }

    /// The receipt of an order that was accepted, or in words why there is none.
    async fn receipt(
        &self,
        operation: &RollbackId,
    ) -> Result<Result<(Received, Receipt), String>, Unanswered> {
        let Some(known) = self.log.read(operation).await? else {
            return Ok(Err(format!("`{operation}` never came here")));
        };
        let (received, receipt) = match (known.received, known.outcome) {
            (Some(received), Some(Outcome::Accepted(receipt))) => (received, receipt),
            (Some(received), None) => match self.resolve(&received).await? {
                Some(receipt) => (received, receipt),
                None => return Ok(Err(format!("`{operation}` came and is not found so far"))),
            },
            (Some(_), Some(Outcome::Refused(refusal))) => return Ok(Err(refusal.why.to_string())),
            (None, _) | (Some(_), Some(Outcome::Voided)) => {
                return Ok(Err(format!("`{operation}` was voided")));
            }
        };
        Ok(Ok((received, receipt)))
    }

    /// How an order stands.
    pub(super) async fn look(self: &Arc<Self>, id: RollbackId) -> Result<Found, Unanswered> {
        let look = |orders: Arc<Self>| async move {
            let _turn = orders.turns.of(&id).await;
            match orders.receipt(&id).await? {
                Err(why) => Ok(Found::Never(why)),
                Ok((received, receipt)) => {
                    let (backend, order) = orders.backend(&received)?;
                    let progress = orders
                        .bounded(backend.observe(&order, &receipt, ObserveOptions::default()))
                        .await?;
                    Ok(Found::Execution(receipt, Box::new(progress)))
                }
            }
        };
        self.apart(look).await
    }

    /// Asks the backend to cancel what it took.
    pub(super) async fn cancel(self: &Arc<Self>, id: RollbackId) -> Result<Stopped, Unanswered> {
        let cancel = |orders: Arc<Self>| async move {
            let _turn = orders.turns.of(&id).await;
            match orders.receipt(&id).await? {
                Err(why) => Ok(Stopped::Never(why)),
                Ok((received, receipt)) => {
                    let (backend, order) = orders.backend(&received)?;
                    Ok(match orders.bounded(backend.cancel(&order, &receipt)).await? {
                        Cancelled::Requested => Stopped::Requested(receipt),
                        Cancelled::TooLate => Stopped::TooLate(receipt),
                    })
                }
            }
        };
        self.apart(cancel).await
    }

    /// Makes an order void that was never accepted.
    pub(super) async fn void(self: &Arc<Self>, id: RollbackId) -> Result<Void, Unanswered> {
        let void = |orders: Arc<Self>| async move {
            let _turn = orders.turns.of(&id).await;
            let known = orders.log.read(&id).await?.unwrap_or_default();
            let void = match (known.received, known.outcome) {
                (_, Some(Outcome::Accepted(_))) => return Ok(Void::Accepted),
                // It stays turned away.
                (_, Some(Outcome::Refused(_) | Outcome::Voided)) => return Ok(Void::Done),
                (None, None) => Void::Done,
                (Some(received), None) => orders.fence(&received).await?,
            };
            if void == Void::Done {
                orders
                    .log
                    .append(&LogRecord::Voided { operation_id: id.clone(), at: now() })
                    .await?;
            }
            Ok(void)
        };
        self.apart(void).await
    }

    /// The order was sent on, and nobody knows what became of it: find, fence, and find once more.
    async fn fence(&self, received: &Received) -> Result<Void, Unanswered> {
        if self.resolve(received).await?.is_some() {
            return Ok(Void::Accepted);
        }
        let (backend, order) = self.backend(received)?;
        match self.bounded(backend.fence(&order)).await? {
            Fenced::Unsupported => Ok(Void::CannotProve),
            Fenced::Done => match self.resolve(received).await? {
                Some(_receipt) => Ok(Void::Accepted),
                None => Ok(Void::Done),
            },
        }
    }

    /// What would undo a rollback of the service: asked about the newest one that there could be.
    /// None where there is none, or where the backend cannot tell.
    async fn undone_by(
        &self,
        key: &ServiceKey,
        backend: &dyn CdBackend,
        live: Option<&RevisionRef>,
        history: &[rollback_core::Revision],
    ) -> Option<Option<String>> {
        let live = live?;
        let to = history
            .iter()
            .find(|it| it.id != live.revision && it.restorable == rollback_core::Restorable::Yes)?;
        let plan = Plan::new(key.clone(), live.clone(), to.reference()).ok()?;
        match self.bounded(backend.preflight(&plan)).await {
            Ok(preflight) => told(preflight.undone_by),
            Err(error) => {
                tracing::warn!(%key, why = error.why, "what would undo a rollback is not known");
                None
            }
        }
    }

    /// What is live, what is in progress and what there was. None for a service nobody configured.
    pub(super) async fn service(&self, key: &ServiceKey) -> Result<Option<Service>, Unanswered> {
        let Some(backend) = self.services.get(key) else { return Ok(None) };
        let (live, history) = tokio::join!(
            self.bounded(backend.live(key, LiveOptions::default())),
            self.bounded(backend.history(key, HistoryOptions::newest(HISTORY_MAX)))
        );
        let (live, history) = (live?, history?);
        let undone_by =
            self.undone_by(key, backend.as_ref(), live.revision.as_ref(), &history).await;
        let revisions: Vec<Revision> = history.into_iter().map(Revision::from).collect();
        let whole = |live: RevisionRef| {
            let known = revisions.iter().find(|revision| revision.id == live.revision).cloned();
            known.unwrap_or_else(|| live.into())
        };
        Ok(Some(Service {
            live: live.revision.map(whole),
            in_progress: told(live.in_progress).map(|operation| operation.map(Into::into)),
            undone_by,
            capabilities: promises(backend.capabilities(key)),
            revisions,
        }))
    }
}

/// What is told of it: nothing at all where it cannot be told.
fn told<T>(presence: Presence<T>) -> Option<Option<T>> {
    match presence {
        Presence::Nothing => Some(None),
        Presence::Something(something) => Some(Some(something)),
        Presence::CannotTell(_) => None,
    }
}

fn promises(can: Capabilities) -> Promises {
    let compare_and_set = match can.compare_and_set {
        CompareAndSet::Yes | CompareAndSet::Ticket => true,
        CompareAndSet::No => false,
    };
    Promises { compare_and_set, fence: can.fence == Fence::Yes }
}
