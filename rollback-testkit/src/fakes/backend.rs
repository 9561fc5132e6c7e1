//! A CD system in memory.

use crate::fixtures;
use async_trait::async_trait;
use rollback_core::observed::{InProgress, Live, OperationKind, Preflight};
use rollback_core::ports::{
    Cancelled, Capabilities, CdBackend, Changes, CompareAndSet, ErrorKind, Fence, Fenced,
    HistoryOptions, LiveOptions, NoChanges, ObserveOptions, PortError, StartError,
};
use rollback_core::proof::{Order, OrderRef};
use rollback_core::{
    Label, Phase, Plan, Presence, Progress, Receipt, Restorable, Revision, RevisionId,
    RevisionStatus, RollbackId, ServiceKey,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A method of the port, as [`FakeBackend::calls`] lists it and a fault is aimed at it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "the methods of the port")]
pub enum Method {
    /// [`CdBackend::history`].
    History,
    /// [`CdBackend::live`].
    Live,
    /// [`CdBackend::preflight`].
    Preflight,
    /// [`CdBackend::start`].
    Start,
    /// [`CdBackend::find`].
    Find,
    /// [`CdBackend::fence`].
    Fence,
    /// [`CdBackend::observe`].
    Observe,
    /// [`CdBackend::cancel`].
    Cancel,
}

/// What goes wrong at one call. Of a method that changes nothing, the first four are errors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The CD system refuses, and nothing happens.
    Refuse,
    /// The CD system says that something else is live, and nothing happens.
    Conflict,
    /// The request is lost; the caller cannot know.
    LoseRequest,
    /// The request is carried out and the answer is lost; the caller cannot know.
    LoseAnswer,
    /// The request is held up on its way until [`FakeBackend::release`]; the caller cannot know.
    HoldUp,
    /// The request is never answered, and never arrives.
    Hang,
}

/// A CD system in memory for one service, with its ground truth.
///
/// An accepted order takes effect at once; its phases then advance by one at each look.
///
/// ```
/// use rollback_core::ports::{Capabilities, CdBackend, CompareAndSet, Fence};
/// use rollback_testkit::fakes::{FakeBackend, Fault, Method};
/// use rollback_testkit::{again, fixtures, order_for};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let cd = FakeBackend::new(Capabilities::new(CompareAndSet::Yes, Fence::Yes));
/// cd.fail(Method::Start, Fault::LoseAnswer);
/// let order = order_for(fixtures::plan());
/// assert!(cd.start(again(&order)).await.is_err());
/// assert!(cd.find(&order).await?.is_some());
/// assert_eq!(cd.effects(), 1);
/// # Ok::<(), rollback_core::ports::PortError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FakeBackend {
    key: ServiceKey,
    capabilities: Capabilities,
    declared: Capabilities,
    world: Mutex<World>,
    /// Counts what happened.
    news: watch::Sender<u64>,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that a test flips")]
struct World {
    revisions: Vec<Revision>,
    live: Option<RevisionId>,
    deploying: bool,
    preflight: Option<Preflight>,
    executions: BTreeMap<RollbackId, Execution>,
    held: Vec<Sent>,
    /// Raised by a fence; an order that was sent under a lower one is refused.
    generation: u64,
    /// The orders that a fence was put up against.
    void: BTreeSet<RollbackId>,
    faults: BTreeMap<Method, VecDeque<Fault>>,
    unreachable: bool,
    calls: Vec<Method>,
    sends: usize,
    effects: usize,
    script: Vec<Progress>,
    pretends: bool,
    cancels_nothing: bool,
    /// Whether it says at each look how many there were.
    chatters: bool,
    looks: u64,
    /// How long a process of ours is needed after a graceful stop began.
    needed_for: core::time::Duration,
    /// How often it was let go in good order.
    drained: usize,
}

/// An execution that the CD system accepted.
#[derive(Debug)]
struct Execution {
    receipt: Receipt,
    from: RevisionId,
    to: RevisionId,
    looks: VecDeque<Progress>,
}

