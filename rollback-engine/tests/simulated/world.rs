//! Everything that outlives a process, and the processes.

use rollback_core::ports::{AuditLog as _, Capabilities, Journals as _, Outbox as _};
use rollback_core::ports::{
    CdBackend, Clock, CompareAndSet, Fence, HealthSource, Instance, Query, Store,
};
use rollback_core::{
    Deploy, Deployer, Limits, Migrations, RollbackView, ServiceKey, StateName, Timestamp,
};
use rollback_engine::{Catalog, Engine, EngineBuilder, ServiceConfig};
use rollback_store::MemoryStore;
use rollback_testkit::fakes::{FakeBackend, FakeDirectory, FakeHealth, FakeSink};
use rollback_testkit::fixtures::{self, parsed};
use rollback_testkit::invariants::{Evidence, Rest};
use rollback_testkit::sim::{Canary, Draw, Faulty, Process, ProcessClock, Swarm, Weather};
use rollback_testkit::{Chat, ManualClock};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long a process that died is away at most.
const AWAY_MAX: Duration = Duration::from_secs(40);

/// Short enough that a seed is over in some minutes of its own time.
pub fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.click_within = Duration::from_secs(180);
    limits.confirm_within = Duration::from_secs(90);
    limits.approve_within = Duration::from_secs(120);
    limits.run_within = Duration::from_secs(180);
    limits.doubt_within = Duration::from_secs(60);
    limits.verify_within = Duration::from_secs(60);
    limits.cool_down = Duration::from_secs(20);
    limits
}

pub struct World {
    pub weather: Arc<Weather>,
    pub right: Arc<dyn Clock>,
    pub store: Arc<MemoryStore>,
    pub cds: BTreeMap<ServiceKey, Arc<FakeBackend>>,
    pub directory: Arc<FakeDirectory>,
    chat: Arc<Chat>,
    sink: Arc<FakeSink>,
    health: Arc<FakeHealth>,
    ids: Arc<AtomicU64>,
    lives: Arc<AtomicUsize>,
    /// The engines that are up, by the place of their process.
    engines: Arc<Mutex<BTreeMap<u64, Engine>>>,
    began: tokio::time::Instant,
}

/// One process at work.
struct Host {
    engine: Engine,
    process: Process,
    task: JoinHandle<()>,
}

impl World {
    pub fn new(swarm: &Swarm, canary: Option<Canary>) -> Arc<Self> {
        let right: Arc<dyn Clock> = Arc::new(ManualClock::starting_at(fixtures::at(0)));
        let capabilities = Capabilities::new(swarm.compares, swarm.fence);
        let cd = |key: ServiceKey| {
            let cd = FakeBackend::with_history(key.clone(), capabilities, fixtures::history());
            (key, Arc::new(cd))
        };
        Arc::new(Self {
            weather: Arc::new(Weather::new(swarm.clone(), canary)),
            store: Arc::new(MemoryStore::default()),
            cds: swarm.keys().into_iter().map(cd).collect(),
            directory: Arc::new(FakeDirectory::new(Arc::clone(&right), fixtures::everybody())),
            chat: Arc::new(Chat::new()),
            sink: Arc::new(FakeSink::new()),
            health: Arc::new(FakeHealth::new(Arc::clone(&right))),
            ids: Arc::new(AtomicU64::new(0)),
            lives: Arc::new(AtomicUsize::new(0)),
            engines: Arc::default(),
            began: tokio::time::Instant::now(),
            right,
        })
    }

    pub fn swarm(&self) -> &Swarm {
        self.weather.swarm()
    }

