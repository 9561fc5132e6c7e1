//! One rollback ends every process that looks at its execution; the others, under way at the same
//! time, do not: it alone is quarantined, however often the process dies.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::future_not_send,
    reason = "a test fails by panicking"
)]

use async_trait::async_trait;
use rollback_core::access::{AccessPolicy, Principal, Rule};
use rollback_core::observed::{Live, Preflight};
use rollback_core::ports::{
    Cancelled, Capabilities, CdBackend, ClickedOn, Clock, Commands, CompareAndSet, Consent, Fence,
    Fenced, HistoryOptions, Instance, LiveOptions, ObserveOptions, PortError, Query, StartError,
    Store,
};
use rollback_core::proof::{Order, OrderRef};
use rollback_core::{
    Deploy, Migrations, Phase, Plan, Progress, Receipt, Revision, RollbackView, ServiceKey,
    StateName,
};
use rollback_engine::{Catalog, Engine, EngineBuilder, ServiceConfig, SystemClock};
use rollback_store::{Options, SqliteStore};
use rollback_testkit::Chat;
use rollback_testkit::fakes::FakeDirectory;
use rollback_testkit::fixtures::{self, parsed};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const POISON: &str = "poison";

/// Names on both sides of the poison, so that no order of looking favours anybody.
const SERVICES: [&str; 6] =
    ["a-service", "b-service", POISON, "q-service", "r-service", "s-service"];

/// How often a process is ended before the one that ends it is quarantined: three times as a suspect, and
/// once before, if looks at its execution had ended nobody until then.
const DEATHS: RangeInclusive<usize> = 3..=4;

/// Where the processes of a test meet.
#[derive(Clone, Debug)]
struct Folder(PathBuf);

impl Folder {
    fn has(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }

    fn note(&self, name: &str) {
        std::fs::write(self.0.join(name), "").unwrap();
    }
}

/// A CD system that never gets further than "started" until the folder says it is mended, and ends
/// whoever looks at the execution of the poison once the folder says so.
#[derive(Debug)]
struct Cd(Folder);

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
        let live = if self.0.has("mended") { "41" } else { "42" };
        Ok(Live::running(fixtures::reference(live)))
    }

    async fn preflight(&self, _plan: &Plan) -> Result<Preflight, PortError> {
        Ok(fixtures::accepted())
    }

    async fn start(&self, order: Order) -> Result<Receipt, StartError> {
        Ok(Receipt::new(order.plan().key().service.as_str()))
    }

    async fn find(&self, order: &OrderRef) -> Result<Option<Receipt>, PortError> {
        Ok(Some(Receipt::new(order.plan().key().service.as_str())))
    }

    async fn fence(&self, _order: &OrderRef) -> Result<Fenced, PortError> {
        Ok(Fenced::Done)
    }

    async fn observe(
        &self,
        order: &OrderRef,
        _receipt: &Receipt,
        _options: ObserveOptions,
    ) -> Result<Progress, PortError> {
        if self.0.has("mended") {
            return Ok(Progress::new(Phase::Complete));
        }
        if self.0.has("armed") {
            // Everybody else is being worked on when it comes to that.
            tokio::time::sleep(Duration::from_millis(30)).await;
            if order.plan().key().service.as_str() == POISON {
                std::process::abort();
            }
        }
        Ok(Progress::new(Phase::Started))
    }

    async fn cancel(&self, _order: &OrderRef, _receipt: &Receipt) -> Result<Cancelled, PortError> {
        Ok(Cancelled::TooLate)
    }
}

fn key(service: &str) -> ServiceKey {
    ServiceKey::new(parsed(service), parsed("production"))
}

fn catalog() -> Catalog {
    let mut access = AccessPolicy::default();
    access.workspaces.insert(fixtures::home());
    for service in SERVICES {
        let owners = vec![Principal::User(fixtures::ana().id())];
        access.owners.push(Rule::for_service("owners", &parsed(service), owners));
    }
    let mut catalog = Catalog::new(access);
    for service in SERVICES {
        let mut config = ServiceConfig::new(parsed("prod"), parsed("C0PAYMENTS"));
        config.limits.settle = Duration::from_millis(30);
        config.limits.cd_timeout = Duration::from_millis(500);
        catalog = catalog.with(key(service), config);
    }
    catalog
}

