//! The rollback service, as a host would wire it: engine on SQLite, Slack, a backend, a directory.
//! It is a process of its own, so that it can be killed.

use crate::releases::ReleasesError;
use crate::scenes::{self, Brings, Scene};
use crate::site::{Build, Folder, Site, SiteError};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use rollback_core::access::{AccessPolicy, Principal, Rule};
use rollback_core::audit::{Record, Verifier};
use rollback_core::ports::{
    CdBackend, Clock, CommandError, Commands, Directory, HistoryOptions, LiveOptions, Notifier,
    PortError, Query, Store, StoreError,
};
use rollback_core::{
    BackendName, Deploy, DeployId, Deployer, IdError, Purpose, Revision, ServiceKey,
};
use rollback_engine::{
    Catalog, Engine, EngineBuilder, ServiceConfig, ShutdownError, SystemClock, WiringError,
};
use rollback_slack::{
    Accepted, EmptySecret, Intake, Interactivity, SetupError, SigningSecrets, SlackDirectory,
    SlackNotifier, Surface, WebApi, WebApiOptions,
};
use rollback_store::{OpenError, SqliteStore};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The header that carries [`Worker::control_token`].
pub const CONTROL_HEADER: &str = "x-demo-control";

/// How long a process that was killed still owns its rollbacks.
const LEASE: Duration = Duration::from_secs(3);
/// How much of the audit trail is shown.
const RECORDS_SHOWN: usize = 200;
/// How many rollbacks are shown.
const ROLLBACKS_SHOWN: usize = 10;

/// How a worker was called.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Worker {
    /// Where everything is kept.
    pub dir: PathBuf,
    /// The loopback port of the worker.
    pub port: u16,
    /// The loopback port of the shop.
    pub shop_port: u16,
    /// The scene.
    pub scene: &'static Scene,
    /// Slack's Web API.
    pub api_url: String,
    /// The bot's token.
    pub bot_token: SecretString,
    /// What Slack signs with.
    pub signing_secret: SecretString,
    /// Who knows it may deploy and look.
    pub control_token: SecretString,
}

impl Worker {
    /// Reads `<dir> <port> <shop port> <scene>`, and the secrets from the environment.
    #[must_use]
    pub fn from_args(mut args: impl Iterator<Item = String>) -> Option<Self> {
        let secret = |name| std::env::var(name).ok().map(SecretString::from);
        Some(Self {
            dir: args.next()?.into(),
            port: args.next()?.parse().ok()?,
            shop_port: args.next()?.parse().ok()?,
            scene: scenes::find(&args.next()?)?,
            api_url: std::env::var("SLACK_API_URL").ok()?,
            bot_token: secret("SLACK_BOT_TOKEN")?,
            signing_secret: secret("SLACK_SIGNING_SECRET")?,
            control_token: secret("DEMO_CONTROL_TOKEN")?,
        })
    }

    /// Whether a worker before this one has set the stage.
    #[must_use]
    pub fn is_staged(&self) -> bool {
        self.marker().exists()
    }

    fn marker(&self) -> PathBuf {
        self.dir.join("staged")
    }
}

