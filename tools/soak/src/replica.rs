//! One process of the service: engine, store, callbacks, and a door for whoever drives the load.

use crate::chat::{Shown, Told};
use crate::figures::Cost;
use crate::{CROWD, channel, deploy_id, key, person};
use async_trait::async_trait;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use rollback_core::access::Pattern;
use rollback_core::notice::{Delivered, Delivery};
use rollback_core::ports::{
    CdBackend, ClickedOn, Clock, Commands as _, Consent, Fence, Instance, Notifier, NotifyError,
};
use rollback_core::{Deploy, Migrations, Plan, RollbackId, RollbackView, StateName};
use rollback_engine::{Catalog, Engine, EngineBuilder, ServiceConfig, SystemClock};
use rollback_http::{Config, HttpBackend};
use rollback_slack::{
    Accepted, Intake, Interactivity, SigningSecrets, Surface, WebApi, WebApiOptions, router,
};
use rollback_store::{PostgresOptions, PostgresStore};
use rollback_testkit::fakes::FakeDirectory;
use rollback_testkit::fixtures::{self, parsed};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What callbacks are signed with.
pub(crate) const SECRET: &str = "soak-signing-secret";
/// What the CD system lets in.
pub(crate) const CD_TOKEN: &str = "soak-cd-token";

/// Where a replica finds everything.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "arguments of a command line")]
pub struct ReplicaOptions {
    /// The database.
    pub database: String,
    /// The CD system.
    pub cd: String,
    /// The chat.
    pub chat: String,
    /// How many services there are.
    pub keys: usize,
    /// How many rollbacks it has open at a time.
    pub open_max: usize,
    /// How long it owns a rollback without renewing.
    pub lease: Duration,
}

/// A deploy to report, a click or a confirmation.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Asked {
    pub(crate) number: usize,
    pub(crate) revision: usize,
    pub(crate) rollback: Option<String>,
}

/// A rollback as it stands, or why there is none.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Stands {
    pub(crate) rollback: String,
    pub(crate) state: StateName,
}

