//! A shutdown keeps its order: what was acknowledged is recorded while the engine runs, then the engine
//! stops, then the store is closed. What hangs does not keep the rest from being done.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_trait::async_trait;
use rollback_core::ports::{
    Capabilities, ClickedOn, Clock, CommandError, Commands as _, CompareAndSet, Fence, Store,
    StoreError, Surface,
};
use rollback_core::{Deploy, Migrations, Timestamp};
use rollback_engine::{Catalog, Engine, EngineBuilder, ServiceConfig, ShutdownError, SystemClock};
use rollback_store::{MemoryStore, Options, SqliteStore};
use rollback_testkit::ManualClock;
use rollback_testkit::fakes::{FakeBackend, FakeDirectory};
use rollback_testkit::fixtures::{self, parsed};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn engine(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Engine {
    let people = FakeDirectory::new(Arc::clone(&clock), fixtures::everybody());
    let cd = FakeBackend::new(Capabilities::new(CompareAndSet::Yes, Fence::Yes));
    let service = ServiceConfig::new(parsed("prod"), parsed("C0PAYMENTS"));
    let catalog = Catalog::new(fixtures::access_policy()).with(fixtures::key(), service);
    EngineBuilder::new(store, Arc::new(people), catalog)
        .backend(parsed("prod"), Arc::new(cd))
        .clock(clock)
        .build()
        .unwrap()
}

async fn click(engine: &Engine) -> Result<(), CommandError> {
    let on = ClickedOn::Deploy(parsed("ci-42"));
    engine.click(&on, fixtures::ana().actor()).await.map(drop)
}

/// A surface that has acknowledged one click, and asks the engine only when it is drained.
#[derive(Debug)]
struct Acknowledged {
    engine: Engine,
    became: Arc<Mutex<Option<Result<(), CommandError>>>>,
}

#[async_trait]
impl Surface for Acknowledged {
    async fn drain(&self) {
        let became = click(&self.engine).await;
        *self.became.lock().unwrap() = Some(became);
    }
}

#[derive(Debug)]
struct Hanging;

#[async_trait]
impl Surface for Hanging {
    async fn drain(&self) {
        std::future::pending::<()>().await;
    }
}

async fn deployed(engine: &Engine) {
    let mut deploy = Deploy::new(parsed("ci-42"), fixtures::key(), "2.14.0", engine.now());
    deploy.revision = Some(parsed("42"));
    deploy.migrations = Migrations::Known(Vec::new());
    engine.deployed(deploy).await.unwrap();
}

#[tokio::test]
async fn a_shutdown_records_what_was_acknowledged_then_stops_then_closes_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rollback.db");
    let store = Arc::new(SqliteStore::open(path.clone(), Options::default()).await.unwrap());
    let port: Arc<dyn Store> = Arc::<SqliteStore>::clone(&store);
    let engine = engine(port, Arc::new(SystemClock::new()));
    let became = Arc::new(Mutex::new(None));
    let surface = Acknowledged { engine: engine.clone(), became: Arc::clone(&became) };
    let running = engine.start().await.unwrap().draining(surface);
    deployed(running.engine()).await;
    assert!(folder.path().join("rollback.db-wal").exists(), "the log is in use");
    assert_eq!(running.shutdown().await, Ok(()));
    assert_eq!(became.lock().unwrap().take(), Some(Ok(())), "the engine ran when it was asked");
    assert!(click(&engine).await.is_err(), "nothing is taken any more");
    let closed = store.ping().await;
    assert!(matches!(closed, Err(StoreError::Unavailable(_))), "{closed:?}");
    assert!(!folder.path().join("rollback.db-wal").exists(), "the file is whole");
}

#[tokio::test(start_paused = true)]
async fn a_surface_that_hangs_is_told_and_the_engine_stops_all_the_same() {
    let clock = Arc::new(ManualClock::starting_at(fixtures::at(0)));
    let engine = engine(Arc::new(MemoryStore::default()), clock);
    let running = engine.start().await.unwrap().draining(Hanging);
    deployed(running.engine()).await;
    assert_eq!(running.shutdown().await, Err(ShutdownError::NotRecorded));
    assert_eq!(click(&engine).await, Err(CommandError::Stopping));
}

/// A clock that panics while it is broken.
#[derive(Debug)]
struct Breakable {
    clock: ManualClock,
    is_broken: AtomicBool,
}

#[async_trait]
impl Clock for Breakable {
    fn now(&self) -> Timestamp {
        assert!(!self.is_broken.load(Ordering::Relaxed), "the clock is broken");
        self.clock.now()
    }

    async fn sleep_until(&self, at: Timestamp) {
        self.clock.sleep_until(at).await;
    }

    async fn sleep(&self, wait: Duration) {
        self.clock.sleep(wait).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_ends_by_itself_is_noticed_and_its_shutdown_says_so() {
    let clock = ManualClock::starting_at(fixtures::at(0));
    let clock = Arc::new(Breakable { clock, is_broken: AtomicBool::new(false) });
    let engine = engine(Arc::new(MemoryStore::default()), Arc::<Breakable>::clone(&clock));
    let running = engine.start().await.unwrap();
    clock.is_broken.store(true, Ordering::Relaxed);
    tokio::time::timeout(Duration::from_secs(60), running.ended()).await.unwrap();
    clock.is_broken.store(false, Ordering::Relaxed);
    assert_eq!(running.shutdown().await, Err(ShutdownError::EndedBefore));
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_runs_has_not_ended_until_it_is_stopped_or_dropped() {
    let running = async || {
        let clock = Arc::new(ManualClock::starting_at(fixtures::at(0)));
        engine(Arc::new(MemoryStore::default()), clock).start().await.unwrap()
    };
    let stopped = running().await;
    let ended = stopped.ended();
    let waited = tokio::time::timeout(Duration::from_secs(3_600), stopped.ended()).await;
    assert!(waited.is_err(), "nobody has stopped it");
    assert_eq!(stopped.shutdown().await, Ok(()));
    ended.await;
    let dropped = running().await;
    let ended = dropped.ended();
    drop(dropped);
    tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_told_at_the_start_and_nothing_runs() {
    let store = SqliteStore::open(rollback_store::Location::Memory, Options::default()).await;
    let store = Arc::new(store.unwrap());
    let port: Arc<dyn Store> = Arc::<SqliteStore>::clone(&store);
    let engine = engine(port, Arc::new(SystemClock::new()));
    let _closed = store.close().await;
    let error = engine.start().await.map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}
