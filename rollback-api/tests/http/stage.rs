//! A service on fakes behind a real socket, and what a caller needs.

use rollback_api::{Api, ApiLimits, Metrics, ServeLimits, Tokens, serve};
use rollback_core::ports::{
    Capabilities, CdBackend, ClickedOn, Clock, Commands, CompareAndSet, Consent, Fence, Store,
};
use rollback_core::{RollbackId, RollbackView};
use rollback_engine::{Catalog, Checkpoints, Engine, EngineBuilder, ServiceConfig};
use rollback_store::MemoryStore;
use rollback_testkit::fakes::{FakeBackend, FakeDirectory, FakeNotifier};
use rollback_testkit::fixtures::{self, Person, parsed};
use rollback_testkit::{Chat, ManualClock};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(crate) const TOKEN: &str = "good-token";
pub(crate) const NEXT_TOKEN: &str = "next-token";

pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Engine,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) cd: Arc<FakeBackend>,
    pub(crate) stop: CancellationToken,
    pub(crate) served: tokio::task::JoinHandle<std::io::Result<()>>,
    client: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Insists on problem details with this status, and gives them.
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], "about:blank");
        assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{body}");
        let detail = body["detail"].as_str().unwrap_or_default();
        assert!(!detail.is_empty() && !detail.ends_with('.'), "{body}");
        body
    }

    /// The pointers of everything that is wrong with a body.
    pub(crate) fn pointers(&self) -> Vec<String> {
        let body = self.problem(422);
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["pointer"].as_str().unwrap_or("none").into()).collect()
    }
}

pub(crate) struct Setup {
    pub(crate) api: ApiLimits,
    pub(crate) serve: ServeLimits,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) runs: bool,
    pub(crate) checkpoints: Option<Checkpoints>,
}

impl Default for Setup {
    fn default() -> Self {
        let mut api = ApiLimits::default();
        api.burst = 10_000;
        api.per_second = 10_000;
        api.strangers_burst = 10_000;
        let store = Arc::new(MemoryStore::default());
        Self { api, serve: ServeLimits::default(), store, runs: true, checkpoints: None }
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::starting_at(fixtures::at(0)));
        let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
        let cd = Arc::new(FakeBackend::new(capabilities));
        let people = FakeDirectory::new(Arc::clone(&clock), fixtures::everybody());
        let mut service = ServiceConfig::new(parsed("prod"), parsed("C0PAYMENTS"));
        service.limits.settle = Duration::from_millis(20);
        let catalog = Catalog::new(fixtures::access_policy()).with(fixtures::key(), service);
        let metrics =
            Metrics::new("7.8.9")
                .counting("slack_interactions", "What Slack sent", || vec![("clicks", 3)]);
        let backend: Arc<dyn CdBackend> = Arc::<FakeBackend>::clone(&cd);
        let ids = AtomicU64::new(0);
        let builder = EngineBuilder::new(Arc::clone(&setup.store), Arc::new(people), catalog);
        let builder = match setup.checkpoints {
            Some(checkpoints) => builder.checkpoints(checkpoints),
            None => builder,
        };
        let engine = builder
            .backend(parsed("prod"), metrics.watching(&parsed("prod"), backend))
            .notifier(Arc::new(Chat::new()))
            .notifier(Arc::new(FakeNotifier::new()))
            .sink(metrics.sink())
            .clock(clock)
            .ids(move || format!("rb-{}", ids.fetch_add(1, Ordering::Relaxed) + 1))
            .look_every(Duration::from_millis(10))
            .build()
            .unwrap();
        let stop = CancellationToken::new();
        if setup.runs {
            let (running, stopped) = (engine.clone(), stop.clone());
            tokio::spawn(async move { running.run(stopped.cancelled_owned()).await });
        }
        let tokens = Tokens::new([&TOKEN.into(), &NEXT_TOKEN.into()]).unwrap();
        let host = axum::Router::new()
            .route("/host/route", axum::routing::get(|| async { "the host's own" }));
        let router = Api::new(engine.clone(), tokens).limits(setup.api).metrics(metrics).with(host);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = stop.clone().cancelled_owned();
        let served = tokio::spawn(serve(listener, router, setup.serve, stopped));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { address, engine, store: setup.store, cd, stop, served, client }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    /// A request with a good token.
    pub(crate) fn call(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.request(method, path).bearer_auth(TOKEN)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.call("GET", path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        answer(self.call("POST", path).json(body)).await
    }

    /// Exact bytes out, everything that comes until the connection is closed.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        // A server that resets the connection after its answer has answered all the same.
        drop(tokio::time::timeout(Duration::from_secs(20), read).await.expect("it never closed"));
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Somebody clicks on the deploy, and confirms once everything is shown.
    pub(crate) async fn roll_back(&self, deploy: &str, person: &Person) -> RollbackView {
        let on = ClickedOn::Deploy(parsed(deploy));
        let view = self.engine.click(&on, person.actor()).await.unwrap();
        self.confirm(view, person).await
    }

    /// Somebody confirms what they were shown.
    pub(crate) async fn confirm(&self, mut view: RollbackView, person: &Person) -> RollbackView {
        let id = view.id.clone();
        while view.guards.is_empty() && !view.state.is_end() {
            view = self.engine.changed(&id, view.steps).await.unwrap();
        }
        let shown = rollback_core::Plan::new(view.key, view.from, view.to).unwrap().pair();
        self.engine
            .confirm(&id, person.actor(), Consent::new(fixtures::reason(), shown))
            .await
            .unwrap()
    }

    pub(crate) async fn ended(&self, id: &RollbackId) -> RollbackView {
        let mut view = self.engine.view(id).await.unwrap();
        while !view.state.is_end() {
            view = self.engine.changed(id, view.steps).await.unwrap();
        }
        view
    }

    /// A rollback of `42` that succeeded.
    pub(crate) async fn rolled_back(&self) -> RollbackView {
        assert_eq!(self.post("/v1/deploys", &deploy()).await.status, 201);
        let view = self.roll_back("ci-42", &fixtures::ana()).await;
        self.ended(&view.id).await
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

/// The deploy of what is live.
pub(crate) fn deploy() -> Value {
    json!({
        "id": "ci-42", "service": "checkout", "environment": "production",
        "version": "2.14.0", "commit": "9f3c2ab", "revision": "42",
        "deployer": {"name": "Bo", "slack_user_id": "U03BO", "email": "bo@example.com"},
        "changelog_url": "https://git.example.com/compare/2.13.4...2.14.0",
        "deployed_at": "2026-11-22T09:30:00Z",
        "migrations": [],
    })
}

pub(crate) fn proposal() -> Value {
    json!({
        "service": "checkout", "environment": "production",
        "reason": "error rate is up 4x",
        "proposed_by": {"id": "agent-7", "name": "Watcher"},
    })
}

/// Waits for something to become so.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _look in 0..1_000 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {what}")
}