/// Why a worker ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// A name in this program is not well formed.
    #[error("a name is not well formed")]
    Name(#[from] IdError),
    /// Slack's client cannot be set up.
    #[error("Slack's client cannot be set up")]
    Slack(#[from] SetupError),
    /// The signing secret is empty.
    #[error("the signing secret cannot be used")]
    Secret(#[from] EmptySecret),
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Open(#[from] OpenError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    /// The deployment folder cannot be used.
    #[error("the deployment folder cannot be used")]
    Releases(#[from] ReleasesError),
    /// A deploy was not taken.
    #[error("a deploy was not taken")]
    Command(#[from] CommandError),
    /// What is deployed to did not do it.
    #[error("the site did not do it")]
    Site(#[source] SiteError),
    /// The wiring of the engine has a fault.
    #[error("the wiring of the engine has a fault")]
    Wiring(#[from] WiringError),
    /// The shutdown was not clean.
    #[error(transparent)]
    Shutdown(#[from] ShutdownError),
    /// The backend cannot be read.
    #[error("the backend cannot be read")]
    Backend(#[from] PortError),
    /// The port or a file cannot be had.
    #[error("the port or a file cannot be had")]
    Io(#[from] io::Error),
}

/// What the routes and the stage need.
#[derive(Debug)]
struct Service {
    engine: Engine,
    store: Arc<dyn Store>,
    site: Arc<dyn Site>,
    backend: Arc<dyn CdBackend>,
    clock: Arc<dyn Clock>,
    key: ServiceKey,
    scene: &'static Scene,
    staged: watch::Sender<bool>,
}

/// The service that is deployed.
///
/// # Errors
///
/// Never: its names are well formed.
pub fn service_key() -> Result<ServiceKey, IdError> {
    Ok(ServiceKey::new("checkout".parse()?, "production".parse()?))
}

/// Runs on the deployment folder, until standard input ends; then comes to rest.
///
/// # Errors
///
/// [`WorkerError`] when something that it needs cannot be had; what was begun goes on at the next
/// start.
pub async fn work(worker: Worker) -> Result<(), WorkerError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let folder = Folder::open(&worker, &service_key()?, clock).await?;
    work_on(worker, Arc::new(folder)).await
}

/// The same on another site.
///
/// # Errors
///
/// As [`work`].
pub async fn work_on(worker: Worker, site: Arc<dyn Site>) -> Result<(), WorkerError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut options = WebApiOptions::default();
    options.base_url.clone_from(&worker.api_url);
    let api = WebApi::new(worker.bot_token.clone(), options)?;
    let (service, surface) = assemble(&worker, site, api, Arc::clone(&clock)).await?;
    let service = Arc::new(service);

    let intake = Arc::new(Intake::new(Accepted::any(), surface.clone()));
    let interactivity = Interactivity::new(SigningSecrets::new(&worker.signing_secret)?, intake);
    let routes = rollback_slack::router(Arc::new(interactivity))
        .merge(control(Arc::clone(&service), worker.control_token.clone()));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, worker.port)).await?;
    let running = service.engine.start().await?.draining(surface);
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });

    let stage = Arc::clone(&service);
    let set = tokio::spawn(async move {
        if !worker.is_staged() {
            stage.set().await?;
            std::fs::write(worker.marker(), "the stage is set")?;
            stage.site.staged();
        }
        stage.staged.send_replace(true);
        Ok::<(), WorkerError>(())
    });
    if let Ok(Err(error)) = set.await {
        tracing::error!(?error, "the stage could not be set");
    }
    tokio::select! {
        () = crate::releases::lifeline_cut() => {}
        () = running.ended() => tracing::error!("the engine ended by itself"),
    }
    server.abort();
    running.shutdown().await?;
    Ok(())
}

async fn assemble(
    worker: &Worker,
    site: Arc<dyn Site>,
    api: WebApi,
    clock: Arc<dyn Clock>,
) -> Result<(Service, Surface), WorkerError> {
    let key = service_key()?;
    let path = worker.dir.join("rollback.db");
    let store = SqliteStore::open(path, rollback_store::Options::default()).await?;
    let store: Arc<dyn Store> = Arc::new(store);
    let workspace = scenes::WORKSPACE.parse()?;
    let directory: Arc<dyn Directory> =
        Arc::new(SlackDirectory::new(api.clone(), workspace, Arc::clone(&clock)));
    let notifier: Arc<dyn Notifier> = Arc::new(
        SlackNotifier::new(api.clone(), Arc::clone(&clock)).on_call(scenes::ON_CALL.parse()?),
    );

    let (name, backend): (BackendName, _) = (site.name().parse()?, site.backend());
    let mut config = ServiceConfig::new(name.clone(), scenes::DEPLOYS.parse()?);
    config.health = site.health();
    config.approvals_min = worker.scene.approvals_min;
    config.purpose = if worker.scene.drill { Purpose::Drill } else { Purpose::Real };
    config.limits.settle = Duration::from_secs(2);
    config.limits.lease = LEASE;
    let catalog = Catalog::new(access(&key)?).with(key.clone(), config);
    let engine = EngineBuilder::new(Arc::clone(&store), directory, catalog)
        .clock(Arc::clone(&clock))
        .backend(name, Arc::clone(&backend))
        .notifier(notifier)
        .look_every(Duration::from_millis(250))
        .lease(LEASE)
        .build()?;
    let commands: Arc<dyn Commands> = Arc::new(engine.clone());
    let surface = Surface::new(commands, api, Arc::clone(&clock));
    let (staged, _seen_in_the_state) = watch::channel(false);
    let scene = worker.scene;
    let service = Service { engine, store, site, backend, clock, key, scene, staged };
    Ok((service, surface))
}

/// Ana by name, the owners' group, and the emergency group.
fn access(key: &ServiceKey) -> Result<AccessPolicy, IdError> {
    let owners =
        vec![Principal::User(scenes::ANA.parse()?), Principal::Group(scenes::PAYMENTS.parse()?)];
    let mut access = AccessPolicy::default();
    access.workspaces.insert(scenes::WORKSPACE.parse()?);
    access.owners.push(Rule::for_service("checkout owners", &key.service, owners));
    access.break_glass.push(Principal::Group(scenes::INCIDENT.parse()?));
    Ok(access)
}

impl Service {
    /// Two good releases, then the one that breaks the shop.
    async fn set(&self) -> Result<(), WorkerError> {
        self.deploy(&build("2.13.3", Brings::Nothing), scenes::BO, "Bo").await?;
        self.deploy(&build("2.13.4", Brings::Nothing), scenes::ANA, "Ana").await?;
        let broken = Build { works: false, ..build("2.14.0", self.scene.migration) };
        self.deploy(&broken, scenes::DANA, "Dana").await
    }

    async fn deploy(&self, build: &Build, who: &str, name: &str) -> Result<(), WorkerError> {
        let revision = self.site.deploy(build).await.map_err(WorkerError::Site)?;
        let now = self.clock.now();
        let id = DeployId::parse(format!("ci-{}", revision.id))?;
        let mut deploy = Deploy::new(id, self.key.clone(), build.version, now);
        deploy.commit = Some(build.commit.clone());
        deploy.revision = Some(revision.id);
        deploy.migrations = build.migrations.clone();
        deploy.changelog_url =
            Some(format!("https://example.com/checkout/releases/{}", build.version));
        let mut deployer = Deployer::default();
        deployer.name = Some(name.into());
        deployer.slack_user_id = Some(who.parse()?);
        deploy.deployer = Some(deployer);
        self.engine.deployed(deploy).await?;
        Ok(())
    }

    /// Everything that the panel shows of this process.
    async fn state(&self) -> Value {
        let rollbacks = self.engine.rollbacks(&Query::all(ROLLBACKS_SHOWN)).await;
        let live = self.backend.live(&self.key, LiveOptions::default()).await;
        let history =
            self.backend.history(&self.key, HistoryOptions::newest(ROLLBACKS_SHOWN)).await;
        let (records, chain) = match self.verified().await {
            Ok(verified) => verified,
            Err(error) => (Vec::new(), json!({"ok": false, "problem": error.to_string()})),
        };
        json!({
            "staged": *self.staged.borrow(),
            "rollbacks": rollbacks.unwrap_or_default(),
            "live": live.as_ref().ok().and_then(|live| live.revision.clone()),
            "releases": history.as_ref().ok().map(|all| all.iter().map(brief).collect::<Vec<_>>()),
            "problem": live.err().map(|error| error.to_string()),
            "records": records,
            "chain": chain,
        })
    }

    /// The audit trail, checked link by link from its beginning.
    async fn verified(&self) -> Result<(Vec<Record>, Value), StoreError> {
        let mut verifier = Verifier::new(rollback_store::CHAIN_DEFAULT);
        let mut records: Vec<Record> = Vec::new();
        loop {
            let mut query = Query::all(RECORDS_SHOWN);
            query.after = verifier.head().sequence;
            let page = self.store.audit(&query).await?;
            if page.is_empty() {
                break;
            }
            for record in &page {
                if let Err(problem) = verifier.check(record) {
                    let chain = json!({"ok": false, "problem": problem.to_string()});
                    return Ok((page, chain));
                }
            }
            records.extend(page);
        }
        let head = verifier.head();
        let chain = json!({"ok": true, "records": head.sequence, "head": head.hash});
        let skipped = records.len().saturating_sub(RECORDS_SHOWN);
        Ok((records.split_off(skipped), chain))
    }
}

/// A version of the shop that works.
fn build(version: &'static str, brings: Brings) -> Build {
    let commit = format!("9f3c2ab{}", version.replace('.', "")).into();
    Build { version, commit, migrations: brings.migrations(), works: true }
}

fn brief(revision: &Revision) -> Value {
    json!({
        "id": revision.id,
        "version": revision.version,
        "status": revision.status,
        "restorable": revision.restorable,
    })
}

fn control(service: Arc<Service>, token: SecretString) -> Router {
    let guarded = axum::middleware::from_fn(move |request: axum::extract::Request, next| {
        let allowed = is_control(request.headers(), &token);
        run_if(allowed, request, next)
    });
    Router::new()
        .route("/control/state", get(state))
        .route("/control/hotfix", post(hotfix))
        .route("/control/remove-target", post(remove_target))
        .with_state(service)
        .layer(guarded)
}

async fn run_if(
    allowed: bool,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    if allowed { next.run(request).await } else { StatusCode::FORBIDDEN.into_response() }
}

fn is_control(headers: &HeaderMap, token: &SecretString) -> bool {
    use secrecy::ExposeSecret as _;
    let sent = headers.get(CONTROL_HEADER).and_then(|value| value.to_str().ok());
    sent == Some(token.expose_secret())
}

async fn state(State(service): State<Arc<Service>>) -> Json<Value> {
    Json(service.state().await)
}

async fn hotfix(State(service): State<Arc<Service>>) -> Response {
    let hotfix = build("2.14.1", Brings::Nothing);
    done(service.deploy(&hotfix, scenes::DANA, "Dana").await)
}

/// What the button on the newest message would go back to is cleaned away.
async fn remove_target(State(service): State<Arc<Service>>) -> Response {
    let removed = async {
        let history = service.backend.history(&service.key, HistoryOptions::newest(2)).await?;
        match history.get(1) {
            Some(target) => service.site.remove(&target.id).await.map_err(WorkerError::Site),
            None => Ok(()),
        }
    };
    done(removed.await)
}

fn done(result: Result<(), WorkerError>) -> Response {
    match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => {
            tracing::warn!(?error, "a cue could not be followed");
            (StatusCode::CONFLICT, error.to_string()).into_response()
        }
    }
}
