//! A whole good rollback through the engine: deploy, click, guards, reason, guards again, intent
//! recorded, order, phases, verification, audit chain, notices. On both stores.
//!
//! The CD system, the directory and the chat answer at once and from memory, and the waits that a
//! rollback has by design (the settling time, the cool-down) are set to nothing, so that what is
//! left is the engine's own.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench stops at the first surprise, and prints"
)]

use benches::{median, process_cpu};
use rollback_core::access::Pattern;
use rollback_core::ports::{
    Capabilities, CdBackend, ClickedOn, Clock, Commands, CompareAndSet, Consent, Directory, Fence,
    Query, Store,
};
use rollback_core::{
    Deploy, Migrations, Phase, Plan, Revision, RollbackView, ServiceKey, StateName, Timestamp,
};
use rollback_engine::{Catalog, Engine, EngineBuilder, ServiceConfig, SystemClock};
use rollback_store::{MemoryStore, Options, SqliteStore};
use rollback_testkit::Chat;
use rollback_testkit::fakes::{FakeBackend, FakeDirectory, FakeSink};
use rollback_testkit::fixtures::{self, parsed};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Each of a service of its own: the engine allows one rollback of a service at a time.
const ROLLBACKS: usize = 200;

/// An engine, and one service with a CD system of its own for each rollback.
struct Site {
    engine: Engine,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    keys: Vec<ServiceKey>,
}

impl Site {
    fn new(store: Arc<dyn Store>, rollbacks: usize) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let everybody = FakeDirectory::new(Arc::clone(&clock), fixtures::everybody());
        let directory: Arc<dyn Directory> = Arc::new(everybody);
        let mut access = fixtures::access_policy();
        for rule in access.owners.iter_mut().chain(&mut access.denied) {
            rule.services = Pattern::any();
        }
        let keys: Vec<ServiceKey> = (0..rollbacks)
            .map(|number| ServiceKey::new(parsed(&format!("s-{number}")), parsed("production")))
            .collect();
        let catalog = keys.iter().fold(Catalog::new(access), |catalog, key| {
            let mut service =
                ServiceConfig::new(parsed(&format!("cd-{}", key.service)), parsed("C0DEPLOYS"));
            service.limits.settle = Duration::ZERO;
            catalog.with(key.clone(), service)
        });
        let builder = EngineBuilder::new(Arc::clone(&store), directory, catalog)
            .notifier(Arc::new(Chat::new()))
            .required_sink(Arc::new(FakeSink::new()))
            .clock(Arc::clone(&clock))
            .look_every(Duration::from_millis(1));
        let engine = keys.iter().fold(builder, |builder, key| {
            let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
            let cd = FakeBackend::with_history(key.clone(), capabilities, history(clock.now()));
            cd.set_phases([Phase::Started, Phase::Complete]);
            let cd: Arc<dyn CdBackend> = Arc::new(cd);
            builder.backend(parsed(&format!("cd-{}", key.service)), cd)
        });
        Self { engine: engine.build().unwrap(), store, clock, keys }
    }

    async fn report(&self, key: &ServiceKey) -> ClickedOn {
        let id = parsed(&format!("ci-{}", key.service));
        let mut deploy = Deploy::new(id, key.clone(), "2.14.0", self.clock.now());
        deploy.revision = Some(parsed("42"));
        deploy.migrations = Migrations::Known(Vec::new());
        let id = deploy.id.clone();
        self.engine.deployed(deploy).await.unwrap();
        ClickedOn::Deploy(id)
    }

    /// From the click to the end.
    async fn roll_back(&self, on: &ClickedOn) -> RollbackView {
        let ana = fixtures::ana();
        let mut view = self.engine.click(on, ana.actor()).await.unwrap();
        while view.state != StateName::Confirming || view.guards.is_empty() {
            assert!(!view.state.is_end(), "{}: {}", view.state, view.explanation);
            view = self.engine.changed(&view.id, view.steps).await.unwrap();
        }
        let pair = Plan::new(view.key.clone(), view.from.clone(), view.to.clone()).unwrap().pair();
        let reason = fixtures::reason();
        view =
            self.engine.confirm(&view.id, ana.actor(), Consent::new(reason, pair)).await.unwrap();
        while !view.state.is_end() {
            view = self.engine.changed(&view.id, view.steps).await.unwrap();
        }
        assert_eq!(view.state, StateName::Succeeded, "{}", view.explanation);
        view
    }

    /// Until every notice was delivered.
    async fn settle(&self) {
        while self.store.waiting().await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn history(now: Timestamp) -> Vec<Revision> {
    let ago = |hours: u64| Timestamp::from_millis(now.as_millis() - hours * 3_600_000);
    [("42", "2.14.0", 0), ("41", "2.13.4", 26), ("40", "2.13.3", 50)]
        .map(|(id, version, hours)| fixtures::revision(id, version, ago(hours)))
        .to_vec()
}

async fn measure(name: &str, store: Arc<dyn Store>, rollbacks: usize) {
    let site = Site::new(store, rollbacks);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = site.engine.clone();
    let runner = tokio::spawn(async move {
        running.run(async move { stopped.await.unwrap() }).await.unwrap();
    });
    let mut clicks = Vec::new();
    for key in &site.keys {
        clicks.push(site.report(key).await);
    }
    site.settle().await;
    let (mut times, mut steps) = (Vec::new(), 0);
    let (cpu, began) = (process_cpu(), Instant::now());
    for on in &clicks {
        let began = Instant::now();
        steps += site.roll_back(on).await.steps;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    site.settle().await;
    let (cpu, took) = (process_cpu() - cpu, began.elapsed());
    let records = site.store.audit(&Query::all(usize::MAX)).await.unwrap().len();
    let each =
        |all: Duration| all.as_secs_f64() * 1e6 / f64::from(u32::try_from(rollbacks).unwrap());
    println!(
        "{name}: {:.0} µs from click to end (median), {:.0} µs with every notice delivered, \
         {:.0} µs of CPU; {} steps and {} audit records each",
        median(times),
        each(took),
        each(cpu),
        steps / u64::try_from(rollbacks).unwrap(),
        records / rollbacks,
    );
    stop.send(()).unwrap();
    runner.await.unwrap();
}

#[tokio::main]
async fn main() {
    let quick = std::env::args().any(|argument| argument == "--test" || argument == "--quick");
    let rollbacks = if quick { 20 } else { ROLLBACKS };
    measure("whole rollback, in memory", Arc::new(MemoryStore::default()), rollbacks).await;
    // Where the build is, for a folder in memory would flush for nothing.
    let folder = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let path = folder.path().join("bench.db");
    let store = SqliteStore::open(path, Options::default()).await.unwrap();
    measure("whole rollback, SQLite", Arc::new(store), rollbacks).await;
}
