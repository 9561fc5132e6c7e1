//! A CD system in memory.

use super::tickets::{TicketFlaw, Tickets};
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

/// What goes wrong at one call. Of a method that changes nothing, all but [`Self::Hang`] are errors.
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
    /// The order is taken, and the job that it starts waits for a runner until [`FakeBackend::release`].
    /// Of a CD system whose orders start no job, nothing goes wrong.
    HoldJob,
    /// The order is taken, and arrives once more with [`FakeBackend::release`].
    Repeat,
    /// The request is never answered, and never arrives.
    Hang,
}

/// A CD system in memory for one service, with its ground truth.
///
/// An accepted order takes effect at once; its phases then advance by one at each look.
///
/// With [`CompareAndSet::Ticket`] an order starts a job. The job redeems its ticket, compares what is
/// live and takes effect, all under one lock, or else it fails and changes nothing. A fence voids the
/// ticket. A job begins at once, unless [`Fault::HoldJob`] keeps it waiting.
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
    /// The jobs that wait for a runner.
    jobs: Vec<Sent>,
    tickets: Tickets,
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
    /// Whether it has begun; a job that waits for a runner has not.
    begun: bool,
}

impl Execution {
    fn phase(&self) -> Phase {
        self.looks.front().map_or(Phase::Complete, |look| look.phase)
    }

    fn runs(&self) -> bool {
        matches!(self.phase(), Phase::Started | Phase::HealthChecking)
    }

    /// A job that did not get as far as changing anything.
    fn stop(&mut self, why: &str) {
        if !self.begun && self.runs() {
            let mut failed = Progress::new(Phase::Failed);
            failed.message = Some(why.into());
            self.looks = VecDeque::from([failed]);
        }
    }
}

/// Whether a runner is free for the job that an order starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Runner {
    Free,
    Busy,
}

