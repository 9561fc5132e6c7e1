//! The child that is killed, the parent that kills it, and the files between them.

mod files;

use files::{Cd, Chat, Moment, Sink};
use rollback_core::audit::Record;
use rollback_core::ports::{
    CdBackend, ClickedOn, Clock, Commands, Instance, Journal, Query, Store,
};
use rollback_core::{
    Deploy, Event, Migrations, Plan, RollbackView, StateName, Timestamp, notice::MessageRef,
};
use rollback_engine::{Catalog, Engine, EngineBuilder, ServiceConfig, SystemClock};
use rollback_store::{Options, SqliteStore};
use rollback_testkit::fakes::FakeDirectory;
use rollback_testkit::fixtures::{self, parsed};
use rollback_testkit::invariants::{Evidence, Rest, violations};
use rollback_testkit::{Fate, Life, Log, Mortal};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the parent kills, without being told otherwise.
const KILLS: u64 = 40;

/// The moments of an order at which a child can be told to die.
const MOMENTS: [(&str, Moment); 2] = [("lost", Moment::Lost), ("took-effect", Moment::TookEffect)];

/// How many rollbacks one child runs before it ends by itself.
const ROLLBACKS: usize = 6;

/// Opens what was left behind, and goes on.
pub(crate) fn child(folder: &Path, fate: &str) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(folder, fate));
}

async fn run(folder: &Path, fate_is: &str) {
    let fate = fate_is.parse().map_or(Fate::Spared, Fate::KilledAt);
    let life = Life::new(fate, &Log::default());
    let file = SqliteStore::open(folder.join("rollback.db"), Options::default()).await.unwrap();
    let file: Arc<dyn Store> = Arc::new(file);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let dies = MOMENTS.iter().find(|(name, _)| fate_is == *name).map(|(_, moment)| *moment);
    let cd = Arc::new(Cd::new(folder, dies));
    let dying = life.clone();
    tokio::spawn(async move {
        dying.ended().await;
        die();
    });
    let engine = engine(&life, &file, &clock, Arc::<Cd>::clone(&cd), folder);
    let mut terminated =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    let (running, stopped) = (engine.clone(), tokio_util::sync::CancellationToken::new());
    let stop = stopped.clone();
    let host = tokio::spawn(async move { running.run(stop.cancelled()).await });
    tokio::select! {
        biased;
        _ = terminated.recv() => {}
        () = people(&engine, &file, &cd) => {}
    }
    stopped.cancel();
    host.await.unwrap().unwrap();
    println!("points {}", life.points());
}

/// Ends this process as `kill -9` does: nothing is cleaned up, flushed or said.
fn die() {
    let me = std::process::id().to_string();
    drop(Command::new("kill").args(["-KILL", &me]).status());
    loop {
        std::thread::park();
    }
}

fn engine(
    life: &Life,
    file: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    cd: Arc<Cd>,
    folder: &Path,
) -> Engine {
    let mut service = ServiceConfig::new(parsed("prod"), parsed("C0PAYMENTS"));
    service.limits.cool_down = Duration::ZERO;
    service.limits.settle = Duration::from_millis(30);
    service.limits.cd_timeout = Duration::from_millis(200);
    let cd: Arc<dyn CdBackend> = cd;
    EngineBuilder::new(
        Arc::new(Mortal::new(life, file, clock)),
        Arc::new(FakeDirectory::new(Arc::clone(clock), fixtures::everybody())),
        Catalog::new(fixtures::access_policy()).with(fixtures::key(), service),
    )
    .backend(parsed("prod"), cd)
    .notifier(Arc::new(Chat::new(folder)))
    .required_sink(Arc::new(Sink::new(folder)))
    .clock(Arc::clone(clock))
    .instance(Instance::new(format!("process-{}", std::process::id())))
    .look_every(Duration::from_millis(10))
    .lease(Duration::from_millis(400))
    .build()
}

