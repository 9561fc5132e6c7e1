//! A rollback whose work ends whoever does it: three are enough, then it is put aside, in sight of
//! everybody, until somebody releases it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use async_trait::async_trait;
use rollback_core::observed::{Live, Preflight};
use rollback_core::ports::{
    Cancelled, Capabilities, CdBackend, Changes, ClickedOn, Clock, Commands, CompareAndSet,
    Consent, Fence, Fenced, HistoryOptions, Instance, LiveOptions, NoChanges, ObserveOptions,
    PortError, Query, StartError, Store,
};
use rollback_core::proof::{Order, OrderRef};
use rollback_core::{
    Deploy, Migrations, Phase, Plan, Progress, Receipt, Revision, RollbackView, ServiceKey,
    StateName,
};
use rollback_engine::{Catalog, Engine, EngineBuilder, ServiceConfig, SystemClock};
use rollback_store::{MemoryStore, Options, SqliteStore};
use rollback_testkit::Chat;
use rollback_testkit::fakes::FakeDirectory;
use rollback_testkit::fixtures::{self, parsed};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How often whoever works is ended before the rollback is put aside.
const ENOUGH: usize = 3;

/// How a look at the execution ends whoever looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Deadly {
    Abort,
    Panic,
    No,
}

/// A CD system that has carried out its order when a file is there.
#[derive(Debug)]
struct Cd {
    done: PathBuf,
    deadly: std::sync::Mutex<Deadly>,
    panics: Arc<AtomicUsize>,
}

impl Cd {
    fn new(folder: &Path, deadly: Deadly) -> Self {
        let deadly = std::sync::Mutex::new(deadly);
        Self { done: folder.join("done"), deadly, panics: Arc::default() }
    }

    fn deadly(&self) -> Deadly {
        *self.deadly.lock().unwrap()
    }

    fn mend(&self) {
        *self.deadly.lock().unwrap() = Deadly::No;
    }

    fn receipt() -> Receipt {
        Receipt::new("execution-1")
    }
}

/// A wait that nobody survives.
#[derive(Debug)]
struct Deadening(Arc<AtomicUsize>);

#[async_trait]
impl Changes for Deadening {
    async fn next(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::panic::resume_unwind(Box::new("a wait that nobody survives"));
    }
}

#[async_trait]
impl CdBackend for Cd {
    fn capabilities(&self, _key: &ServiceKey) -> Capabilities {
        Capabilities::new(CompareAndSet::Yes, Fence::Yes)
    }

    async fn history(
        &self,
        _key: &ServiceKey,
        _options: HistoryOptions,
    ) -> Result<Vec<Revision>, PortError> {
        Ok(fixtures::history())
    }

    async fn live(&self, _key: &ServiceKey, _options: LiveOptions) -> Result<Live, PortError> {
        let live = if self.done.exists() { "41" } else { "42" };
        Ok(Live::running(fixtures::reference(live)))
    }

    async fn preflight(&self, _plan: &Plan) -> Result<Preflight, PortError> {
        Ok(fixtures::accepted())
    }

    async fn start(&self, _order: Order) -> Result<Receipt, StartError> {
        assert!(!self.done.exists(), "the order was sent twice");
        std::fs::write(&self.done, "").unwrap();
        Ok(Self::receipt())
    }

    async fn find(&self, _order: &OrderRef) -> Result<Option<Receipt>, PortError> {
        Ok(self.done.exists().then(Self::receipt))
    }

    async fn fence(&self, _order: &OrderRef) -> Result<Fenced, PortError> {
        Ok(Fenced::Done)
    }

    async fn observe(
        &self,
        _order: &OrderRef,
        _receipt: &Receipt,
        _options: ObserveOptions,
    ) -> Result<Progress, PortError> {
        match self.deadly() {
            Deadly::Abort => std::process::abort(),
            Deadly::Panic => Ok(Progress::new(Phase::Started)),
            Deadly::No => Ok(Progress::new(Phase::Complete)),
        }
    }

    /// A panic in an answer is no answer, and costs nobody anything; this is no answer.
    fn changes(&self, _key: &ServiceKey) -> Box<dyn Changes> {
        if self.deadly() == Deadly::Panic {
            return Box::new(Deadening(Arc::clone(&self.panics)));
        }
        Box::new(NoChanges::default())
    }

    async fn cancel(&self, _order: &OrderRef, _receipt: &Receipt) -> Result<Cancelled, PortError> {
        Ok(Cancelled::TooLate)
    }
}

fn engine(store: &Arc<dyn Store>, cd: &Arc<Cd>, chat: &Arc<Chat>) -> Engine {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut service = ServiceConfig::new(parsed("prod"), parsed("C0PAYMENTS"));
    service.limits.settle = Duration::from_millis(30);
    service.limits.cd_timeout = Duration::from_millis(200);
    let backend: Arc<dyn CdBackend> = Arc::<Cd>::clone(cd);
    EngineBuilder::new(
        Arc::clone(store),
        Arc::new(FakeDirectory::new(Arc::clone(&clock), fixtures::everybody())),
        Catalog::new(fixtures::access_policy()).with(fixtures::key(), service),
    )
    .backend(parsed("prod"), backend)
    .notifier(Arc::<Chat>::clone(chat))
    .clock(clock)
    .instance(Instance::new(format!("process-{}", std::process::id())))
    .look_every(Duration::from_millis(10))
    .lease(Duration::from_millis(400))
    .build()
    .unwrap()
}

