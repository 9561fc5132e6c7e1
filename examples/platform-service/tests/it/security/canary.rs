//! Secrets that are easy to recognize, planted wherever the service holds or meets one; a rollback
//! that goes well and others that fail in every way; and then a search through all that came out.

use crate::stage::service::{Service, client, report_of};
use crate::stage::{Host, cd, deploy};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use local_slack::{Fault, LocalSlack};
use rollback_core::ports::CdBackend;
use rollback_http::server::{MemoryLog, Server};
use rollback_testkit::fakes::FakeBackend;
use rollback_testkit::fixtures::revision;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use team::{CHANNEL, OWNER, PATIENCE, STRANGER, WORKSPACE, key, now, people};
use tokio::task::JoinHandle;

const BOT: &str = "xoxb-canary-0123456789-bot";
const APP: &str = "xapp-canary-0123456789-app";
const SIGNING: &str = "canary0123456789signing";
const API: &str = "canary-0123456789-api-token";
const CD: &str = "canary-0123456789-cd";
const KUBE: &str = "canary-0123456789-kube";
const COLLECTOR: &str = "canary-0123456789-collector";

/// What a CD system says that should not have said it: other people's secrets, in their usual shapes.
const WORDS: &str = "denied: Bearer canary-0123456789-cd and Bearer canary-0123456789-other, \
    xoxb-canary-0123456789-words, ghp_canary0123456789words, glpat-canary-0123456789, \
    postgres://app:canary-0123456789-db@db.internal/shop, \
    eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.canary0123456789sig";

/// What all of them have in common, however they are cut.
const CANARY: &str = "canary";

/// What the CD system does with every request, or with orders alone; or how Slack fails when it is
/// asked who somebody is.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Good,
    Says(u16, &'static str),
    OrdersSay(u16, &'static str),
    Hangs,
    Directory(fn() -> Fault),
}

type Moody = Arc<Mutex<Mood>>;

async fn moody(State(mood): State<Moody>, request: Request, next: Next) -> Response {
    let now = *mood.lock().unwrap();
    let is_order = request.method() == "POST" && request.uri().path() == "/v1/rollbacks";
    match now {
        Mood::Says(status, kind) => said(status, kind),
        Mood::OrdersSay(status, kind) if is_order => said(status, kind),
        Mood::Hangs if is_order => std::future::pending().await,
        Mood::Good | Mood::OrdersSay(..) | Mood::Hangs | Mood::Directory(_) => {
            next.run(request).await
        }
    }
}

fn said(status: u16, kind: &'static str) -> Response {
    let problem = json!({"title": WORDS, "detail": WORDS, "live": {"id": WORDS}, "message": WORDS});
    let body = if kind.contains("json") { problem.to_string() } else { WORDS.to_owned() };
    let status = axum::http::StatusCode::from_u16(status).unwrap();
    (status, [("content-type", kind), ("x-secret", CD)], body).into_response()
}

async fn cd_system(cd: &Arc<FakeBackend>, mood: &Moody) -> (SocketAddr, JoinHandle<()>) {
    let backend: Arc<dyn CdBackend> = Arc::<FakeBackend>::clone(cd);
    let log = Arc::new(MemoryLog::default());
    let routes = Server::new(CD, log).unwrap().service(key(), backend).router();
    let routes = routes.layer(from_fn_with_state(Arc::clone(mood), moody));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }))
}

/// Takes everything, and keeps it.
async fn collector(kept: &Arc<Mutex<Vec<u8>>>) -> (SocketAddr, JoinHandle<()>) {
    let kept = Arc::clone(kept);
    let take = move |body: Bytes| async move { kept.lock().unwrap().extend_from_slice(&body) };
    let routes = Router::new().fallback(take);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }))
}

/// A service whose every secret is a canary, and what it says.
struct Aviary {
    slack: LocalSlack,
    cd: Arc<FakeBackend>,
    mood: Moody,
    service: Service,
    traced: Arc<Mutex<Vec<u8>>>,
    collector: JoinHandle<()>,
    said: String,
    next: u32,
}