impl Execution {
    fn phase(&self) -> Phase {
        self.looks.front().map_or(Phase::Complete, |look| look.phase)
    }

    fn runs(&self) -> bool {
        matches!(self.phase(), Phase::Started | Phase::HealthChecking)
    }
}

/// An order on its way.
#[derive(Debug)]
struct Sent {
    rollback: RollbackId,
    from: RevisionId,
    to: RevisionId,
    generation: u64,
}

impl FakeBackend {
    /// A CD system for [`fixtures::key`] with [`fixtures::history`], the newest revision live.
    #[must_use]
    pub fn new(capabilities: Capabilities) -> Self {
        Self::with_history(fixtures::key(), capabilities, fixtures::history())
    }

    /// A CD system for a service with this history, the newest revision live. It compares and fences
    /// as far as these capabilities go; it cancels, and shows everything.
    #[must_use]
    pub fn with_history(
        key: ServiceKey,
        capabilities: Capabilities,
        history: Vec<Revision>,
    ) -> Self {
        let world = World {
            live: history.first().map(|revision| revision.id.clone()),
            revisions: history,
            script: [Phase::Started, Phase::HealthChecking, Phase::Complete]
                .map(Progress::new)
                .to_vec(),
            ..World::default()
        };
        let mut declared = Capabilities::full();
        (declared.compare_and_set, declared.fence) =
            (capabilities.compare_and_set, capabilities.fence);
        let news = watch::Sender::new(0);
        Self { key, capabilities, declared, world: Mutex::new(world), news }
    }

    /// The same, declaring capabilities that it may not have.
    #[must_use]
    pub const fn declaring(mut self, declared: Capabilities) -> Self {
        self.declared = declared;
        self
    }

    /// The next call of `method` goes wrong like this; several calls queue.
    pub fn fail(&self, method: Method, fault: Fault) {
        self.world().faults.entry(method).or_default().push_back(fault);
    }

    /// Nothing that is sent from now on arrives; every read fails.
    pub fn cut(&self) {
        self.world().unreachable = true;
    }

    /// The CD system answers again.
    pub fn heal(&self) {
        self.world().unreachable = false;
    }

    /// Forgets what it was told to fail.
    pub fn clear_faults(&self) {
        self.world().faults.clear();
    }

    /// From now on an execution needs the process that ordered it for so long after a stop began.
    pub fn need_the_process_for(&self, wait: core::time::Duration) {
        self.world().needed_for = wait;
    }

    /// How often whoever stopped waited until no execution needed it any more.
    #[must_use]
    pub fn drained(&self) -> usize {
        self.world().drained
    }

    /// The orders that were held up arrive now.
    pub fn release(&self) {
        let mut world = self.world();
        for sent in core::mem::take(&mut world.held) {
            // Nobody waits for the answer any more.
            drop(world.receive(&sent, self.capabilities));
        }
        drop(world);
        self.happened();
    }

    /// The order of this rollback that was held up arrives now; what is answered nobody hears.
    pub fn arrive(&self, rollback: &RollbackId) -> Option<Result<Receipt, StartError>> {
        let mut world = self.world();
        let place = world.held.iter().position(|sent| sent.rollback == *rollback)?;
        let sent = world.held.remove(place);
        let answer = world.receive(&sent, self.capabilities);
        drop(world);
        self.happened();
        Some(answer)
    }

    /// Orders are accepted and reported on from now on, and change nothing.
    pub fn pretend(&self) {
        self.world().pretends = true;
    }

    /// Whatever runs, it is too late to cancel it.
    pub fn cancel_nothing(&self) {
        self.world().cancels_nothing = true;
    }

    /// Whatever is looked at, each look is told in other words.
    pub fn chatter(&self) {
        self.world().chatters = true;
    }

    /// Somebody makes a known revision live by hand.
    pub fn put_live(&self, revision: &RevisionId) {
        self.world().live = Some(revision.clone());
        self.happened();
    }

    /// Somebody deploys a good revision, past us.
    pub fn deploy(&self, revision: Revision) {
        let mut world = self.world();
        world.live = Some(revision.id.clone());
        world.revisions.insert(0, revision);
        drop(world);
        self.happened();
    }

