//! A process: an engine on the store that it is told, and people who act on what they see there.

use super::files::{Chat, turn};
use super::lines::{append, written};
use super::scenes::Scene;
use async_trait::async_trait;
use rollback_core::notice::Notice;
use rollback_core::ports::{
    AuditSink, CdBackend, ClickedOn, Clock, Commands as _, Consent, Fence, HealthSource, Instance,
    Kept, Query, Queued, Store,
};
use rollback_core::{
    Deploy, Health, Migrations, Outcome, Plan, Proposer, Reason, RollbackView, StateName, Timestamp,
};
use rollback_engine::{Catalog, Engine, EngineBuilder, Proposal, ServiceConfig, SystemClock};
use rollback_http::{Config, HttpBackend};
use rollback_store::{
    AuditFile, AuditFileOptions, Options, PostgresOptions, PostgresStore, SqliteStore,
};
use rollback_testkit::fakes::{FakeDirectory, FakeHealth, FakeSink};
use rollback_testkit::fixtures::{self, parsed};
use rollback_testkit::invariants::Seen;
use rollback_testkit::{Fate, Life, Log, Mortal, Place};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The variable with what a process is told.
pub(crate) const ORDERS: &str = "ROLLBACK_TEST_REPLICA";

/// What is there once a process that was stopped may go on.
pub(crate) const CONTINUED: &str = "continued";

/// How long a process owns a rollback without renewing.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// How long a request to the CD system may take.
const CD_TIMEOUT: Duration = Duration::from_millis(700);

pub(crate) const TOKEN: &str = "a-cd-token";

/// What a process is told.
struct Orders {
    folder: PathBuf,
    /// A database; without it a file.
    database: Option<String>,
    cd: String,
    scene: Scene,
    number: u64,
    place: Option<Place>,
    signal: String,
    /// How far its clock is off, in milliseconds.
    skew: i64,
}

impl Orders {
    fn read(text: &str) -> Self {
        let told: Value = serde_json::from_str(text).unwrap();
        let text = |name: &str| told[name].as_str().map(str::to_owned);
        Self {
            folder: text("folder").unwrap().into(),
            database: text("database"),
            cd: text("cd").unwrap(),
            scene: Scene::named(&text("scene").unwrap()).unwrap(),
            number: told["number"].as_u64().unwrap(),
            place: text("place").map(|place| place.parse().unwrap()),
            signal: text("signal").unwrap_or_else(|| "KILL".into()),
            skew: told["skew"].as_i64().unwrap_or(0),
        }
    }
}

/// The copy of the audit log of a process: each has its own on a server, and one after the other has
/// the same beside a file.
pub(crate) fn copy_of(folder: &Path, number: u64, shares_a_server: bool) -> PathBuf {
    let number = if shares_a_server { number } else { 0 };
    folder.join(format!("audit-{number}.jsonl"))
}

impl Orders {
    fn copy(&self) -> AuditFile {
        let path = copy_of(&self.folder, self.number, self.database.is_some());
        AuditFile::new(path, AuditFileOptions::default())
    }
}

pub(crate) fn live(orders: &str) {
    let orders = Orders::read(orders);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(&orders));
}

/// The machine's clock, ahead or behind.
#[derive(Debug)]
struct Skewed {
    clock: SystemClock,
    by: i64,
}