fn engine(store: &Arc<dyn Store>, folder: &Folder) -> Engine {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    EngineBuilder::new(
        Arc::clone(store),
        Arc::new(FakeDirectory::new(Arc::clone(&clock), fixtures::everybody())),
        catalog(),
    )
    .backend(parsed("prod"), Arc::new(Cd(folder.clone())))
    .notifier(Arc::new(Chat::new()))
    .clock(clock)
    .instance(Instance::new(format!("process-{}", std::process::id())))
    .look_every(Duration::from_millis(50))
    .lease(Duration::from_millis(300))
    .build()
    .unwrap()
}

async fn views(store: &Arc<dyn Store>) -> Vec<RollbackView> {
    let listed = store.list(&Query::all(99)).await.unwrap();
    listed.into_iter().map(|listed| listed.view).collect()
}

async fn until(store: &Arc<dyn Store>, enough: impl Fn(&[RollbackView]) -> bool) {
    for _look in 0..3_000 {
        if enough(&views(store).await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to that: {:#?}", views(store).await);
}

/// Opens and confirms one rollback of each service, and sees them all run.
async fn all_under_way(engine: &Engine, store: &Arc<dyn Store>) {
    for service in SERVICES {
        let mut deploy = Deploy::new(parsed(service), key(service), "2.14.0", engine.now());
        deploy.revision = Some(parsed("42"));
        deploy.migrations = Migrations::Known(Vec::new());
        engine.deployed(deploy).await.unwrap();
        let on = ClickedOn::Deploy(parsed(service));
        let opened = engine.click(&on, fixtures::ana().actor()).await.unwrap();
        until(store, |views| {
            views.iter().any(|view| {
                view.id == opened.id
                    && view.state == StateName::Confirming
                    && !view.guards.is_empty()
            })
        })
        .await;
        let plan = Plan::new(opened.key, opened.from, opened.to).unwrap();
        let ana = fixtures::ana().actor();
        engine
            .confirm(&opened.id, ana, Consent::new(fixtures::reason(), plan.pair()))
            .await
            .unwrap();
    }
    until(store, |views| {
        views.len() == SERVICES.len() && views.iter().all(|view| view.state == StateName::Running)
    })
    .await;
}

async fn opened(folder: &Folder) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(folder.0.join("rollback.db"), Options::default()).await.unwrap())
}

async fn running<T>(engine: &Engine, meanwhile: impl Future<Output = T>) -> T {
    let stop = tokio_util::sync::CancellationToken::new();
    let (host, stopped) = (engine.clone(), stop.clone());
    let host = tokio::spawn(async move { host.run(stopped.cancelled()).await });
    let done = meanwhile.await;
    stop.cancel();
    host.await.unwrap().unwrap();
    done
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

const FOLDER: &str = "ROLLBACK_INNOCENTS_FOLDER";

/// A process of its own: true when it was not ended by the poison.
fn process(folder: &Folder) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "innocents::one_process", "--nocapture"]).env(FOLDER, &folder.0);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command.status().unwrap().success()
}

/// What [`process`] runs; by itself it does nothing.
#[test]
fn one_process() {
    let Some(folder) = std::env::var_os(FOLDER).map(|path| Folder(path.into())) else { return };
    runtime().block_on(async {
        let store = opened(&folder).await;
        let engine = engine(&store, &folder);
        running(&engine, async {
            if !folder.has("armed") {
                all_under_way(&engine, &store).await;
                folder.note("armed");
            }
            until(&store, |views| views.iter().any(|view| view.put_aside.is_some())).await;
        })
        .await;
    });
}

fn services(views: &[RollbackView], wanted: impl Fn(&RollbackView) -> bool) -> Vec<String> {
    let mut found: Vec<String> = views
        .iter()
        .filter(|view| wanted(view))
        .map(|view| view.key.service.as_str().to_owned())
        .collect();
    found.sort();
    found
}

#[test]
fn of_many_under_way_only_the_one_that_ends_each_process_is_quarantined() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Folder(folder.path().to_owned());
    let survivor = (0..9).find(|_| process(&folder)).unwrap();
    assert!(DEATHS.contains(&survivor), "so many processes were ended by it: {survivor}");
    runtime().block_on(async {
        let store = opened(&folder).await;
        let before = views(&store).await;
        assert_eq!(services(&before, |view| view.put_aside.is_some()), [POISON]);
        folder.note("mended");
        let engine = engine(&store, &folder);
        running(&engine, async {
            until(&store, |views| {
                views.iter().all(|view| view.state.is_end() || view.put_aside.is_some())
            })
            .await;
            let ended = views(&store).await;
            let good = services(&ended, |view| view.state == StateName::Succeeded);
            let innocent = SERVICES.iter().filter(|service| **service != POISON);
            assert!(innocent.eq(good.iter()), "{good:?}");
        })
        .await;
    });
}