/// An order on its way.
#[derive(Clone, Debug)]
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

    /// The orders that were held up arrive now, and the jobs that waited begin.
    pub fn release(&self) {
        let mut world = self.world();
        for sent in core::mem::take(&mut world.held) {
            // Nobody waits for the answer any more.
            drop(world.receive(&sent, self.capabilities, Runner::Free));
        }
        for job in core::mem::take(&mut world.jobs) {
            world.run(&job);
        }
        drop(world);
        self.happened();
    }

    /// The order of this rollback that was held up arrives now; what is answered nobody hears.
    pub fn arrive(&self, rollback: &RollbackId) -> Option<Result<Receipt, StartError>> {
        let mut world = self.world();
        let place = world.held.iter().position(|sent| sent.rollback == *rollback)?;
        let sent = world.held.remove(place);
        let answer = world.receive(&sent, self.capabilities, Runner::Free);
        drop(world);
        self.happened();
        Some(answer)
    }

    /// Whether an order starts a job that redeems a ticket.
    #[must_use]
    pub fn takes_tickets(&self) -> bool {
        self.capabilities.compare_and_set == CompareAndSet::Ticket
    }

    /// Its jobs do this wrong from now on.
    pub fn break_tickets(&self, flaw: TicketFlaw) {
        self.world().tickets.break_with(flaw);
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
                | Fault::HoldUp
                | Fault::HoldJob
                | Fault::Repeat),
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

    /// The adapter looks, and sends what it can.
    fn send(&self, key: &ServiceKey, sent: &Sent, runner: Runner) -> Result<Receipt, StartError> {
        if *key != self.key {
            return Err(StartError::Refused { why: format!("{key} is not known") });
        }
        let mut world = self.world();
        if let Some(known) = world.executions.get(&sent.rollback)
            && !world.tickets.is_void(&sent.rollback)
        {
            return Ok(known.receipt.clone());
        }
        // An adapter of a CD system that does not compare when it takes an order looks for itself; the
        // order can still be late.
        if world.live.as_ref() != Some(&sent.from) {
            return Err(StartError::Conflict { live: None, why: "live has moved".into() });
        }
        if self.takes_tickets() {
            world.may_start_a_job(sent)?;
        }
        world.receive(sent, self.capabilities, runner)
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
    fn receive(
        &mut self,
        sent: &Sent,
        capabilities: Capabilities,
        runner: Runner,
    ) -> Result<Receipt, StartError> {
        if capabilities.compare_and_set == CompareAndSet::Ticket {
            return Ok(self.dispatch(sent, runner));
        }
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
        if !self.restores(&sent.to) {
            return Err(StartError::Refused { why: format!("`{}` cannot be restored", sent.to) });
        }
        let receipt = self.accept(sent);
        self.take_effect(sent);
        Ok(receipt)
    }

    fn restores(&self, id: &RevisionId) -> bool {
        let target = self.revisions.iter().find(|revision| revision.id == *id);
        target.is_some_and(|target| target.restorable == Restorable::Yes)
    }

    /// What an adapter sees before it starts a job: that it would stop.
    fn may_start_a_job(&self, sent: &Sent) -> Result<(), StartError> {
        let refused = |why: String| Err(StartError::Refused { why });
        if self.tickets.is_void(&sent.rollback) {
            return refused("its ticket was voided".into());
        }
        if !self.restores(&sent.to) {
            return refused(format!("`{}` cannot be restored", sent.to));
        }
        if self.executions.values().any(Execution::runs) {
            return refused("another rollback is running".into());
        }
        Ok(())
    }

    /// Starts a job. It is taken whatever will become of it: the job itself looks.
    fn dispatch(&mut self, sent: &Sent, runner: Runner) -> Receipt {
        let receipt = self.accept(sent);
        match runner {
            Runner::Free => self.run(sent),
            Runner::Busy => self.jobs.push(sent.clone()),
        }
        receipt
    }

    /// A job runs, under the lock that deploys take.
    fn run(&mut self, job: &Sent) {
        let another = |(id, execution): (&RollbackId, &Execution)| {
            *id != job.rollback && execution.begun && execution.runs()
        };
        let compares = self.tickets.compare();
        let stops = if !self.tickets.redeem(&job.rollback) {
            Some("its ticket was redeemed or voided before")
        } else if compares && self.live.as_ref() != Some(&job.from) {
            Some("something else is live than its order expects")
        } else if self.executions.iter().any(another) {
            Some("another rollback is running")
        } else if !self.restores(&job.to) {
            Some("what it should restore is gone")
        } else {
            None
        };
        match (stops, self.executions.get_mut(&job.rollback)) {
            (None, _) => self.take_effect(job),
            (Some(why), Some(execution)) => execution.stop(why),
            (Some(_), None) => {}
        }
    }

    /// Notes an order that was taken; nothing has begun.
    fn accept(&mut self, sent: &Sent) -> Receipt {
        let number = self.executions.len() + 1;
        let execution = self.executions.entry(sent.rollback.clone()).or_insert_with(|| Execution {
            receipt: Receipt::new(Label::new(format!("execution-{number}"))),
            from: sent.from.clone(),
            to: sent.to.clone(),
            looks: VecDeque::from([Progress::new(Phase::Started)]),
            begun: false,
        });
        execution.receipt.clone()
    }

    fn take_effect(&mut self, sent: &Sent) {
        if !self.pretends {
            self.live = Some(sent.to.clone());
            self.effects += 1;
        }
        if let Some(execution) = self.executions.get_mut(&sent.rollback) {
            execution.begun = true;
            execution.looks = self.script.iter().cloned().collect();
        }
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
            None => self.send(order.plan().key(), &sent, Runner::Free),
            Some(Fault::HoldJob) => self.send(order.plan().key(), &sent, Runner::Busy),
            Some(Fault::Repeat) => {
                let answer = self.send(order.plan().key(), &sent, Runner::Free);
                self.world().held.push(sent);
                answer
            }
            Some(Fault::Refuse) => {
                Err(StartError::Refused { why: "the fake was told to refuse".into() })
            }
            Some(Fault::Conflict) => Err(StartError::Conflict {
                live: None,
                why: "the fake was told that live has moved".into(),
            }),
            Some(Fault::LoseRequest) => Err(doubt("the connection was reset")),
            Some(Fault::LoseAnswer) => {
                let lost = self.world().receive(&sent, self.capabilities, Runner::Free);
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
        // A job whose ticket was voided has changed nothing, and never will.
        let known = world.executions.get(order.rollback());
        let known = known.filter(|_job| !world.tickets.is_void(order.rollback()));
        Ok(known.map(|execution| execution.receipt.clone()))
    }

    async fn fence(&self, order: &OrderRef) -> Result<Fenced, PortError> {
        self.read(Method::Fence, "fence off older orders").await?;
        match self.capabilities.fence {
            Fence::Yes => {
                let mut world = self.world();
                if self.takes_tickets() {
                    world.tickets.void(order.rollback());
                } else {
                    world.generation += 1;
                    world.void.insert(order.rollback().clone());
                }
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
        if !execution.begun {
            world.tickets.void(order.rollback());
        } else if world.live.as_ref() == Some(&execution.to) {
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