/// Runs a replica: says where it listens, and goes on until `shutdown` completes.
pub async fn run(options: ReplicaOptions, shutdown: impl Future<Output = ()> + Send) {
    let store = PostgresStore::connect(&options.database, PostgresOptions::default()).await;
    let store = Arc::new(store.unwrap());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let directory = FakeDirectory::new(Arc::clone(&clock), (0..CROWD).map(person));
    let mut config = Config::new(options.cd.as_str(), CD_TOKEN);
    config.fence = Fence::Yes;
    let cd: Arc<dyn CdBackend> = Arc::new(HttpBackend::new(&config).unwrap());
    let engine = EngineBuilder::new(store, Arc::new(directory), catalog(options.keys))
        .backend(parsed("cd"), cd)
        .notifier(Arc::new(ChatOverHttp::new(&options.chat)))
        .clock(Arc::clone(&clock))
        .open_max(options.open_max)
        .lease(options.lease)
        .instance(Instance::new(format!("replica-{}", std::process::id())))
        .build()
        .unwrap();
    let mut slack = WebApiOptions::default();
    slack.base_url = format!("{}/slack/", options.chat);
    let api = WebApi::new("xoxb-soak".into(), slack).unwrap();
    let surface = Surface::new(Arc::new(engine.clone()), api, clock);
    let secrets = SigningSecrets::new(&SECRET.into()).unwrap();
    let intake = Arc::new(Intake::new(Accepted::any(), surface));
    let routes = Router::new()
        .route("/deployed", post(deployed))
        .route("/click", post(click))
        .route("/confirm", post(confirm))
        .route("/withdraw", post(withdraw))
        .route("/cost", get(cost))
        .with_state(engine.clone())
        .merge(router(Arc::new(Interactivity::new(secrets, intake))));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    say(listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    engine.run(shutdown).await.unwrap();
}

#[expect(clippy::print_stdout, reason = "whoever started the process waits for this line")]
fn say(address: SocketAddr) {
    println!("{address}");
}

fn catalog(keys: usize) -> Catalog {
    let mut access = fixtures::access_policy();
    for rule in access.owners.iter_mut().chain(&mut access.denied) {
        rule.services = Pattern::any();
    }
    (0..keys).fold(Catalog::new(access), |catalog, number| {
        let mut service = ServiceConfig::new(parsed("cd"), parsed(&channel(number)));
        service.limits.settle = Duration::ZERO;
        service.limits.cool_down = Duration::ZERO;
        // Ten thousand people take their time.
        service.limits.confirm_within = Duration::from_secs(3_600);
        service.limits.check_within = Duration::from_secs(600);
        catalog.with(key(number), service)
    })
}

type Answer<T> = Result<Json<T>, (StatusCode, String)>;

fn refused(error: &dyn std::fmt::Display) -> (StatusCode, String) {
    (StatusCode::CONFLICT, error.to_string())
}

async fn deployed(State(engine): State<Engine>, Json(asked): Json<Asked>) -> Answer<Stands> {
    let id = deploy_id(asked.number, asked.revision);
    let version = format!("2.{}.0", asked.revision);
    let mut deploy = Deploy::new(id, key(asked.number), version, engine.now());
    deploy.revision = Some(parsed(&asked.revision.to_string()));
    deploy.migrations = Migrations::Known(Vec::new());
    engine.deployed(deploy).await.map_err(|error| refused(&error))?;
    // Nothing is rolled back yet.
    Ok(Json(Stands { rollback: String::new(), state: StateName::Proposed }))
}

/// How many clicks there were: each is another person's, for nobody looks at hundreds of modals.
static CLICKS: AtomicUsize = AtomicUsize::new(0);

/// Clicks, and waits until the modal shows everything or it has ended.
async fn click(State(engine): State<Engine>, Json(asked): Json<Asked>) -> Answer<Stands> {
    let on = ClickedOn::Deploy(deploy_id(asked.number, asked.revision));
    let clicks = CLICKS.fetch_add(1, Ordering::Relaxed);
    let opened = engine.click(&on, person(clicks % CROWD).actor()).await;
    let mut view = opened.map_err(|error| refused(&error))?;
    while !view.state.is_end() && (view.state != StateName::Confirming || view.guards.is_empty()) {
        let changed = engine.changed(&view.id, view.steps).await;
        view = changed.map_err(|error| refused(&error))?;
    }
    Ok(stands(&view))
}

async fn confirm(State(engine): State<Engine>, Json(asked): Json<Asked>) -> Answer<Stands> {
    let id: RollbackId = parsed(&asked.rollback.clone().unwrap_or_default());
    let view = engine.view(&id).await.map_err(|error| refused(&error))?;
    let plan = Plan::new(view.key.clone(), view.from.clone(), view.to.clone());
    let pair = plan.map_err(|error| refused(&error))?.pair();
    let actor = view.requested_by.ok_or_else(|| refused(&"nobody asked for it"))?;
    let view = engine.confirm(&id, actor, Consent::new(fixtures::reason(), pair)).await;
    Ok(stands(&view.map_err(|error| refused(&error))?))
}

async fn withdraw(State(engine): State<Engine>, Json(asked): Json<Asked>) -> Answer<Stands> {
    let id: RollbackId = parsed(&asked.rollback.clone().unwrap_or_default());
    let view = engine.view(&id).await.map_err(|error| refused(&error))?;
    let actor = view.requested_by.ok_or_else(|| refused(&"nobody asked for it"))?;
    let view = engine.withdraw(&id, actor).await;
    Ok(stands(&view.map_err(|error| refused(&error))?))
}

fn stands(view: &RollbackView) -> Json<Stands> {
    Json(Stands { rollback: view.id.to_string(), state: view.state })
}

async fn cost(State(engine): State<Engine>) -> Json<Cost> {
    let open = engine.open_standing();
    let mut cost = Cost::so_far();
    (cost.open, cost.refused) = (open.open, open.refused);
    Json(cost)
}

/// The notifier whose messages the callbacks of Slack belong to: it has Slack's name.
#[derive(Debug)]
struct ChatOverHttp {
    client: reqwest::Client,
    url: String,
}

impl ChatOverHttp {
    fn new(chat: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5));
        Self { client: client.build().unwrap(), url: format!("{chat}/told") }
    }

    async fn ask(&self, told: &Told) -> Result<Shown, reqwest::Error> {
        self.client.post(&self.url).json(told).send().await?.error_for_status()?.json().await
    }
}

#[async_trait]
impl Notifier for ChatOverHttp {
    fn name(&self) -> &'static str {
        "slack"
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, NotifyError> {
        let told = Told {
            key: delivery.key.clone(),
            version: delivery.version,
            notice: delivery.notice.clone(),
            channel: delivery.channel.clone(),
            thread: delivery.thread.clone(),
            previous: delivery.previous.clone(),
            attempt: delivery.attempt,
        };
        match self.ask(&told).await {
            Ok(Shown::As(message)) => Ok(Delivered::Posted(message)),
            Ok(Shown::TooFast(wait)) => {
                Err(NotifyError::Retry { after: Some(wait), why: "too fast".into() })
            }
            Err(error) => Err(NotifyError::InDoubt { why: error.to_string() }),
        }
    }
}