    /// A deploy is in progress from now on, or no longer.
    pub fn deploying(&self, in_progress: InDeploy) {
        self.world().deploying = in_progress == InDeploy::Yes;
    }

    /// What restores `revision` is gone.
    pub fn prune(&self, revision: &RevisionId) {
        if let Some(found) = self.world().revisions.iter_mut().find(|r| r.id == *revision) {
            found.restorable = Restorable::No;
        }
    }

    /// Marks how the deploy of a revision ended.
    pub fn set_status(&self, revision: &RevisionId, status: RevisionStatus) {
        if let Some(found) = self.world().revisions.iter_mut().find(|r| r.id == *revision) {
            found.status = status;
        }
    }

    /// Replaces the history, and says what is live.
    pub fn set_history(&self, history: Vec<Revision>, live: Option<RevisionId>) {
        let mut world = self.world();
        world.revisions = history;
        world.live = live;
    }

    /// What every preflight answers from now on.
    pub fn set_preflight(&self, preflight: Preflight) {
        self.world().preflight = Some(preflight);
    }

    /// The phases of the executions from now on, one at each look; the last one stays.
    pub fn set_phases(&self, phases: impl IntoIterator<Item = Phase>) {
        self.set_looks(phases.into_iter().map(Progress::new));
    }

    /// The same, with all that a look tells.
    pub fn set_looks(&self, looks: impl IntoIterator<Item = Progress>) {
        self.world().script = looks.into_iter().collect();
    }

    /// What is live, in truth.
    #[must_use]
    pub fn truth(&self) -> Option<RevisionId> {
        self.world().live.clone()
    }

    /// How many orders were sent, whether or not they arrived.
    #[must_use]
    pub fn sends(&self) -> usize {
        self.world().sends
    }

    /// How many orders changed what is live.
    #[must_use]
    pub fn effects(&self) -> usize {
        self.world().effects
    }

    /// Every call so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Method> {
        self.world().calls.clone()
    }

    fn happened(&self) {
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a call and takes the fault that waits for it.
    fn called(&self, method: Method) -> Option<Fault> {
        let mut world = self.world();
        world.calls.push(method);
        let fault = world.faults.get_mut(&method).and_then(VecDeque::pop_front);
        if world.unreachable { fault.or(Some(Fault::LoseRequest)) } else { fault }
    }

    /// A call that changes nothing: any fault is an error.
    async fn read(&self, method: Method, what: &'static str) -> Result<(), PortError> {
        match self.called(method) {
            None => Ok(()),
            Some(Fault::Hang) => core::future::pending().await,
            Some(
                fault @ (Fault::Refuse
                | Fault::Conflict
                | Fault::LoseRequest
                | Fault::LoseAnswer
                | Fault::HoldUp),
            ) => {
                let why = format!("the fake was told to fail ({fault:?})");
                Err(PortError::new(ErrorKind::Retry(None), "fake", what, why))
            }
        }
    }

    fn known(&self, key: &ServiceKey, what: &'static str) -> Result<(), PortError> {
        if *key == self.key {
            return Ok(());
        }
        Err(PortError::new(ErrorKind::Rejected, "fake", what, format!("{key} is not known")))
    }

    fn sent(&self, order: &OrderRef) -> Sent {
        Sent {
            rollback: order.rollback().clone(),
            from: order.plan().from().revision.clone(),
            to: order.plan().to().revision.clone(),
            generation: self.world().generation,
        }
    }
}

/// Whether a deploy is in progress.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum InDeploy {
    /// It is.
    Yes,
    /// It is not.
    No,
}