    pub fn now(&self) -> Timestamp {
        self.right.now()
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Starts every process, and whoever starts them again.
    pub fn boot(self: &Arc<Self>) {
        for place in 0..self.swarm().replicas {
            let world = Arc::clone(self);
            drop(tokio::spawn(async move {
                let mut draw = Draw::stream(world.swarm().seed, 1_000 + place);
                loop {
                    let Host { engine, process, task } = world.host();
                    world.engines().insert(place, engine);
                    process.ended().await;
                    world.engines().remove(&place);
                    task.abort();
                    let away = draw.within(AWAY_MAX);
                    tokio::time::sleep(if world.weather.healed() { away / 20 } else { away }).await;
                }
            }));
        }
    }

    fn host(&self) -> Host {
        let process = Process::new(&self.weather);
        let number = self.lives.fetch_add(1, Ordering::Relaxed) + 1;
        let clock = Arc::new(ProcessClock::new(&process, &self.right));
        let mut catalog = Catalog::new(fixtures::access_policy());
        let store: Arc<dyn Store> = Arc::new(self.faulty(&process, &self.store, &clock));
        let directory = Arc::new(self.faulty(&process, &self.directory, &clock));
        let health: Arc<dyn HealthSource> = Arc::new(self.faulty(&process, &self.health, &clock));
        let mut backends: Vec<(String, Arc<dyn CdBackend>)> = Vec::new();
        for (key, cd) in &self.cds {
            let name = format!("cd-{}", key.environment);
            let mut service = ServiceConfig::new(parsed(&name), parsed("C0PAYMENTS"));
            service.approvals_min = self.swarm().approvals;
            service.purpose = self.swarm().purpose;
            service.limits = limits();
            service.health = Some(Arc::clone(&health));
            catalog = catalog.with(key.clone(), service);
            backends.push((name, Arc::new(self.faulty(&process, cd, &clock))));
        }
        let ids = Arc::clone(&self.ids);
        let mut builder = EngineBuilder::new(store, directory, catalog)
            .notifier(Arc::new(self.faulty(&process, &self.chat, &clock)))
            .required_sink(Arc::new(self.faulty(&process, &self.sink, &clock)))
            .clock(Arc::<ProcessClock>::clone(&clock))
            .instance(Instance::new(format!("life-{number}")))
            .ids(move || format!("rb-{}", ids.fetch_add(1, Ordering::Relaxed) + 1));
        for (name, backend) in backends {
            builder = builder.backend(parsed(&name), backend);
        }
        let engine = builder.build().unwrap();
        let running = engine.clone();
        let task = tokio::spawn(async move {
            // A store that does not answer at the start ends it; whoever runs it starts it again.
            while running.run(std::future::pending()).await.is_err() {
                clock.sleep_until(clock.now().after(Duration::from_secs(1))).await;
            }
        });
        Host { engine, process, task }
    }

    fn faulty<T: ?Sized>(
        &self,
        process: &Process,
        inner: &Arc<T>,
        clock: &Arc<ProcessClock>,
    ) -> Faulty<T> {
        Faulty::new(process, inner, clock, &self.right)
    }

    fn engines(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Engine>> {
        self.engines.lock().unwrap()
    }

    /// One of the processes that are up.
    pub fn engine(&self, draw: &mut Draw) -> Option<Engine> {
        let engines = self.engines();
        let at = draw.below(u64::try_from(engines.len()).unwrap());
        engines.values().nth(usize::try_from(at).unwrap()).cloned()
    }

    /// How many processes died.
    pub fn deaths(&self) -> usize {
        self.lives.load(Ordering::Relaxed) - self.engines().len()
    }

    pub async fn views(&self) -> Vec<RollbackView> {
        let listed = self.store.list(&Query::all(1_000)).await.unwrap();
        listed.into_iter().map(|listed| listed.view).collect()
    }

    pub fn deploy(&self, key: &ServiceKey, revision: &str, version: &str) -> Deploy {
        let id = format!("ci-{}-{revision}", key.environment);
        let mut deploy = Deploy::new(parsed(&id), key.clone(), version, self.now());
        deploy.revision = Some(parsed(revision));
        deploy.migrations = Migrations::Known(Vec::new());
        let mut deployer = Deployer::default();
        deployer.slack_user_id = Some(fixtures::bo().id());
        deploy.deployer = Some(deployer);
        deploy
    }

    /// Nothing goes wrong from now on.
    pub fn heal(&self) {
        self.weather.heal();
        self.directory.put(fixtures::ana());
        for cd in self.cds.values() {
            cd.deploying(rollback_testkit::fakes::InDeploy::No);
        }
    }

    /// Within which time everything must have ended: the deadlines of all states, one after the
    /// other, what a wrong clock adds, and the time for people to settle what is unknown.
    pub fn rest_within(&self) -> Duration {
        let limits = limits();
        let way = limits.click_within
            + limits.confirm_within
            + limits.approve_within
            + limits.check_within * 4
            + limits.run_within
            + limits.doubt_within * 2
            + limits.verify_within;
        let skew = Duration::from_secs(2 * 600);
        let settled = Duration::from_secs(600);
        way * u32::try_from(self.swarm().rounds).unwrap() + skew + settled
    }

    pub async fn at_rest(&self) -> bool {
        let ended = |view: &RollbackView| {
            let settled = view.explanation.starts_with("settled");
            view.state.is_end() && (view.state != StateName::OutcomeUnknown || settled)
        };
        self.weather.on_their_way() == 0
            && self.store.waiting().await.unwrap() == 0
            && self.store.unacknowledged("fake", 1).await.unwrap().is_empty()
            && self.views().await.iter().all(ended)
    }

    pub async fn evidence(&self, rest: Rest) -> Evidence {
        let views = self.views().await;
        let mut journals = Vec::new();
        for view in &views {
            journals.push(self.store.load(&view.id).await.unwrap().expect("it has a journal"));
        }
        Evidence {
            log: self.weather.log().seen(),
            journals,
            views,
            records: self.store.audit(&Query::all(10_000)).await.unwrap(),
            chain: self.store.head().await.unwrap().chain,
            messages: self.chat.messages(),
            compares: self.swarm().compares != CompareAndSet::No,
            waiting: usize::try_from(self.store.waiting().await.unwrap()).unwrap(),
            rest,
        }
    }

    /// What is not at rest.
    pub async fn unrest(&self) -> String {
        let mut lines = Vec::new();
        for view in self.views().await {
            lines.push(format!("  {} {}: {}", view.id, view.state, view.explanation));
        }
        let far = self.now().after(Duration::from_secs(1_000_000));
        for queued in self.store.due(far, 1_000).await.unwrap() {
            lines.push(format!(
                "  waits: {} version {}, {:?}, {} attempts",
                queued.key, queued.version, queued.attempt, queued.attempts
            ));
        }
        let behind = self.store.unacknowledged("fake", 100).await.unwrap().len();
        lines.push(format!("  {behind} records are not acknowledged"));
        lines.push(format!("  {} orders are on their way", self.weather.on_their_way()));
        lines.push(format!("  fence: {}", self.swarm().fence == Fence::Yes));
        lines.join("\n")
    }
}