/// Clicks and confirms unless that was done before, and waits until `enough`.
async fn ana(
    engine: &Engine,
    store: &Arc<dyn Store>,
    enough: impl Fn(&RollbackView) -> bool,
) -> RollbackView {
    for _look in 0..2_000 {
        let listed = store.list(&Query::all(9)).await.unwrap();
        match listed.into_iter().next().map(|listed| listed.view) {
            None => {
                let now = engine.now();
                let mut deploy = Deploy::new(parsed("ci-42"), fixtures::key(), "2.14.0", now);
                deploy.revision = Some(parsed("42"));
                deploy.migrations = Migrations::Known(Vec::new());
                engine.deployed(deploy).await.unwrap();
                let on = ClickedOn::Deploy(parsed("ci-42"));
                let _opened = engine.click(&on, fixtures::ana().actor()).await.unwrap();
            }
            Some(view) if enough(&view) => return view,
            Some(view) if view.state == StateName::Confirming && !view.guards.is_empty() => {
                let plan = Plan::new(view.key, view.from, view.to).unwrap();
                let ana = fixtures::ana().actor();
                let said =
                    engine.confirm(&view.id, ana, Consent::new(fixtures::reason(), plan.pair()));
                let _confirmed = said.await.unwrap();
            }
            Some(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to that")
}

fn is_aside(view: &RollbackView) -> bool {
    view.put_aside.is_some()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs an engine for as long as something else takes.
async fn running<T>(engine: &Engine, meanwhile: impl Future<Output = T>) -> T {
    let stop = tokio_util::sync::CancellationToken::new();
    let (host, stopped) = (engine.clone(), stop.clone());
    let host = tokio::spawn(async move { host.run(stopped.cancelled()).await });
    let done = meanwhile.await;
    stop.cancel();
    host.await.unwrap().unwrap();
    done
}

const FOLDER: &str = "ROLLBACK_POISON_FOLDER";

/// One process: this program again, with nothing but this.
fn process(folder: &Path) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "poison::one_process", "--nocapture"]).env(FOLDER, folder);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command.status().unwrap()
}

async fn opened(folder: &Path) -> Arc<dyn Store> {
    let file = folder.join("rollback.db");
    Arc::new(SqliteStore::open(file, Options::default()).await.unwrap())
}

/// What [`process`] runs; by itself it does nothing.
#[test]
fn one_process() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    runtime().block_on(async {
        let store = opened(&folder).await;
        let cd = Arc::new(Cd::new(&folder, Deadly::Abort));
        let engine = engine(&store, &cd, &Arc::default());
        running(&engine, ana(&engine, &store, is_aside)).await;
    });
}

#[test]
fn a_rollback_that_aborts_every_process_is_put_aside_after_three_and_goes_on_once_released() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let survivor = (0..9).find(|_| process(folder).success());
    assert_eq!(survivor, Some(ENOUGH), "so many processes were ended by it");
    runtime().block_on(async {
        let store = opened(folder).await;
        let aside = store.put_aside().await.unwrap();
        let [id] = aside.as_slice() else { panic!("{aside:?} are put aside") };
        let (cd, chat) = (Arc::new(Cd::new(folder, Deadly::No)), Arc::new(Chat::new()));
        let engine = engine(&store, &cd, &chat);
        let ended = running(&engine, async {
            // Nobody touches it, however often somebody looks for what is left to do.
            tokio::time::sleep(Duration::from_secs(6)).await;
            assert_eq!(store.put_aside().await.unwrap(), aside, "somebody worked on it");
            let _released = engine.release(id, fixtures::ana().actor()).await.unwrap();
            ana(&engine, &store, |view| view.state.is_end()).await
        });
        let ended = ended.await;
        assert_eq!(ended.state, StateName::Succeeded, "{}", ended.explanation);
        let records = store.audit(&Query::all(99)).await.unwrap();
        let kinds: Vec<_> = records.iter().map(|record| record.draft.kind.as_str()).collect();
        let place = |kind| kinds.iter().position(|found| *found == kind);
        assert!(place("put_aside") < place("released"), "{kinds:?}");
        assert!(place("released") < place("succeeded"), "{kinds:?}");
    });
}

#[test]
fn a_rollback_that_panics_each_time_is_put_aside_and_the_process_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let (cd, chat) = (Arc::new(Cd::new(folder.path(), Deadly::Panic)), Arc::new(Chat::new()));
        let engine = engine(&store, &cd, &chat);
        running(&engine, async {
            let view = ana(&engine, &store, is_aside).await;
            assert_eq!(cd.panics.load(Ordering::Relaxed), ENOUGH);
            assert_eq!(view.state, StateName::Running, "{}", view.explanation);
            assert!(view.explanation.contains("press Release"), "{}", view.explanation);
            assert_eq!(engine.put_aside().await.unwrap(), std::slice::from_ref(&view.id));
            let denied = engine.release(&view.id, fixtures::eve().actor()).await.unwrap();
            assert!(is_aside(&denied), "somebody who may not has released it");
            cd.mend();
            let _released = engine.release(&view.id, fixtures::ana().actor()).await.unwrap();
            let ended = ana(&engine, &store, |view| view.state.is_end()).await;
            assert_eq!(ended.state, StateName::Succeeded, "{}", ended.explanation);
        })
        .await;
    });
    assert!(folder.path().join("done").exists());
}