impl World {
    /// An order arrives at the CD system.
    fn receive(&mut self, sent: &Sent, capabilities: Capabilities) -> Result<Receipt, StartError> {
        if let Some(known) = self.executions.get(&sent.rollback) {
            return Ok(known.receipt.clone());
        }
        if sent.generation < self.generation || self.void.contains(&sent.rollback) {
            return Err(StartError::Refused { why: "a newer order fenced it off".into() });
        }
        let compares = match capabilities.compare_and_set {
            CompareAndSet::Yes | CompareAndSet::Ticket => true,
            CompareAndSet::No => false,
        };
        if compares && self.live.as_ref() != Some(&sent.from) {
            let live = self.revisions.iter().find(|r| Some(&r.id) == self.live.as_ref());
            let live = live.map(Revision::reference);
            return Err(StartError::Conflict { live, why: "live has moved".into() });
        }
        if self.executions.values().any(Execution::runs) {
            return Err(StartError::Refused { why: "another rollback is running".into() });
        }
        let target = self.revisions.iter().find(|revision| revision.id == sent.to);
        if target.is_none_or(|target| target.restorable != Restorable::Yes) {
            return Err(StartError::Refused { why: format!("`{}` cannot be restored", sent.to) });
        }
        if !self.pretends {
            self.live = Some(sent.to.clone());
            self.effects += 1;
        }
        let receipt = Receipt::new(Label::new(format!("execution-{}", self.executions.len() + 1)));
        let execution = Execution {
            receipt: receipt.clone(),
            from: sent.from.clone(),
            to: sent.to.clone(),
            looks: self.script.iter().cloned().collect(),
        };
        self.executions.insert(sent.rollback.clone(), execution);
        Ok(receipt)
    }

    fn reference(&self, id: &RevisionId) -> Option<rollback_core::RevisionRef> {
        self.revisions.iter().find(|revision| revision.id == *id).map(Revision::reference)
    }
}

/// What happened since the last hint.
#[derive(Debug)]
struct News(watch::Receiver<u64>);

#[async_trait]
impl Changes for News {
    async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            core::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl CdBackend for FakeBackend {
    /// What it can do is not what it says it can.
    fn capabilities(&self, _key: &ServiceKey) -> Capabilities {
        self.declared
    }

    async fn history(
        &self,
        key: &ServiceKey,
        options: HistoryOptions,
    ) -> Result<Vec<Revision>, PortError> {
        self.read(Method::History, "read the history").await?;
        self.known(key, "read the history")?;
        Ok(self.world().revisions.iter().take(options.limit).cloned().collect())
    }

    async fn live(&self, key: &ServiceKey, _options: LiveOptions) -> Result<Live, PortError> {
        self.read(Method::Live, "read what is live").await?;
        self.known(key, "read what is live")?;
        let world = self.world();
        let mut live = Live::default();
        live.revision = world.live.as_ref().and_then(|id| world.reference(id));
        let running = world.executions.iter().find(|(_, execution)| execution.runs());
        live.in_progress = match running {
            Some((id, _)) => {
                let mut operation = InProgress::new(OperationKind::Rollback);
                operation.operation_id = Some(id.clone());
                Presence::Something(operation)
            }
            None => Presence::seen(world.deploying.then(|| InProgress::new(OperationKind::Deploy))),
        };
        Ok(live)
    }

    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        self.read(Method::Preflight, "ask about a rollback").await?;
        self.known(plan.key(), "ask about a rollback")?;
        let world = self.world();
        if let Some(preflight) = &world.preflight {
            return Ok(preflight.clone());
        }
        let target = world.revisions.iter().find(|r| r.id == plan.to().revision);
        Ok(match target {
            Some(target) if target.restorable == Restorable::Yes => fixtures::accepted(),
            Some(_) | None => {
                let mut preflight =
                    Preflight::rejected(format!("{} cannot be restored", plan.to()));
                preflight.undone_by = Presence::Nothing;
                preflight
            }
        })
    }