#[async_trait]
impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now().as_millis().saturating_add_signed(self.by))
    }

    async fn sleep_until(&self, at: Timestamp) {
        tokio::time::sleep(at.since(self.now())).await;
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

impl Skewed {
    /// What was seen, so that claims of processes whose clocks differ can be compared: each is
    /// counted on from the moment when its owner hears of it.
    fn by_the_right_clock(&self, seen: &Seen) -> Seen {
        let mut seen = seen.clone();
        if let Seen::Claimed { at, until, .. } = &mut seen {
            *at = self.clock.now();
            *until = Timestamp::from_millis(until.as_millis().saturating_add_signed(-self.by));
        }
        seen
    }
}

async fn run(orders: &Orders) {
    let mut terminated =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    std::fs::write(orders.folder.join(format!("up-{}", orders.number)), "").unwrap();
    let seen = orders.folder.join("seen.log");
    let skewed = Arc::new(Skewed { clock: SystemClock::new(), by: orders.skew });
    let right = Arc::clone(&skewed);
    let log = Log::telling(move |what| append(&seen, &written(&right.by_the_right_clock(what))));
    let life = Life::new(orders.place.map_or(Fate::Spared, Fate::HaltsAt), &log);
    let store: Arc<dyn Store> = match &orders.database {
        Some(url) => Arc::new(connected(url).await),
        None => {
            let file = orders.folder.join("rollback.db");
            Arc::new(SqliteStore::open(file, Options::default()).await.unwrap())
        }
    };
    let clock: Arc<dyn Clock> = skewed;
    let mortal: Arc<dyn Store> = Arc::new(Mortal::new(&life, &store, &clock));
    let (halted, signal) = (life.clone(), orders.signal.clone());
    let (folder, number) = (orders.folder.clone(), orders.number);
    tokio::spawn(async move {
        halted.paused().await;
        if is_chosen(&folder, number) {
            // On a thread of its own: it returns when somebody lets the process go on. Nothing is
            // delivered from now on, and what is just being delivered has its turn no more.
            let stop = move || {
                drop(turn(&folder.join("chat.log")));
                signalled(&signal);
                // It is sent, and reaches one thread after the other: this one must not go on
                // before it has arrived everywhere.
                while !folder.join(CONTINUED).exists() {
                    std::thread::sleep(Duration::from_millis(5));
                }
            };
            tokio::task::spawn_blocking(stop).await.unwrap();
        }
        halted.go_on();
    });
    let engine = engine(orders, &life, &mortal, &clock);
    let stopped = CancellationToken::new();
    let (running, stop) = (engine.clone(), stopped.clone());
    let host = tokio::spawn(async move {
        while running.run(stop.cancelled()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    tokio::select! {
        biased;
        _ = terminated.recv() => {}
        () = people(orders, &engine, &store, &mortal) => {}
    }
    stopped.cancel();
    host.await.unwrap();
}

/// A database that does not answer at first is asked again, as whoever runs a service does.
async fn connected(url: &str) -> PostgresStore {
    loop {
        match PostgresStore::connect(url, PostgresOptions::default()).await {
            Ok(store) => return store,
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Sends this process a signal, as `kill` does. After `KILL` nothing is cleaned up, flushed or said.
fn signalled(signal: &str) {
    let me = std::process::id().to_string();
    assert!(Command::new("kill").args([&format!("-{signal}"), &me]).status().unwrap().success());
}

fn engine(orders: &Orders, life: &Life, store: &Arc<dyn Store>, clock: &Arc<dyn Clock>) -> Engine {
    let scene = orders.scene;
    let mut service = ServiceConfig::new(parsed("prod"), parsed("C0PAYMENTS"));
    service.approvals_min = u8::from(scene == Scene::Approved);
    service.limits.cool_down = Duration::ZERO;
    service.limits.settle = Duration::from_millis(60);
    service.limits.cd_timeout = CD_TIMEOUT;
    service.limits.doubt_within = Duration::from_millis(1_000);
    if scene == Scene::Expired {
        service.limits.confirm_within = Duration::from_millis(500);
    }
    if scene == Scene::Unhealthy {
        service.limits.verify_within = Duration::from_millis(500);
    }
    let health = Arc::new(FakeHealth::new(Arc::clone(clock)));
    if scene == Scene::Unhealthy {
        health.set(Health::Unhealthy("errors up 4x".into()));
    }
    let health: Arc<dyn HealthSource> = health;
    service.health = Some(health);
    let mut config = Config::new(orders.cd.clone(), TOKEN);
    config.timeout = CD_TIMEOUT;
    config.fence = if scene == Scene::Unknown { Fence::No } else { Fence::Yes };
    let cd: Arc<dyn CdBackend> = Arc::new(HttpBackend::new(&config).unwrap());
    let copy: Arc<dyn AuditSink> = Arc::new(orders.copy());
    let people = Arc::new(FakeDirectory::new(Arc::clone(clock), fixtures::everybody()));
    EngineBuilder::new(
        Arc::clone(store),
        Arc::new(Mortal::new(life, &people, clock)),
        Catalog::new(fixtures::access_policy()).with(fixtures::key(), service),
    )
    .backend(parsed("prod"), Arc::new(Mortal::new(life, &cd, clock)))
    .notifier(Arc::new(Mortal::new(life, &Arc::new(Chat::new(&orders.folder, scene)), clock)))
    .required_sink(Arc::new(Mortal::new(life, &copy, clock)))
    .sink(Arc::new(Mortal::new(life, &Arc::new(FakeSink::new()), clock)))
    .clock(Arc::clone(clock))
    .instance(Instance::new(format!("replica-{}", orders.number)))
    .look_every(Duration::from_millis(20))
    .lease(LEASE)
    .build()
    .unwrap()
}

/// The doom of a world is for one of its processes: the first that comes to its place.
pub(crate) fn is_chosen(folder: &Path, number: u64) -> bool {
    let (mine, chosen) = (folder.join(format!("doom-{number}")), folder.join("doom"));
    std::fs::write(&mine, number.to_string()).unwrap();
    std::fs::hard_link(mine, chosen).is_ok()
}

/// Which one it is, if there is one yet.
pub(crate) fn chosen(folder: &Path) -> Option<u64> {
    std::fs::read_to_string(folder.join("doom")).ok()?.parse().ok()
}

/// Who is at which process: they are with one at a time, and go to the next when it dies.
pub(crate) fn people_go_to(folder: &Path, number: u64) {
    let (new, place) = (folder.join("people.new"), folder.join("people"));
    std::fs::write(&new, number.to_string()).unwrap();
    std::fs::rename(new, place).unwrap();
}

fn people_are_here(orders: &Orders) -> bool {
    let at = std::fs::read_to_string(orders.folder.join("people")).unwrap();
    at == orders.number.to_string()
}

/// Acts on what the store says, until nothing is left to do or to wait for.
async fn people(orders: &Orders, engine: &Engine, store: &Arc<dyn Store>, mortal: &Arc<dyn Store>) {
    let mut hosted = orders.scene != Scene::Hosted;
    loop {
        if let Some(views) = views(store).await {
            if over(orders, store, &views).await {
                return;
            }
            if people_are_here(orders) {
                act(orders, engine, store, &views).await;
                if let (false, Some(view)) = (hosted, views.first()) {
                    hosted = host(mortal, view).await.is_ok();
                    if hosted {
                        std::fs::write(orders.folder.join("hosted"), "").unwrap();
                    }
                }
            }
        }
        // Whoever has nobody to look after only waits for the end.
        let rest = if people_are_here(orders) { 30 } else { 250 };
        tokio::time::sleep(Duration::from_millis(rest)).await;
    }
}

async fn views(store: &Arc<dyn Store>) -> Option<Vec<RollbackView>> {
    let listed = store.list(&Query::all(100)).await.ok()?;
    Some(listed.into_iter().map(|listed| listed.view).collect())
}

fn is_settled(view: &RollbackView) -> bool {
    view.state.is_end()
        && (view.state != StateName::OutcomeUnknown || view.explanation.starts_with("settled"))
}

async fn over(orders: &Orders, store: &Arc<dyn Store>, views: &[RollbackView]) -> bool {
    if views.is_empty() || !views.iter().all(is_settled) {
        return false;
    }
    if orders.scene == Scene::Happy {
        let older = store.deploy(&parsed("ci-42")).await;
        if !older.is_ok_and(|card| card.is_some_and(|card| card.superseded_by.is_some())) {
            return false;
        }
    }
    if orders.scene == Scene::Hosted && !orders.folder.join("hosted").exists() {
        return false;
    }
    let waiting = store.waiting().await;
    let (Ok(head), Ok(Kept::BySink(copy))) = (store.head().await, orders.copy().kept().await)
    else {
        return false;
    };
    waiting.is_ok_and(|waiting| waiting == 0) && copy == Some(head)
}

async fn act(orders: &Orders, engine: &Engine, store: &Arc<dyn Store>, views: &[RollbackView]) {
    let scene = orders.scene;
    let Ok(deployed) = store.deploy(&parsed("ci-42")).await else { return };
    if deployed.is_none() {
        drop(engine.deployed(deploy("42", "2.14.0", engine.now())).await);
        return;
    }
    let clicker = if scene == Scene::Denied { fixtures::eve() } else { fixtures::ana() };
    if views.is_empty() && scene == Scene::Proposed {
        let by = Proposer::new("agent-7", Some("Watcher".into()));
        let proposal = Proposal::new(fixtures::key(), fixtures::reason(), by);
        drop(engine.propose(proposal).await);
    } else if views.is_empty() {
        drop(engine.click(&ClickedOn::Deploy(parsed("ci-42")), clicker.actor()).await);
    }
    for view in views {
        say(scene, engine, view).await;
    }
    if scene == Scene::Happy && views.iter().all(is_settled) && !views.is_empty() {
        drop(engine.deployed(deploy("43", "2.15.0", engine.now())).await);
    }
}

fn deploy(revision: &str, version: &str, now: Timestamp) -> Deploy {
    let id = parsed(&format!("ci-{revision}"));
    let mut deploy = Deploy::new(id, fixtures::key(), version, now);
    deploy.revision = Some(parsed(revision));
    deploy.migrations = Migrations::Known(Vec::new());
    deploy
}

/// What a person says to a rollback that they see. Whether it counts is up to the engine.
async fn say(scene: Scene, engine: &Engine, view: &RollbackView) {
    let (id, ana) = (&view.id, fixtures::ana());
    if view.put_aside.is_some() {
        drop(engine.release(id, ana.actor()).await);
        return;
    }
    match view.state {
        StateName::Proposed => {
            drop(engine.click(&ClickedOn::Proposal(id.clone()), ana.actor()).await);
        }
        StateName::Confirming if !view.guards.is_empty() && scene != Scene::Expired => {
            let plan = Plan::new(view.key.clone(), view.from.clone(), view.to.clone()).unwrap();
            drop(
                engine
                    .confirm(id, ana.actor(), Consent::new(fixtures::reason(), plan.pair()))
                    .await,
            );
        }
        StateName::Approving => drop(engine.approve(id, fixtures::bo().actor()).await),
        StateName::Running if scene == Scene::Cancelled => {
            drop(engine.withdraw(id, ana.actor()).await);
        }
        StateName::OutcomeUnknown if !view.explanation.starts_with("settled") => {
            let finding = Reason::parse("looked at it myself").unwrap();
            drop(engine.settle(id, ana.actor(), Outcome::TookEffect, finding).await);
        }
        _ => {}
    }
}

/// What a host does that the engine never does by itself.
async fn host(
    store: &Arc<dyn Store>,
    view: &RollbackView,
) -> Result<(), rollback_core::ports::StoreError> {
    let now = Timestamp::from_millis(0);
    store.see(&[[7; 32]], now, Duration::from_secs(600)).await?;
    let mark = fixtures::mark_bad("39", "leaks");
    let record = fixtures::changed("change/by-hand", &view.key, &mark, now);
    store.change(&view.key, &mark, record.clone(), Vec::new()).await?;
    store.append(record).await?;
    let text = "by hand".into();
    let notice = Notice::Private { to: fixtures::ana().id(), text, view: Box::new(view.clone()) };
    store.queue(vec![Queued::new("chat", "by-hand", notice, parsed("C0PAYMENTS"))]).await
}