impl Aviary {
    async fn new() -> Self {
        let mut people = people();
        people.bot_token = BOT.into();
        people.app_token = APP.into();
        people.signing_secret = SIGNING.into();
        let slack = LocalSlack::start(people).await.unwrap();
        let (cd, mood): (_, Moody) = (cd(), Arc::new(Mutex::new(Mood::Good)));
        let (address, server) = cd_system(&cd, &mood).await;
        let traced = Arc::default();
        let (collects, collector) = collector(&traced).await;
        let folder = tempfile::tempdir().unwrap();
        let kube = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "k", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "u", "user": {"token": KUBE}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        });
        std::fs::write(folder.path().join("kubeconfig"), kube.to_string()).unwrap();
        std::fs::write(folder.path().join("cd-token"), CD).unwrap();
        std::fs::write(folder.path().join("rollback.yaml"), yaml(address)).unwrap();
        let endpoint = format!("http://{collects}");
        let headers = format!("x-api-key={COLLECTOR}");
        let more = [
            ("SLACK_BOT_TOKEN", BOT),
            ("SLACK_SIGNING_SECRET", SIGNING),
            ("SLACK_APP_TOKEN", APP),
            ("ROLLBACK_API_TOKEN", API),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
            ("RUST_LOG", "trace"),
        ];
        let service = Service::start_in(folder, &slack, server, &more).await;
        slack.set_interactivity_url(service.callbacks());
        let said = String::new();
        Self { slack, cd, mood, service, traced, collector, said, next: 42 }
    }

    /// Keeps what somebody was told, with the place where it was.
    fn keep(&mut self, place: &str, text: &str) {
        writeln!(self.said, "--- {place}\n{text}").unwrap();
    }

    async fn ask(&mut self, method: &str, path: &str, token: &str, body: Option<String>) -> u16 {
        let request = client().request(method.parse().unwrap(), self.service.url(path));
        let request = request.bearer_auth(token).header("content-type", "application/json");
        let answer = request.body(body.unwrap_or_default()).send().await.unwrap();
        let status = answer.status().as_u16();
        let headers = format!("{:?}", answer.headers());
        let text = answer.text().await.unwrap();
        self.keep(&format!("{method} {path}"), &format!("{status} {headers} {text}"));
        status
    }

    async fn list(&self) -> Vec<Value> {
        let answer = client().get(self.service.url("/v1/rollbacks")).bearer_auth(API).send().await;
        let list: Value = serde_json::from_str(&answer.unwrap().text().await.unwrap()).unwrap();
        list["rollbacks"].as_array().cloned().unwrap_or_default()
    }

    /// A deploy, a click, a confirmation and an end, with the CD system in this mood from the
    /// click (`early`) or from the confirmation on.
    async fn roll_back(&mut self, mood: Mood, early: bool) -> Value {
        self.next += 1;
        let (id, version) = (self.next.to_string(), format!("2.14.{}", self.next));
        self.cd.deploy(revision(&id, &version, now()));
        let report = report_of(&deploy(&format!("ci-{id}"), &id, &version)).to_string();
        assert_eq!(self.ask("POST", "/v1/deploys", API, Some(report)).await, 201);
        let message = self.slack.wait_until(PATIENCE, |slack| {
            slack.messages(CHANNEL).into_iter().find(|message| {
                message.all_text().contains(&version) && message.element("rollback_open").is_some()
            })
        });
        let message = message.await.unwrap();
        let before = self.list().await.len();
        if early {
            *self.mood.lock().unwrap() = mood;
        }
        self.slack.click(OWNER, CHANNEL, &message.ts, "rollback_open").await.unwrap();
        if !early {
            let modal = self.slack.wait_until(PATIENCE, |slack| {
                let views = slack.views(OWNER).into_iter().rev();
                views.into_iter().find(|view| {
                    view.view.contains_key("submit") && view.all_text().contains(&version)
                })
            });
            let modal = modal.await.unwrap_or_else(|late| panic!("{mood:?}: {late}"));
            *self.mood.lock().unwrap() = mood;
            if let Mood::Directory(fault) = mood {
                self.slack.fail_next(fault().on("users.info").times(50));
            }
            self.slack.submit(OWNER, &modal.id, &[("reason", "errors up 4x")]).await.unwrap();
        }
        let looked = async {
            loop {
                let all = self.list().await;
                if all.len() > before && !all[0]["ended_at"].is_null() {
                    return all[0].clone();
                }
                tokio::time::sleep(Duration::from_millis(80)).await;
            }
        };
        let Ok(ended) = tokio::time::timeout(PATIENCE, looked).await else {
            let all = self.list().await;
            panic!("{mood:?} never ended: {before} before, {} now, {}", all.len(), all[0]);
        };
        let views = self.slack.views(OWNER);
        for view in &views {
            self.keep("a modal", &format!("{view:?}"));
        }
        if let Some(top) = views.last() {
            // Some cannot be closed any more.
            drop(self.slack.close_all(OWNER, &top.id).await);
        }
        self.ask("GET", "/v1/services/checkout/production", API, None).await;
        *self.mood.lock().unwrap() = Mood::Good;
        let id = ended["id"].as_str().unwrap().to_owned();
        self.ask("GET", &format!("/v1/rollbacks/{id}"), API, None).await;
        self.ask("GET", &format!("/v1/rollbacks/{id}/events"), API, None).await;
        ended
    }
}

