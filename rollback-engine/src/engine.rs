//! The engine: what a host builds once, hands to its surfaces, and runs.

use crate::attempt::Suspects;
use crate::catalog::{Catalog, ServiceConfig};
use crate::checkpoint::{self, Checkpoints, Making};
use crate::entitled::TurnedAway;
use crate::export::Sink;
use crate::health::{Health, Part};
use crate::openings::Openings;
use crate::operation::{Operation, Operations};
use crate::places::{OPEN_MAX, Places};
use crate::placing::{self, Lane};
use crate::reading::{Counts, Running};
use crate::supervise::{self, Loops};
use crate::watched::{WatchedCd, WatchedDirectory};
use crate::wiring::{Wiring, WiringError, WiringFault};
use crate::{driver, export, hints, outbox, probe};
use rollback_core::access::{AccessIndex, AccessPolicy};
use rollback_core::ports::{
    AuditSink, CdBackend, Clock, CommandError, Directory, FactSource, Instance, Notifier, Pruned,
    Retention, Store, StoreError,
};
use rollback_core::{
    BackendName, GuardName, Label, Policy, RollbackId, ServiceKey, Timestamp, WorkspaceId, in_words,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a shutdown waits for what is on its way. Longer than one request to a CD system; all
/// the rest is dropped at once, for the store has it.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// How long a shutdown waits for what a CD system's adapter carries out itself, such as a command that
/// would be cut in half: a Helm rollback without hooks is applied in a few. Whoever stops us grants all
/// of it in 90 seconds.
const CD_DRAIN_MAX: Duration = Duration::from_secs(30);

/// How often the engine looks for rollbacks that nobody drives: those of a process that died.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// How far a clock may have been ahead without the store forgetting anything too early: a wrong day or
/// a wrong time zone.
const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(26 * 3_600);

/// How often the store forgets what nobody asks for any more.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// Everything an engine is made of.
///
/// ```
/// use rollback_core::ports::{CdBackend, Directory, Store};
/// use rollback_core::BackendName;
/// use rollback_engine::{Catalog, Engine, EngineBuilder, WiringError};
/// use std::sync::Arc;
///
/// fn build(
///     store: Arc<dyn Store>,
///     directory: Arc<dyn Directory>,
///     catalog: Catalog,
///     (name, backend): (BackendName, Arc<dyn CdBackend>),
/// ) -> Result<Engine, WiringError> {
///     EngineBuilder::new(store, directory, catalog).backend(name, backend).build()
/// }
/// ```
#[derive(Debug)]
pub struct EngineBuilder {
    catalog: Catalog,
    store: Arc<dyn Store>,
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    backends: BTreeMap<BackendName, Arc<dyn CdBackend>>,
    notifiers: Vec<Arc<dyn Notifier>>,
    sinks: Vec<Sink>,
    checkpoints: Option<Checkpoints>,
    fact_sources: BTreeMap<GuardName, Arc<dyn FactSource>>,
    ids: Ids,
    instance: Option<Instance>,
    look_every: Duration,
    source_timeout: Duration,
    lease: Duration,
    open_max: usize,
    retention: Retention,
    admits_later: bool,
    probe_every: Option<Duration>,
    /// What was added a second time under one name.
    twice: Vec<WiringFault>,
}

/// Where new identities come from.
pub(crate) struct Ids(Box<dyn Fn() -> String + Send + Sync>);

impl std::fmt::Debug for Ids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ids")
    }
}