/// Deploys, rolls back, and so on: whatever a look at the store says comes next.
async fn people(engine: &Engine, store: &Arc<dyn Store>, cd: &Cd) {
    let before = store.list(&Query::all(10_000)).await.unwrap().len();
    loop {
        let listed = store.list(&Query::all(10_000)).await.unwrap();
        let open: Vec<&RollbackView> =
            listed.iter().map(|l| &l.view).filter(|view| !view.state.is_end()).collect();
        for view in &open {
            if view.put_aside.is_some() {
                drop(engine.release(&view.id, fixtures::ana().actor()).await);
            }
            if view.state == StateName::Confirming && !view.guards.is_empty() {
                let plan = Plan::new(view.key.clone(), view.from.clone(), view.to.clone());
                let (ana, pair) = (fixtures::ana().actor(), plan.unwrap().pair());
                drop(engine.confirm(&view.id, ana, fixtures::reason(), pair).await);
            }
        }
        let waiting = store.waiting().await.unwrap() > 0;
        if open.is_empty() && listed.len() >= before + ROLLBACKS && !waiting {
            return;
        }
        if open.is_empty() && listed.len() < before + ROLLBACKS {
            let revision = cd.deploy();
            let id = format!("ci-{revision}");
            let now = Timestamp::from_millis(now());
            let version = format!("1.{revision}");
            let mut deploy = Deploy::new(parsed(&id), fixtures::key(), version, now);
            deploy.revision = Some(parsed(&revision));
            deploy.migrations = Migrations::Known(Vec::new());
            if engine.deployed(deploy).await.is_ok() {
                let on = ClickedOn::Deploy(parsed(&id));
                drop(engine.click(&on, fixtures::ana().actor()).await);
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn start(folder: &Path, fate: &str) -> Child {
    let me = std::env::current_exe().unwrap();
    let mut command = Command::new(me);
    command.arg("child").arg(folder).arg(fate);
    command.stdout(std::process::Stdio::piped()).spawn().unwrap()
}

/// Waits for a child, and kills it when it takes far too long.
fn wait(mut child: Child) -> (ExitStatus, String) {
    let began = Instant::now();
    loop {
        if child.try_wait().unwrap().is_some() {
            let output = child.wait_with_output().unwrap();
            return (output.status, String::from_utf8(output.stdout).unwrap());
        }
        assert!(began.elapsed() < Duration::from_secs(120), "a child neither ends nor dies");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Kills children, lets the last one finish, and reads what they left.
pub(crate) fn parent() {
    let kills: u64 = std::env::var("ROLLBACK_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (status, said) = wait(start(folder, "spared"));
    assert!(status.success(), "the first child failed: {status}");
    let points: u64 = said.trim().strip_prefix("points ").unwrap().parse().unwrap();
    let (mut by_point, mut at_random) = (0, 0);
    for kill in 0..kills {
        if kill % 2 == 0 {
            // Spread over every point of the first rollback, never the same ones twice.
            let window = points * 5 / 4 / u64::try_from(ROLLBACKS).unwrap();
            let point = 1 + kill * window / kills;
            let (status, _) = wait(start(folder, &point.to_string()));
            by_point += u64::from(!status.success());
        } else {
            let mut child = start(folder, "spared");
            std::thread::sleep(Duration::from_millis(20 + kill * 7919 % 400));
            child.kill().unwrap();
            at_random += u64::from(!wait(child).0.success());
        }
    }
    for (moment, _) in MOMENTS {
        let (status, _) = wait(start(folder, moment));
        assert!(!status.success(), "the child did not die when its order was {moment}");
    }
    terminate(folder);
    let (status, _) = wait(start(folder, "spared"));
    assert!(status.success(), "the last child failed: {status}");
    println!("kill: {by_point} killed at a point, {at_random} at random, of {points} points");
    assert!(by_point + at_random >= kills / 2, "hardly any child was killed");
    judge(folder);
}

/// `SIGTERM` drains: the process ends by itself, soon, and well.
fn terminate(folder: &Path) {
    let child = start(folder, "spared");
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let (status, _) = wait(child);
    assert!(status.success(), "after SIGTERM: {status}");
    assert!(began.elapsed() < Duration::from_secs(10), "draining took {:?}", began.elapsed());
}

fn judge(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let evidence = runtime.block_on(evidence(folder));
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for view in &evidence.views {
        *ends.entry(view.state.as_str()).or_default() += 1;
    }
    println!("kill: {} rollbacks: {ends:?}", evidence.views.len());
    let mut found = violations(&evidence);
    // What was stored when is only seen from inside the process that died.
    let inside = ["INV-13", "INV-19", "INV-20"];
    found.retain(|violation| !inside.iter().any(|name| violation.invariant.starts_with(name)));
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(ends.get("succeeded").is_some_and(|ended| *ended >= ROLLBACKS), "{ends:?}");
    let doubted = |journal: &&Journal| {
        journal.entries.iter().any(|entry| matches!(entry.event, Event::TriggerInDoubt(_)))
    };
    let doubts = evidence.journals.iter().filter(doubted).count();
    println!("kill: {doubts} orders were in doubt after a death");
    assert!(doubts >= MOMENTS.len() && ends.contains_key("failed"), "{doubts} doubts, {ends:?}");
    let kept: Vec<Record> = Sink::new(folder).records();
    assert_eq!(kept, evidence.records, "the audit sink has every record once, in order");
    println!("kill: {} audit records, the chain is whole", kept.len());
}

async fn evidence(folder: &Path) -> Evidence {
    let store = SqliteStore::open(folder.join("rollback.db"), Options::default()).await.unwrap();
    let listed = store.list(&Query::all(10_000)).await.unwrap();
    let views: Vec<RollbackView> = listed.into_iter().map(|listed| listed.view).collect();
    let mut journals = Vec::new();
    for view in &views {
        journals.push(store.load(&view.id).await.unwrap().expect("it has a journal"));
    }
    let far = Timestamp::from_millis(now()).after(Duration::from_secs(1_000_000));
    let evidence = Evidence {
        log: files::seen(folder, &journals),
        journals,
        views,
        records: store.audit(&Query::all(10_000)).await.unwrap(),
        chain: store.head().await.unwrap().chain,
        messages: Chat::new(folder).messages(),
        compares: true,
        waiting: store.due(far, 1_000).await.unwrap().len(),
        rest: Rest::Reached,
    };
    store.close().await;
    evidence
}

/// A message of the chat, by its number.
fn message(number: usize) -> MessageRef {
    MessageRef::new(parsed("C0PAYMENTS"), number.to_string())
}