fn yaml(cd: SocketAddr) -> String {
    format!(
        "slack: {{channel: {CHANNEL}, workspace: {WORKSPACE}}}\n\
         store: sqlite://rollback.db\n\
         backends:\n  \
           inhouse: {{kind: http, url: \"http://{cd}\", token_file: cd-token, fence: true}}\n  \
           cluster: {{kind: kubernetes, kubeconfig: kubeconfig}}\n\
         services:\n  \
           checkout:\n    \
             owners: {{users: [{OWNER}]}}\n    \
             environments: {{production: {{backend: inhouse}}}}\n  \
           web:\n    \
             owners: {{users: [{OWNER}]}}\n    \
             environments:\n      \
               production: {{backend: cluster, with: {{namespace: shop, name: web}}}}\n\
         audit: {{require: [store, file], file: {{path: audit.jsonl}}}}\n\
         limits: {{settle: 100ms, cd_timeout: 1s, cool_down: 0s}}\n"
    )
}

/// Every byte that was written, the database with its log included.
fn files(folder: &Path, but: &[&str]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_file() && !but.contains(&name.as_str()) {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            all.push((name, text));
        }
    }
    all
}

/// The first canary of a text, with what stands around it.
fn found(text: &str) -> Option<String> {
    let (before, after) = text.split_once(CANARY)?;
    let behind: String = after.chars().take(80).collect();
    let from = before.char_indices().rev().nth(300).map_or(0, |(at, _)| at);
    Some(format!("{}{CANARY}{behind}", before.get(from..).unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_comes_out_of_anything_whatever_goes_wrong() {
    let mut aviary = Aviary::new().await;
    let good = aviary.roll_back(Mood::Good, false).await;
    assert_eq!(good["state"], "succeeded", "{good}");
    let (problem, page) = ("application/problem+json", "text/html");
    let mut states = Vec::new();
    for (mood, early) in [
        (Mood::Says(401, problem), true),
        (Mood::Says(403, problem), true),
        (Mood::Says(500, problem), true),
        (Mood::Says(200, "application/json"), true),
        (Mood::Says(502, page), true),
        (Mood::OrdersSay(422, problem), false),
        (Mood::OrdersSay(409, problem), false),
        (Mood::OrdersSay(404, problem), false),
        (Mood::OrdersSay(401, problem), false),
        (Mood::OrdersSay(202, "application/json"), false),
        (Mood::OrdersSay(500, problem), false),
        (Mood::OrdersSay(307, "text/plain"), false),
        (Mood::Hangs, false),
    ] {
        let ended = aviary.roll_back(mood, early).await;
        assert_ne!(ended["state"], "succeeded", "{mood:?}: {ended}");
        states.push(ended["state"].as_str().unwrap().to_owned());
    }
    assert!(states.contains(&"refused".to_owned()), "{states:?}");

    // What Slack and strangers do, and what callers say that they should not.
    for fault in [Fault::server_error, Fault::reset, || Fault::rate_limited(60)] {
        let ended = aviary.roll_back(Mood::Directory(fault), false).await;
        assert_eq!(ended["state"], "denied", "{ended}");
        aviary.slack.clear_faults();
    }
    let card = aviary.slack.messages(CHANNEL).pop().unwrap();
    drop(aviary.slack.click_seen(STRANGER, &card, "rollback_open").await);
    let near = format!("{API}x");
    for token in [BOT, SIGNING, CD, near.as_str()] {
        assert_eq!(aviary.ask("GET", "/v1/rollbacks", token, None).await, 401);
    }
    let typed = json!({"service": WORDS, "environment": BOT, "reason": "", "x": WORDS}).to_string();
    for body in [typed, format!("{{\"reason\": {WORDS}"), BOT.to_owned()] {
        for path in ["/v1/rollbacks", "/v1/deploys"] {
            // It is told back to the one who said it, and to nobody else.
            let request = client().post(aviary.service.url(path)).bearer_auth(API);
            let request = request.header("content-type", "application/json").body(body.clone());
            let status = request.send().await.unwrap().status().as_u16();
            assert!((400..500).contains(&status), "{path}: {status}");
        }
    }
    let unsigned = client().post(aviary.service.callbacks()).header("x-slack-signature", SIGNING);
    let unsigned = unsigned.header("x-slack-request-timestamp", BOT).body(WORDS).send().await;
    assert_eq!(unsigned.unwrap().status().as_u16(), 401);
    for path in ["/metrics", "/healthz", "/readyz", "/v1/audit", "/v1/audit/verify"] {
        assert_eq!(aviary.ask("GET", path, API, None).await, 200, "{path}");
    }
    aviary.ask("GET", "/v1/services/web/production", API, None).await;
    assert_eq!(aviary.service.terminate().await, Some(0));
    search(aviary);
}

/// Everything that came out, searched for every secret.
fn search(aviary: Aviary) {
    let Aviary { slack, service, traced, collector, said, .. } = aviary;
    collector.abort();
    let logs = service.logs.lock().unwrap().clone();
    let calls: String = slack.calls().iter().map(|call| format!("{call:?}\n")).collect();
    let traces = String::from_utf8_lossy(&traced.lock().unwrap()).into_owned();
    let folder = service.into_folder();
    let mut places = vec![
        ("the log".to_owned(), logs),
        ("what Slack was told".to_owned(), calls),
        ("what callers and people were told".to_owned(), said),
        ("the traces".to_owned(), traces),
    ];
    places.extend(files(folder.path(), &["cd-token", "kubeconfig"]));
    assert!(places.iter().any(|(name, _)| name == "audit.jsonl"), "the audit log was looked for");
    assert!(places.iter().any(|(name, _)| name == "rollback.db"), "the store was looked for");
    for (place, text) in &places {
        assert!(!text.is_empty() || place.ends_with(".lock"), "nothing in {place}");
    }
    // What may be told is there, so that the search looks where things are told.
    for place in ["what Slack was told", "what callers and people were told", "audit.jsonl"] {
        let told = places.iter().find(|(name, _)| name == place).map(|(_, text)| text);
        assert!(told.is_some_and(|text| text.contains("errors up 4x")), "{place}");
    }
    let log = &places[0].1;
    assert!(log.contains("\"TRACE\"") || log.contains("\"DEBUG\""), "it was to be loud");
    let escaped: Vec<(&String, String)> =
        places.iter().filter_map(|(place, text)| Some((place, found(text)?))).collect();
    assert!(escaped.is_empty(), "a secret is in: {escaped:#?}");
}