impl EngineBuilder {
    /// An engine with the machine's clock, and nothing yet to roll back with or to tell through.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, directory: Arc<dyn Directory>, catalog: Catalog) -> Self {
        Self {
            catalog,
            store,
            directory,
            clock: Arc::new(crate::clock::SystemClock::new()),
            backends: BTreeMap::new(),
            notifiers: Vec::new(),
            sinks: Vec::new(),
            checkpoints: None,
            fact_sources: BTreeMap::new(),
            ids: Ids(Box::new(|| uuid::Uuid::now_v7().simple().to_string())),
            instance: None,
            look_every: Duration::from_secs(1),
            source_timeout: Duration::from_secs(5),
            lease: Duration::from_secs(15),
            open_max: OPEN_MAX,
            retention: Retention::default(),
            admits_later: false,
            probe_every: None,
            twice: Vec::new(),
        }
    }

    /// Which workspace's members may act is not known yet: [`Engine::admit`] says it later. Until then
    /// what runs goes on, nothing is opened and nobody is let in, whatever the catalog says.
    #[must_use]
    pub const fn admitting_later(mut self) -> Self {
        self.admits_later = true;
        self
    }

    /// Adds a backend under the name by which services are configured for it.
    #[must_use]
    pub fn backend(mut self, name: BackendName, backend: Arc<dyn CdBackend>) -> Self {
        if self.backends.insert(name.clone(), backend).is_some() {
            self.twice.push(WiringFault::BackendTwice(name));
        }
        self
    }

    /// Adds a notifier.
    #[must_use]
    pub fn notifier(mut self, notifier: Arc<dyn Notifier>) -> Self {
        self.notifiers.push(notifier);
        self
    }

    /// Adds an audit sink that must acknowledge the record of intent before any order is given.
    #[must_use]
    pub fn required_sink(mut self, sink: Arc<dyn AuditSink>) -> Self {
        self.sinks.push(Sink::new(sink, true));
        self
    }

    /// Adds an audit sink that gets every record sooner or later.
    #[must_use]
    pub fn sink(mut self, sink: Arc<dyn AuditSink>) -> Self {
        self.sinks.push(Sink::new(sink, false));
        self
    }

    /// Signs the end of the audit log now and then, and gives every sink the checkpoints to keep.
    /// Without it none is made.
    #[must_use]
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.checkpoints = Some(checkpoints);
        self
    }

    /// Adds the source that answers a guard of the host's own.
    #[must_use]
    pub fn fact_source(mut self, guard: GuardName, source: Arc<dyn FactSource>) -> Self {
        if self.fact_sources.insert(guard.clone(), source).is_some() {
            self.twice.push(WiringFault::SourceTwice(guard));
        }
        self
    }

    /// Takes another clock, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Takes identities from elsewhere, for tests. They must be unique for ever.
    #[must_use]
    pub fn ids(mut self, ids: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.ids = Ids(Box::new(ids));
        self
    }

    /// Names this process; without it a unique name is made.
    #[must_use]
    pub fn instance(mut self, instance: Instance) -> Self {
        self.instance = Some(instance);
        self
    }

    /// How often a running rollback is looked at when the CD system gives no hint. Default 1 s.
    #[must_use]
    pub const fn look_every(mut self, every: Duration) -> Self {
        self.look_every = every;
        self
    }

    /// How long the directory, a health check or a guard's source may take. Default 5 s.
    #[must_use]
    pub const fn source_timeout(mut self, bound: Duration) -> Self {
        self.source_timeout = bound;
        self
    }

    /// How long this process owns a rollback without renewing. Default 15 s.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How many rollbacks this process has open at a time; whoever wants another one is told so, and
    /// nothing is opened. What was begun is ended however many there are. Default 5,000, some hundred
    /// megabytes.
    #[must_use]
    pub const fn open_max(mut self, most: usize) -> Self {
        self.open_max = most;
        self
    }

    /// How long the store keeps what nobody asks for any more. [`Retention::default`] says how long
    /// where nobody else does.
    #[must_use]
    pub const fn retention(mut self, keep: Retention) -> Self {
        self.retention = keep;
        self
    }

    /// Checks at this interval that the store can be written, each CD system answers and each required
    /// audit sink can take a record. Of each CD system up to a dozen services are read at a time, one
    /// group after the other. Pages on-call when something has blocked rollbacks for two minutes.
    /// Without it, only the answers to regular requests are noted.
    #[must_use]
    pub const fn probe_every(mut self, every: Duration) -> Self {
        self.probe_every = Some(every);
        self
    }

    /// Builds it. Nothing happens until [`Engine::run`].
    ///
    /// # Errors
    ///
    /// [`WiringError`], with everything that is wrong with how it was put together. Nothing was
    /// started and nothing was written.
    pub fn build(self) -> Result<Engine, WiringError> {
        self.wiring().check()?;
        Ok(self.wired())
    }

    fn wiring(&self) -> Wiring<'_> {
        Wiring {
            catalog: &self.catalog,
            admits_later: self.admits_later,
            backends: self.backends.keys().collect(),
            sources: self.fact_sources.keys().collect(),
            notifiers: self.notifiers.iter().map(|notifier| notifier.name()).collect(),
            sinks: self.sinks.iter().map(Sink::name).collect(),
            zeros: vec![
                ("look_every", self.look_every.is_zero()),
                ("source_timeout", self.source_timeout.is_zero()),
                ("lease", self.lease.is_zero()),
                ("open_max", self.open_max == 0),
            ],
            twice: &self.twice,
        }
    }

    fn wired(self) -> Engine {
        let instance = self.instance.unwrap_or_else(|| Instance::new((self.ids.0)()));
        let lanes = self.catalog.services.keys().map(|key| (key.clone(), Lane::default()));
        let deploy_lanes = lanes.collect();
        let services = self.catalog.services.keys().cloned();
        let access = OnceLock::new();
        let mut access_before = self.catalog.access.clone();
        let index = |policy: AccessPolicy| AccessIndex::new(policy, services);
        let access_before = if self.admits_later {
            access_before.workspaces.clear();
            index(access_before)
        } else {
            let index = index(access_before);
            access.get_or_init(|| index.clone());
            index
        };
        let health = Arc::new(Health::new(Arc::clone(&self.clock)));
        let watched = |(name, backend): (BackendName, Arc<dyn CdBackend>)| {
            let (clock, health) = (Arc::clone(&self.clock), Arc::clone(&health));
            let watched = WatchedCd { name: name.clone(), backend, clock, health };
            let watched: Arc<dyn CdBackend> = Arc::new(watched);
            (name, watched)
        };
        let backends = self.backends.into_iter().map(watched).collect();
        let directory = WatchedDirectory {
            directory: self.directory,
            clock: Arc::clone(&self.clock),
            health: Arc::clone(&health),
        };
        Engine {
            inner: Arc::new(Inner {
                access,
                access_before,
                turned_away: TurnedAway::default(),
                catalog: self.catalog,
                store: self.store,
                directory: Arc::new(directory),
                clock: self.clock,
                health,
                backends,
                notifiers: self.notifiers,
                sinks: self.sinks,
                checkpoints: self.checkpoints.map(Making::new),
                fact_sources: self.fact_sources,
                ids: self.ids,
                instance,
                look_every: self.look_every,
                source_timeout: self.source_timeout,
                lease: self.lease,
                operations: Operations::default(),
                attempts: AtomicU64::new(0),
                suspects: Suspects::default(),
                loops: Loops::default(),
                places: Places::new(self.open_max),
                retention: self.retention,
                pruned: Mutex::default(),
                probe_every: self.probe_every,
                openings: Openings::default(),
                deploy_lanes,
                outbox_wake: Notify::new(),
                export_wake: Notify::new(),
                ended: AtomicBool::new(false),
                steps: watch::Sender::new(0),
                running: AtomicBool::new(false),
                delivery: Counts::default(),
                clocks: crate::clock::Steps::default(),
                stopping: CancellationToken::new(),
                tasks: TaskTracker::new(),
            }),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Inner {
    /// The rules, once it is known whose members may act.
    access: OnceLock<AccessIndex>,
    /// The rules before: they let nobody in.
    access_before: AccessIndex,
    pub(crate) turned_away: TurnedAway,
    pub(crate) catalog: Catalog,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) health: Arc<Health>,
    pub(crate) backends: BTreeMap<BackendName, Arc<dyn CdBackend>>,
    pub(crate) notifiers: Vec<Arc<dyn Notifier>>,
    pub(crate) sinks: Vec<Sink>,
    pub(crate) checkpoints: Option<Making>,
    pub(crate) fact_sources: BTreeMap<GuardName, Arc<dyn FactSource>>,
    ids: Ids,
    pub(crate) instance: Instance,
    pub(crate) look_every: Duration,
    pub(crate) source_timeout: Duration,
    pub(crate) lease: Duration,
    operations: Operations,
    /// How many attempts to work were named.
    attempts: AtomicU64,
    pub(crate) suspects: Suspects,
    pub(crate) loops: Loops,
    pub(crate) places: Places,
    retention: Retention,
    /// What the store has forgotten at our request.
    pub(crate) pruned: Mutex<Pruned>,
    pub(crate) openings: Openings,
    /// One deploy of a service is placed at a time, so that each finds the one before it.
    pub(crate) deploy_lanes: BTreeMap<ServiceKey, Lane>,
    probe_every: Option<Duration>,
    pub(crate) outbox_wake: Notify,
    pub(crate) export_wake: Notify,
    /// Whether a rollback has ended since the last checkpoint.
    pub(crate) ended: AtomicBool,
    /// Counts the steps that this process has heard of, for whoever waits for one.
    pub(crate) steps: watch::Sender<u64>,
    pub(crate) running: AtomicBool,
    pub(crate) delivery: Counts,
    pub(crate) clocks: crate::clock::Steps,
    pub(crate) stopping: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// The engine. Cheap to clone; every clone is the same engine. People reach it through
/// [`Commands`](rollback_core::ports::Commands), pipelines through [`Engine::deployed`].
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

impl Engine {
    /// Says which workspace's members may act, where that was not known when the engine was built
    /// ([`EngineBuilder::admitting_later`]). Only the first call counts. False when it did not.
    #[must_use]
    pub fn admit(&self, workspace: WorkspaceId) -> bool {
        let inner = &self.inner;
        let mut policy = inner.catalog.access.clone();
        policy.workspaces = BTreeSet::from([workspace]);
        let services = inner.catalog.services.keys().cloned();
        inner.access.set(AccessIndex::new(policy, services)).is_ok()
    }

    /// Runs in this task until `shutdown` completes: resumes what a process before this one left,
    /// delivers notices, exports the audit log. Then lets an order that is being sent be answered, gives
    /// every rollback back, waits a while for what adapters carry out themselves
    /// ([`CdBackend::drain`]), and returns. Everything else is in the store already.
    ///
    /// [`Engine::start`] does it in a task of its own, and its shutdown drains surfaces and closes the
    /// store besides.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read at the start. Nothing was changed, and it may be
    /// called again.
    ///
    /// Dropping the future stops the engine as a crash would: nothing is lost.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) -> Result<(), StoreError> {
        self.prepare().await?;
        self.serve(shutdown).await;
        Ok(())
    }

    /// Looks into the store. Before that nothing runs that would have to stop, and a later call starts
    /// it all.
    pub(crate) async fn prepare(&self) -> Result<(), StoreError> {
        let prepared = prepare(&self.inner).await;
        if let Err(error) = &prepared {
            let told = Err(format!("it could not start: {error}"));
            self.inner.health.report(Part::Engine, told);
        }
        prepared
    }

    /// Runs until `shutdown` completes, and comes to rest.
    pub(crate) async fn serve(&self, shutdown: impl Future<Output = ()> + Send) {
        let inner = &self.inner;
        let _stop_on_drop = inner.stopping.clone().drop_guard();
        let _running = Running::begin(&inner.running);
        inner.look_at_the_engine();
        supervise::spawn(inner, "hints", hints::run);
        supervise::spawn(inner, "outbox", outbox::run);
        supervise::spawn(inner, "audit export", export::run);
        supervise::spawn(inner, "checkpoints", checkpoint::run);
        supervise::spawn(inner, "deploys", placing::choose_again);
        supervise::spawn(inner, "housekeeping", keep_house);
        if let Some(every) = inner.probe_every {
            supervise::spawn(inner, "probes", move |inner| probe::run(inner, every));
        }
        shutdown.await;
        inner.stopping.cancel();
        inner.tasks.close();
        if crate::clock::within(inner.clock.as_ref(), DRAIN_MAX, inner.tasks.wait()).await.is_none()
        {
            tracing::warn!("not everything came to rest in time; the next start finds it out");
        }
        // After the last order: what that began is waited for, too.
        futures_util::future::join_all(inner.backends.iter().map(|(name, backend)| async move {
            let drained = crate::clock::within(inner.clock.as_ref(), CD_DRAIN_MAX, backend.drain());
            if drained.await.is_none() {
                let within = in_words(CD_DRAIN_MAX);
                tracing::warn!(
                    "a rollback of `{name}` still needed this process after {within}, and is cut off"
                );
            }
        }))
        .await;
    }
}

/// What the start needs of the store.
async fn prepare(inner: &Arc<Inner>) -> Result<(), StoreError> {
    export::compare(inner).await?;
    inner.clocks.compare(inner.store.as_ref(), inner.clock.now()).await?;
    resume(inner).await
}

/// Picks up what another process left, and forgets what nobody asks for, until the engine stops.
async fn keep_house(inner: Arc<Inner>) {
    let stopping = inner.stopping.clone();
    tokio::select! {
        biased;
        () = stopping.cancelled() => {}
        () = sweep(&inner) => {}
    }
}

async fn sweep(inner: &Arc<Inner>) {
    let (mut prune_at, mut recall_at) = (inner.clock.now(), inner.clock.now());
    loop {
        inner.clock.sleep(SWEEP_EVERY).await;
        if let Err(error) = resume(inner).await {
            tracing::warn!(%error, "unattended rollbacks could not be looked up");
        }
        inner.forget_unused();
        inner.clocks.look(inner.store.as_ref());
        if inner.clock.now() >= recall_at {
            recall(inner).await;
            recall_at = inner.clock.now().after(PRUNE_EVERY);
        }
        // Where much has come together, one step follows the other at each look, and not all at once:
        // the store is there for rollbacks first.
        if inner.clock.now() >= prune_at && !prune(inner).await {
            prune_at = inner.clock.now().after(PRUNE_EVERY);
        }
    }
}

/// Drives every rollback that has not ended and that nobody drives. Those of other processes are
/// left to them: each process knows what it drives, and not whatever is open anywhere.
async fn resume(inner: &Arc<Inner>) -> Result<(), StoreError> {
    for id in inner.store.unattended(inner.clock.now()).await? {
        driver::ensure(inner, &inner.operation(&id));
    }
    Ok(())
}

/// Logs every quarantined rollback again, for whoever missed the first line.
async fn recall(inner: &Inner) {
    match inner.store.put_aside().await {
        Ok(aside) => {
            for rollback in aside {
                tracing::error!(%rollback, "it is quarantined until a person decides");
            }
        }
        Err(error) => tracing::warn!(%error, "the quarantined rollbacks could not be looked up"),
    }
}

/// Forgets one step of what nobody asks for any more, and says whether there is more.
///
/// As of a while ago: what a clock that is ahead calls over is not over yet, and what was received must
/// still be known when the clock is right again.
async fn prune(inner: &Inner) -> bool {
    let ahead = u64::try_from(CLOCK_AHEAD_MAX.as_millis()).unwrap_or(u64::MAX);
    let as_of = Timestamp::from_millis(inner.clock.now().as_millis().saturating_sub(ahead));
    match inner.store.prune(as_of, inner.retention).await {
        Ok(step) => {
            if step.total() > 0 {
                tracing::info!(
                    digests = step.digests,
                    claims = step.claims,
                    freezes = step.freezes,
                    messages = step.messages,
                    unconfirmed = step.unconfirmed,
                    more = step.more,
                    "the store forgot what nobody asks for any more"
                );
            }
            let mut pruned = inner.pruned.lock().unwrap_or_else(PoisonError::into_inner);
            *pruned = pruned.and(step);
            step.more
        }
        Err(error) => {
            tracing::warn!(%error, "the store could not be pruned; it is tried again within the hour");
            false
        }
    }
}

impl Inner {
    /// Something was written: whoever waits for notices, records or steps looks.
    pub(crate) fn written(&self) {
        self.outbox_wake.notify_one();
        self.export_wake.notify_waiters();
        self.steps.send_modify(|steps| *steps = steps.wrapping_add(1));
    }

    /// The rules.
    pub(crate) fn access(&self) -> &AccessIndex {
        self.access.get().unwrap_or(&self.access_before)
    }

    /// Whether it is known yet whose members may act.
    pub(crate) fn admits(&self) -> bool {
        self.access.get().is_some()
    }

    /// The policy that a rollback of this service is held to.
    pub(crate) fn policy(&self, key: &ServiceKey, service: &ServiceConfig) -> Policy {
        Catalog::policy(self.access().for_service(key).into_owned(), service)
    }

    /// Whether orders for this service go to that backend.
    pub(crate) fn goes_to(&self, key: &ServiceKey, backend: &BackendName) -> bool {
        self.catalog.services.get(key).is_some_and(|service| service.backend == *backend)
    }

    /// A name that no other attempt to work has, of this process or of any other.
    pub(crate) fn new_attempt(&self) -> Label {
        let number = self.attempts.fetch_add(1, Ordering::Relaxed);
        Label::new(format!("{}/{number}", self.instance.as_str()))
    }

    /// The rollback in this process; made when it is first asked for.
    pub(crate) fn operation(&self, id: &RollbackId) -> Arc<Operation> {
        let mut operations = self.lock();
        let made = || Arc::new(Operation::new(id.clone()));
        Arc::clone(operations.entry(id.clone()).or_insert_with(made))
    }

    /// The rollback, if this process knows it.
    pub(crate) fn known_operation(&self, id: &RollbackId) -> Option<Arc<Operation>> {
        self.lock().get(id).map(Arc::clone)
    }

    /// Every rollback that this process knows.
    pub(crate) fn known_operations(&self) -> Vec<Arc<Operation>> {
        self.lock().values().map(Arc::clone).collect()
    }

    /// Forgets a rollback, unless somebody drives it or looks at it: the store has it.
    pub(crate) fn forget(&self, id: &RollbackId) {
        let mut operations = self.lock();
        if operations.get(id).is_some_and(|operation| Arc::strong_count(operation) == 1) {
            operations.remove(id);
        }
    }

    /// Forgets every rollback that nobody drives and nobody looks at: the store has them all.
    pub(crate) fn forget_unused(&self) {
        self.lock().retain(|_, operation| Arc::strong_count(operation) > 1);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<RollbackId, Arc<Operation>>> {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn new_rollback_id(&self) -> Result<RollbackId, CommandError> {
        RollbackId::parse((self.ids.0)())
            .map_err(|error| CommandError::NotRecorded(error.to_string()))
    }
}

/// The store's refusal in the words of a command.
pub(crate) fn not_recorded(error: &StoreError) -> CommandError {
    tracing::warn!(%error, "a command was not recorded");
    match error {
        StoreError::Corrupt { what, .. } => {
            CommandError::NotRecorded(format!("what is stored about `{what}` cannot be read"))
        }
        StoreError::InDoubt(_) => CommandError::InDoubt,
        StoreError::NotFound(_)
        | StoreError::MovedOn(_)
        | StoreError::ServiceHeld(_)
        | StoreError::ClaimLost(_)
        | StoreError::Unavailable(_)
        | StoreError::WentBack(_)
        | StoreError::Newer(_)
        | _ => CommandError::NotRecorded("our own store did not take it".into()),
    }
}
