//! Lives of a process: every append and every effect is a point at which the process can be killed,
//! an action that can be repeated, or a call whose request or answer is lost.
//!
//! Put [`Mortal`] between an engine and everything it touches. What lies below keeps the truth;
//! what the engine does after its death never happens.

mod action;

pub use self::action::{Action, Place, Side};

use crate::again;
use crate::fakes::FakeBackend;
use crate::invariants::Seen;
use async_trait::async_trait;
use rollback_core::access::Standing;
use rollback_core::audit::{Draft, Head, Record};
use rollback_core::notice::{Attempt, Delivered, Delivery, DeployCard, MessageRef, NoticeKind};
use rollback_core::observed::{Freeze, Live, Preflight, ServiceRecord};
use rollback_core::ports::{
    AuditLog, AuditSink, Cancelled, Capabilities, CdBackend, Changes, Claim, Claims, Clock,
    ClockSteps, Commit, Committed, Directory, ErrorKind, Fenced, Freshness, Hints, HistoryOptions,
    Instance, Journal, Journals, Kept, Listed, LiveOptions, Notifier, NotifyError, ObserveOptions,
    Outbox, PortError, Pruned, Query, Queued, Receipts, Retention, SavedDeploy, Services,
    StartError, Store, StoreError, StoreLeft, Unreadable,
};
use rollback_core::proof::{Order, OrderRef};
use rollback_core::{
    ChannelId, Deploy, DeployId, GroupId, Label, Plan, Progress, Receipt, Revision, RevisionId,
    RollbackId, RollbackView, ServiceChange, ServiceKey, Timestamp, UserId,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long a process stands still: longer than the engine's lease, and shorter than facts stay
/// fresh, so that it wakes up with an order in its hands that it believes in.
pub const PAUSE: Duration = Duration::from_secs(20);

/// What happens to a process, once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a sweep names the one it makes")]
pub enum Fate {
    /// Nothing.
    Spared,
    /// It is killed at this point, counted from 1. Every action has two: before and after.
    KilledAt(usize),
    /// It stands still at this place until [`Life::go_on`]: whoever watches [`Life::paused`] kills
    /// or stops the process meanwhile.
    HaltsAt(Place),
    /// It stands still at this point for [`PAUSE`], as a process that is stopped and continued or a
    /// machine that is suspended, and then goes on as if nothing had happened.
    PausedAt(usize),
    /// This action, counted from 1, happens twice, and the second answer is the one that counts.
    Repeats(usize),
    /// This action happens, and its answer is lost.
    LosesAnswer(usize),
    /// This action does not happen, and its caller cannot know.
    LosesRequest(usize),
}

/// One life of a process, from its start to its death.
#[derive(Clone, Debug)]
pub struct Life {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    fate: Fate,
    counts: Mutex<Counts>,
    dead: watch::Sender<Option<&'static str>>,
    paused: watch::Sender<Pause>,
    log: Log,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pause {
    NotYet,
    Now,
    Over,
}

#[derive(Debug, Default)]
struct Counts {
    points: usize,
    actions: usize,
    /// How often each side of each action was passed.
    sides: BTreeMap<(Action, Side), usize>,
}

/// What was seen of everything below the engine, over all its lives, in its order.
#[derive(Clone, Default)]
pub struct Log {
    seen: Arc<Mutex<Vec<Seen>>>,
    tell: Option<Arc<Tell>>,
}

/// Where else to what was seen goes.
type Tell = dyn Fn(&Seen) + Send + Sync;

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Log {
    /// A log that also tells `tell` of everything, at once: for a process that may die with it.
    #[must_use]
    pub fn telling(tell: impl Fn(&Seen) + Send + Sync + 'static) -> Self {
        Self { seen: Arc::default(), tell: Some(Arc::new(tell)) }
    }

    /// Adds what was seen.
    pub fn push(&self, seen: Seen) {
        if let Some(tell) = &self.tell {
            tell(&seen);
        }
        locked(&self.seen).push(seen);
    }

    /// Everything so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        locked(&self.seen).clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Life {
    /// A life with this fate, that writes what is seen of it into `log`.
    #[must_use]
    pub fn new(fate: Fate, log: &Log) -> Self {
        let shared = Shared {
            fate,
            counts: Mutex::default(),
            dead: watch::Sender::new(None),
            paused: watch::Sender::new(Pause::NotYet),
            log: log.clone(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// How many points at which it could be killed it has passed.
    #[must_use]
    pub fn points(&self) -> usize {
        locked(&self.shared.counts).points
    }

    /// How many appends and effects it has performed.
    #[must_use]
    pub fn actions(&self) -> usize {
        locked(&self.shared.counts).actions
    }

    /// Where it was killed, if it was.
    #[must_use]
    pub fn killed_at(&self) -> Option<&'static str> {
        *self.shared.dead.borrow()
    }

    /// Kills it now.
    pub fn kill(&self) {
        self.shared.dead.send_replace(Some("from outside"));
    }

    /// Completes when it is dead.
    pub async fn ended(&self) {
        let mut dead = self.shared.dead.subscribe();
        if dead.wait_for(Option::is_some).await.is_err() {
            core::future::pending::<()>().await;
        }
    }

    /// Completes when it stands still, or has stood still.
    pub async fn paused(&self) {
        let mut paused = self.shared.paused.subscribe();
        if paused.wait_for(|pause| *pause != Pause::NotYet).await.is_err() {
            core::future::pending::<()>().await;
        }
    }

    /// The dead do nothing, for ever; those who stand still do nothing until they go on.
    async fn alive(&self) {
        let mut paused = self.shared.paused.subscribe();
        // The sender lives as long as this life.
        drop(paused.wait_for(|pause| *pause != Pause::Now).await);
        if self.killed_at().is_some() {
            core::future::pending::<()>().await;
        }
    }

    /// One that stands still at its place goes on.
    pub fn go_on(&self) {
        self.shared.paused.send_replace(Pause::Over);
    }

    async fn point(&self, action: Action, side: Side) {
        self.alive().await;
        let (count, time) = {
            let mut counts = locked(&self.shared.counts);
            counts.points += 1;
            let points = counts.points;
            let time = counts.sides.entry((action, side)).or_default();
            *time += 1;
            (points, *time)
        };
        if self.shared.fate == Fate::HaltsAt(Place { action, side, time }) {
            self.shared.paused.send_replace(Pause::Now);
            self.alive().await;
        }
        if self.shared.fate == Fate::PausedAt(count) {
            self.shared.paused.send_replace(Pause::Now);
            let shared = Arc::clone(&self.shared);
            // Whoever waits here may be dropped; the pause ends nevertheless.
            drop(tokio::spawn(async move {
                tokio::time::sleep(PAUSE).await;
                shared.paused.send_replace(Pause::Over);
            }));
            self.alive().await;
        }
        if self.shared.fate == Fate::KilledAt(count) {
            self.shared.dead.send_replace(Some(action.name()));
            core::future::pending::<()>().await;
        }
    }

    /// One action: an append or an effect.
    async fn act<T, F>(&self, action: Action, call: impl Fn() -> F, lost: impl FnOnce() -> T) -> T
    where
        F: Future<Output = T>,
    {
        self.point(action, Side::Before).await;
        let number = {
            let mut counts = locked(&self.shared.counts);
            counts.actions += 1;
            counts.actions
        };
        let fate = self.shared.fate;
        let answer = if fate == Fate::LosesRequest(number) {
            lost()
        } else {
            let first = call().await;
            if fate == Fate::Repeats(number) {
                drop(first);
                call().await
            } else if fate == Fate::LosesAnswer(number) {
                drop(first);
                lost()
            } else {
                first
            }
        };
        self.point(action, Side::After).await;
        answer
    }

    /// One read.
    async fn read<T>(&self, read: impl Future<Output = T>) -> T {
        self.alive().await;
        let answer = read.await;
        self.alive().await;
        answer
    }

    fn saw(&self, seen: Seen) {
        self.shared.log.push(seen);
    }
}

/// Something that an engine touches, as one life of the engine touches it.
#[derive(Debug)]
pub struct Mortal<T: ?Sized> {
    life: Life,
    inner: Arc<T>,
    clock: Arc<dyn Clock>,
}

impl<T: ?Sized> Mortal<T> {
    /// Lets one life of an engine touch `inner`.
    #[must_use]
    pub fn new(life: &Life, inner: &Arc<T>, clock: &Arc<dyn Clock>) -> Self {
        Self { life: life.clone(), inner: Arc::clone(inner), clock: Arc::clone(clock) }
    }
}

fn doubt<T>() -> Result<T, StoreError> {
    Err(StoreError::InDoubt("the answer was lost".into()))
}

fn silence<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("no answer came".into()))
}

fn lost(operation: &'static str) -> PortError {
    PortError::new(ErrorKind::Retry(None), "mortal", operation, "the answer was lost")
}

#[async_trait]
impl<S: Store + ?Sized> Journals for Mortal<S> {
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let action = Action::Commit(commit.view.state);
        let call = || async {
            let (seen, commit) = (Seen::stored(&commit), commit.clone());
            let committed = self.inner.commit(commit).await;
            if committed.is_ok() {
                self.life.saw(seen);
            }
            committed
        };
        self.life.act(action, call, doubt).await
    }

    async fn load(&self, id: &RollbackId) -> Result<Option<Journal>, StoreError> {
        self.life.read(self.inner.load(id)).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Listed>, StoreError> {
        self.life.read(self.inner.list(query)).await
    }

    async fn shown(&self, deploy: &DeployId) -> Result<Option<RollbackView>, StoreError> {
        self.life.read(self.inner.shown(deploy)).await
    }

    async fn unattended(&self, now: Timestamp) -> Result<Vec<RollbackId>, StoreError> {
        self.life.read(self.inner.unattended(now)).await
    }

    async fn put_aside(&self) -> Result<Vec<RollbackId>, StoreError> {
        self.life.read(self.inner.put_aside()).await
    }
}

#[async_trait]
impl<S: Store + ?Sized> Claims for Mortal<S> {
    async fn claim(
        &self,
        id: &RollbackId,
        owner: &Instance,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        let call = || async {
            let claim = self.inner.claim(id, owner, now, lease).await;
            if let Ok(Some(claim)) = &claim {
                self.life.saw(Seen::Claimed {
                    rollback: id.clone(),
                    owner: owner.clone(),
                    fence: claim.fence,
                    at: now,
                    until: claim.expires_at,
                });
            }
            claim
        };
        self.life.act(Action::Claim, call, silence).await
    }

    async fn attempt(&self, claim: &Claim, name: &Label) -> Result<u32, StoreError> {
        self.life.act(Action::Attempt, || self.inner.attempt(claim, name), silence).await
    }

    async fn attempts(&self, id: &RollbackId) -> Result<u32, StoreError> {
        self.life.read(self.inner.attempts(id)).await
    }

    async fn survived(&self, claim: &Claim) -> Result<(), StoreError> {
        self.life.act(Action::Attempt, || self.inner.survived(claim), silence).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let call = || async {
            // It counts on its claim no more once it asks, whether or not it hears an answer; and
            // somebody else may have it before that.
            let rollback = claim.rollback.clone();
            self.life.saw(Seen::GaveBack { rollback, fence: claim.fence });
            self.inner.release(claim).await
        };
        self.life.act(Action::Release, call, silence).await
    }
}

#[async_trait]
impl<S: Store + ?Sized> Services for Mortal<S> {
    async fn save_deploy(
        &self,
        card: &DeployCard,
        notices: Vec<Queued>,
    ) -> Result<SavedDeploy, StoreError> {
        let call = || self.inner.save_deploy(card, notices.clone());
        self.life.act(Action::SaveDeploy, call, silence).await
    }

    async fn update_deploy(
        &self,
        card: &DeployCard,
        notices: Vec<Queued>,
    ) -> Result<(), StoreError> {
        let call = || self.inner.update_deploy(card, notices.clone());
        self.life.act(Action::UpdateDeploy, call, silence).await
    }

    async fn deploy(&self, id: &DeployId) -> Result<Option<DeployCard>, StoreError> {
        self.life.read(self.inner.deploy(id)).await
    }

    async fn deploys(&self, key: &ServiceKey, limit: usize) -> Result<Vec<Deploy>, StoreError> {
        self.life.read(self.inner.deploys(key, limit)).await
    }

    async fn record(&self, key: &ServiceKey) -> Result<ServiceRecord, StoreError> {
        self.life.read(self.inner.record(key)).await
    }

    async fn freezes(&self, key: &ServiceKey) -> Result<Vec<Freeze>, StoreError> {
        self.life.read(self.inner.freezes(key)).await
    }

    async fn change(
        &self,
        key: &ServiceKey,
        change: &ServiceChange,
        record: Draft,
        notices: Vec<Queued>,
    ) -> Result<bool, StoreError> {
        let call = || self.inner.change(key, change, record.clone(), notices.clone());
        self.life.act(Action::ChangeService, call, silence).await
    }
}

#[async_trait]
impl<S: Store + ?Sized> Outbox for Mortal<S> {
    async fn queue(&self, notices: Vec<Queued>) -> Result<(), StoreError> {
        self.life.act(Action::Queue, || self.inner.queue(notices.clone()), silence).await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Queued>, StoreError> {
        self.life.read(self.inner.due(now, limit)).await
    }

    async fn take(
        &self,
        owner: &Instance,
        now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Queued>, StoreError> {
        let call = || self.inner.take(owner, now, hold, limit);
        self.life.act(Action::Take, call, silence).await
    }

    async fn put_off_unreadable(
        &self,
        owner: &Instance,
        now: Timestamp,
        not_before: Timestamp,
        attempts_max: u32,
        limit: usize,
    ) -> Result<Vec<Unreadable>, StoreError> {
        let call = || self.inner.put_off_unreadable(owner, now, not_before, attempts_max, limit);
        self.life.act(Action::Abandon, call, silence).await
    }

    async fn give_back(&self, queued: &[Queued]) -> Result<(), StoreError> {
        self.life.act(Action::GiveBack, || self.inner.give_back(queued), silence).await
    }

    async fn next_due(
        &self,
        owner: &Instance,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.life.read(self.inner.next_due(owner, now)).await
    }

    async fn waiting(&self) -> Result<u64, StoreError> {
        self.life.read(self.inner.waiting()).await
    }

    async fn delivered(
        &self,
        queued: &Queued,
        message: Option<MessageRef>,
    ) -> Result<(), StoreError> {
        let call = || self.inner.delivered(queued, message.clone());
        self.life.act(Action::Delivered, call, silence).await
    }

    async fn postpone(
        &self,
        queued: &Queued,
        not_before: Timestamp,
        attempt: Attempt,
    ) -> Result<(), StoreError> {
        let call = || self.inner.postpone(queued, not_before, attempt);
        self.life.act(Action::Postpone, call, silence).await
    }

    async fn abandon(&self, queued: &Queued, why: &str) -> Result<(), StoreError> {
        self.life.act(Action::Abandon, || self.inner.abandon(queued, why), silence).await
    }

    async fn message(&self, notifier: &str, key: &Label) -> Result<Option<MessageRef>, StoreError> {
        self.life.read(self.inner.message(notifier, key)).await
    }
}

#[async_trait]
impl<S: Store + ?Sized> AuditLog for Mortal<S> {
    async fn append(&self, record: Draft) -> Result<(), StoreError> {
        self.life.act(Action::Append, || self.inner.append(record.clone()), silence).await
    }

    async fn audit(&self, query: &Query) -> Result<Vec<Record>, StoreError> {
        self.life.read(self.inner.audit(query)).await
    }

    async fn last_record(&self, rollback: &RollbackId) -> Result<Option<Record>, StoreError> {
        self.life.read(self.inner.last_record(rollback)).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.life.read(self.inner.head()).await
    }

    async fn unacknowledged(&self, sink: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.life.read(self.inner.unacknowledged(sink, limit)).await
    }

    async fn acknowledge(&self, sink: &str, sequence: u64) -> Result<(), StoreError> {
        self.life.act(Action::Acknowledge, || self.inner.acknowledge(sink, sequence), silence).await
    }
}

#[async_trait]
impl<S: Store + ?Sized> Receipts for Mortal<S> {
    async fn see(
        &self,
        digests: &[[u8; 32]],
        now: Timestamp,
        keep: Duration,
    ) -> Result<bool, StoreError> {
        self.life.act(Action::See, || self.inner.see(digests, now, keep), silence).await
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Mortal<S> {
    async fn prune(&self, now: Timestamp, keep: Retention) -> Result<Pruned, StoreError> {
        self.life.read(self.inner.prune(now, keep)).await
    }

    async fn compare(&self, kept: &Head) -> Result<(), StoreError> {
        self.life.read(self.inner.compare(kept)).await
    }

    async fn acknowledge_loss(&self) -> Result<(), StoreError> {
        self.life.read(self.inner.acknowledge_loss()).await
    }

    fn hints(&self) -> Box<dyn Hints> {
        self.inner.hints()
    }

    fn clock_steps(&self) -> ClockSteps {
        self.inner.clock_steps()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.life.read(self.inner.ping()).await
    }

    async fn close(&self) -> Result<(), StoreLeft> {
        self.life.read(self.inner.close()).await
    }
}

/// A CD system of which it may be known what is true.
pub trait Truthful: CdBackend {
    /// How many orders changed what is live, and what is; none where only it knows.
    fn truth_now(&self) -> Option<(usize, Option<RevisionId>)>;
}

impl Truthful for FakeBackend {
    fn truth_now(&self) -> Option<(usize, Option<RevisionId>)> {
        Some((self.effects(), self.truth()))
    }
}

/// One in another process, which tells for itself what takes effect there.
impl Truthful for dyn CdBackend {
    fn truth_now(&self) -> Option<(usize, Option<RevisionId>)> {
        None
    }
}

/// Hints that a dead process no longer hears.
#[derive(Debug)]
struct MortalChanges {
    life: Life,
    inner: Box<dyn Changes>,
}

#[async_trait]
impl Changes for MortalChanges {
    async fn next(&mut self) {
        self.life.read(self.inner.next()).await;
    }
}

#[async_trait]
impl<B: Truthful + ?Sized> CdBackend for Mortal<B> {
    fn capabilities(&self, key: &ServiceKey) -> Capabilities {
        self.inner.capabilities(key)
    }

    async fn history(
        &self,
        key: &ServiceKey,
        options: HistoryOptions,
    ) -> Result<Vec<Revision>, PortError> {
        self.life.read(self.inner.history(key, options)).await
    }

    async fn live(&self, key: &ServiceKey, options: LiveOptions) -> Result<Live, PortError> {
        self.life.read(self.inner.live(key, options)).await
    }

    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        self.life.read(self.inner.preflight(plan)).await
    }

    async fn start(&self, order: Order) -> Result<Receipt, StartError> {
        self.life.alive().await;
        self.life.saw(Seen::Sent {
            rollback: order.rollback().clone(),
            plan: Box::new(order.plan().clone()),
            at: self.clock.now(),
        });
        let call = || async {
            let before = self.inner.truth_now();
            let answer = self.inner.start(again(&order)).await;
            if let (Some((effects, live)), Some((now, _))) = (before, self.inner.truth_now())
                && now > effects
            {
                self.life.saw(Seen::TookEffect { rollback: order.rollback().clone(), live });
            }
            answer
        };
        let doubt = || Err(StartError::InDoubt { why: "the answer was lost".into() });
        self.life.act(Action::Start, call, doubt).await
    }

    async fn find(&self, order: &OrderRef) -> Result<Option<Receipt>, PortError> {
        self.life.read(self.inner.find(order)).await
    }

    async fn fence(&self, order: &OrderRef) -> Result<Fenced, PortError> {
        let call = || async {
            let fenced = self.inner.fence(order).await;
            if let Ok(Fenced::Done) = fenced {
                self.life.saw(Seen::Fenced { rollback: order.rollback().clone() });
            }
            fenced
        };
        self.life.act(Action::Fence, call, || Err(lost("fence"))).await
    }

    async fn observe(
        &self,
        order: &OrderRef,
        receipt: &Receipt,
        options: ObserveOptions,
    ) -> Result<Progress, PortError> {
        self.life.read(self.inner.observe(order, receipt, options)).await
    }

    async fn cancel(&self, order: &OrderRef, receipt: &Receipt) -> Result<Cancelled, PortError> {
        let call = || self.inner.cancel(order, receipt);
        self.life.act(Action::Cancel, call, || Err(lost("cancel"))).await
    }

    fn changes(&self, key: &ServiceKey) -> Box<dyn Changes> {
        Box::new(MortalChanges { life: self.life.clone(), inner: self.inner.changes(key) })
    }

    async fn drain(&self) {
        self.life.read(self.inner.drain()).await;
    }
}

#[async_trait]
impl<N: Notifier + ?Sized> Notifier for Mortal<N> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn place(&self, kind: NoticeKind, channel: &ChannelId) -> Option<ChannelId> {
        self.inner.place(kind, channel)
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, NotifyError> {
        let doubt = || Err(NotifyError::InDoubt { why: "the answer was lost".into() });
        let tried = Mutex::new(false);
        let call = || async {
            let mut delivery = delivery.clone();
            if core::mem::replace(&mut *locked(&tried), true) {
                // Below the port, whoever sends a request twice must look whether it arrived.
                delivery.attempt = Attempt::InDoubt;
            }
            self.inner.deliver(&delivery).await
        };
        self.life.act(Action::Deliver, call, doubt).await
    }

    async fn deliver_lines(
        &self,
        first: &Delivery,
        following: &[Delivery],
    ) -> Result<(usize, Delivered), NotifyError> {
        let doubt = || Err(NotifyError::InDoubt { why: "the answer was lost".into() });
        let tried = Mutex::new(false);
        let call = || async {
            let (mut first, mut following) = (first.clone(), following.to_vec());
            if core::mem::replace(&mut *locked(&tried), true) {
                first.attempt = Attempt::InDoubt;
                following.iter_mut().for_each(|line| line.attempt = Attempt::InDoubt);
            }
            self.inner.deliver_lines(&first, &following).await
        };
        self.life.act(Action::DeliverLines, call, doubt).await
    }
}

#[async_trait]
impl<S: AuditSink + ?Sized> AuditSink for Mortal<S> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn record(&self, record: &Record) -> Result<(), PortError> {
        let call = || async {
            let kept = self.inner.record(record).await;
            if kept.is_ok() {
                self.life.saw(Seen::Kept { record: record.draft.id.clone() });
            }
            kept
        };
        self.life.act(Action::Record, call, || Err(lost("keep a record"))).await
    }

    async fn kept(&self) -> Result<Kept, PortError> {
        self.life.read(self.inner.kept()).await
    }
}

#[async_trait]
impl<D: Directory + ?Sized> Directory for Mortal<D> {
    async fn standing(&self, user: &UserId, groups: &[GroupId], freshness: Freshness) -> Standing {
        let call = || self.inner.standing(user, groups, freshness);
        self.life.act(Action::Standing, call, || Standing::unknown("the answer was lost")).await
    }

    fn last_seen_in(&self, user: &UserId, groups: &[GroupId]) -> Vec<GroupId> {
        self.inner.last_seen_in(user, groups)
    }

    fn held_back_max(&self) -> Duration {
        self.inner.held_back_max()
    }
}