    async fn start(&self, order: Order) -> Result<Receipt, StartError> {
        let fault = self.called(Method::Start);
        let sent = self.sent(&order);
        self.world().sends += 1;
        let doubt = |why: &str| StartError::InDoubt { why: why.into() };
        let answer = match fault {
            None if *order.plan().key() != self.key => {
                let why = format!("{} is not known", order.plan().key());
                Err(StartError::Refused { why })
            }
            // An adapter of a CD system that does not compare looks for itself; the order can still
            // be late.
            None if self.world().live.as_ref() != Some(&sent.from)
                && !self.world().executions.contains_key(&sent.rollback) =>
            {
                Err(StartError::Conflict { live: None, why: "live has moved".into() })
            }
            None => self.world().receive(&sent, self.capabilities),
            Some(Fault::Refuse) => {
                Err(StartError::Refused { why: "the fake was told to refuse".into() })
            }
            Some(Fault::Conflict) => Err(StartError::Conflict {
                live: None,
                why: "the fake was told that live has moved".into(),
            }),
            Some(Fault::LoseRequest) => Err(doubt("the connection was reset")),
            Some(Fault::LoseAnswer) => {
                let lost = self.world().receive(&sent, self.capabilities);
                Err(doubt(if lost.is_ok() { "the answer was lost" } else { "no answer came" }))
            }
            Some(Fault::HoldUp) => {
                self.world().held.push(sent);
                Err(doubt("no answer came in time"))
            }
            Some(Fault::Hang) => core::future::pending().await,
        };
        self.happened();
        answer
    }

    async fn find(&self, order: &OrderRef) -> Result<Option<Receipt>, PortError> {
        self.read(Method::Find, "look for an order").await?;
        let world = self.world();
        Ok(world.executions.get(order.rollback()).map(|execution| execution.receipt.clone()))
    }

    async fn fence(&self, order: &OrderRef) -> Result<Fenced, PortError> {
        self.read(Method::Fence, "fence off older orders").await?;
        match self.capabilities.fence {
            Fence::Yes => {
                let mut world = self.world();
                world.generation += 1;
                world.void.insert(order.rollback().clone());
                Ok(Fenced::Done)
            }
            Fence::No => Ok(Fenced::Unsupported),
        }
    }

    async fn observe(
        &self,
        order: &OrderRef,
        receipt: &Receipt,
        _options: ObserveOptions,
    ) -> Result<Progress, PortError> {
        self.read(Method::Observe, "look at an execution").await?;
        let mut world = self.world();
        let live = world.live.as_ref().and_then(|id| world.reference(id));
        world.looks = world.looks.saturating_add(1);
        let words = world.chatters.then(|| format!("{} looks", world.looks).into());
        let execution = world
            .executions
            .get_mut(order.rollback())
            .filter(|execution| execution.receipt == *receipt);
        let Some(execution) = execution else {
            let why = format!("there is no execution `{}`", receipt.execution);
            return Err(PortError::new(ErrorKind::Rejected, "fake", "look at an execution", why));
        };
        let next = execution.looks.front().cloned();
        let mut progress = next.unwrap_or_else(|| Progress::new(Phase::Complete));
        (progress.live, progress.message) = (live, words.or(progress.message));
        if execution.looks.len() > 1 {
            execution.looks.pop_front();
        }
        Ok(progress)
    }

    async fn cancel(&self, order: &OrderRef, receipt: &Receipt) -> Result<Cancelled, PortError> {
        self.read(Method::Cancel, "cancel an execution").await?;
        let mut guard = self.world();
        let world = &mut *guard;
        let cancels = !world.cancels_nothing;
        let execution = world
            .executions
            .get_mut(order.rollback())
            .filter(|execution| execution.receipt == *receipt && execution.runs() && cancels);
        let Some(execution) = execution else {
            return Ok(Cancelled::TooLate);
        };
        execution.looks = VecDeque::from([Progress::new(Phase::Cancelled)]);
        if world.live.as_ref() == Some(&execution.to) {
            world.live = Some(execution.from.clone());
        }
        Ok(Cancelled::Requested)
    }

    fn changes(&self, key: &ServiceKey) -> Box<dyn Changes> {
        if *key == self.key {
            Box::new(News(self.news.subscribe()))
        } else {
            Box::new(NoChanges::default())
        }
    }

    async fn drain(&self) {
        let wait = self.world().needed_for;
        tokio::time::sleep(wait).await;
        self.world().drained += 1;
    }
}
