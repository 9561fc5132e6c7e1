//! The server, from outside: what it answers to whom, what it remembers, and that nothing is ever
//! started twice.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::clone_on_ref_ptr,
    reason = "a test fails by panicking, and shares what it likes"
)]

use crate::common::{ORDER, TOKEN, client, everything_is_documented, fake, routes, serve};
use async_trait::async_trait;
use reqwest::{Method, StatusCode};
use rollback_core::ports::{CdBackend as _, Fence, Fenced, LiveOptions, StartError};
use rollback_core::{Phase, Presence, RollbackId};
use rollback_http::server::{
    FileLog, LogError, LogRecord, Logged, MemoryLog, OrderLog, Server, ServerError,
};
use rollback_testkit::fakes::{FakeBackend, Fault, Method as Call};
use rollback_testkit::wire::{Mishap, Wire};
use rollback_testkit::{again, fixtures, order_for};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A server over a CD system in memory, and how to ask it.
struct Stage {
    cd: Arc<FakeBackend>,
    log: Arc<dyn OrderLog>,
    address: SocketAddr,
}

impl Stage {
    async fn over(log: Arc<dyn OrderLog>, fence: Fence) -> Self {
        let cd = fake(fence);
        let (address, _task) = serve(routes(cd.clone(), log.clone())).await;
        Self { cd, log, address }
    }

    async fn new() -> Self {
        Self::over(Arc::new(MemoryLog::default()), Fence::Yes).await
    }

    /// The same CD system and the same log behind a new server.
    async fn restarted(&self) -> Self {
        let (address, _task) = serve(routes(self.cd.clone(), self.log.clone())).await;
        Self { cd: self.cd.clone(), log: self.log.clone(), address }
    }

    fn ask(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap()
            .request(method, url)
            .bearer_auth(TOKEN)
    }

    fn order(&self, key: &str, body: &Value) -> reqwest::RequestBuilder {
        self.ask(Method::POST, "/v1/rollbacks").header("idempotency-key", key).json(body)
    }

    async fn send(&self, order: &Value) -> (u16, Value) {
        told(self.order(order["operation_id"].as_str().unwrap(), order)).await
    }

    async fn look(&self, id: &str) -> (u16, Value) {
        told(self.ask(Method::GET, &format!("/v1/rollbacks/{id}"))).await
    }

    async fn fence(&self, id: &str) -> u16 {
        told(self.ask(Method::POST, &format!("/v1/rollbacks/{id}/fence"))).await.0
    }

    fn nothing_was_started(&self, what: &str) {
        assert_eq!(self.cd.sends(), 0, "{what}");
    }
}

/// The status and the body, which is JSON or a problem, as its status says.
async fn told(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let media = response.headers()["content-type"].to_str().unwrap().to_owned();
    let challenged = response.headers().contains_key("www-authenticate");
    let text = response.text().await.unwrap();
    assert!(!text.contains(TOKEN), "{text}");
    let body: Value = serde_json::from_str(&text).unwrap();
    if status.is_success() {
        assert_eq!(media, "application/json");
    } else {
        assert_eq!(media, "application/problem+json", "{status}");
        assert_eq!(body["status"], status.as_u16(), "{body}");
        for field in ["type", "title", "detail"] {
            assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        }
    }
    assert_eq!(challenged, status == StatusCode::UNAUTHORIZED, "{status}");
    (status.as_u16(), body)
}

fn order(id: &str) -> Value {
    json!({
        "operation_id": id, "service": "checkout", "environment": "production",
        "expected_live": "42", "target": "41", "reason": "errors up 4x",
        "requested_by": {"id": "U02ANA", "name": "Ana"},
    })
}

fn with(mut order: Value, field: &str, value: Value) -> Value {
    order[field] = value;
    order
}

#[tokio::test]
async fn whoever_has_no_token_learns_nothing_and_changes_nothing() {
    let stage = Stage::new().await;
    for path in ["/v1/services/checkout/environments/production", "/v1/rollbacks/rb-1", "/", "/x"] {
        for method in [Method::GET, Method::DELETE, Method::POST, Method::OPTIONS] {
            let url = format!("http://{}{path}", stage.address);
            let bare = reqwest::Client::new().request(method.clone(), &url);
            let (status, body) = told(bare).await;
            assert_eq!(status, 401, "{method} {path}");
            let wrong = reqwest::Client::new().request(method, &url).bearer_auth("wrong");
            assert_eq!(told(wrong).await, (401, body), "{path}");
        }
    }
    let url = format!("http://{}/v1/rollbacks", stage.address);
    let bare = reqwest::Client::new().post(url).header("idempotency-key", "rb-1");
    assert_eq!(told(bare.json(&order("rb-1"))).await.0, 401);
    stage.nothing_was_started("without a token");
    everything_is_documented();
}

#[tokio::test]
async fn an_old_token_and_a_new_one_are_both_good_and_one_that_cannot_be_sent_is_refused() {
    let log = Arc::new(MemoryLog::default());
    let server = Server::new("old", log.clone()).unwrap().token("new").unwrap();
    assert!(!format!("{server:?}").contains("old"));
    let (address, _task) = serve(server.router()).await;
    for (token, status) in [("old", 404), ("new", 404), ("other", 401)] {
        let url = format!("http://{address}/v1/rollbacks/rb-1");
        let asked = reqwest::Client::new().get(url).bearer_auth(token);
        assert_eq!(told(asked).await.0, status, "{token}");
    }
    for bad in ["", "two words", "a\nb"] {
        let refused = Server::new(bad, log.clone()).map(|_server| ()).unwrap_err();
        assert_eq!(refused, ServerError::TokenMalformed);
    }
}

#[tokio::test]
async fn a_service_is_told_as_the_contract_says() {
    let stage = Stage::new().await;
    let path = "/v1/services/checkout/environments/production";
    let (status, body) = told(stage.ask(Method::GET, path)).await;
    assert_eq!(status, 200);
    let history: Vec<Value> =
        fixtures::history().iter().map(|it| serde_json::to_value(it).unwrap()).collect();
    assert_eq!(
        body,
        json!({
            "live": history[0], "in_progress": null, "undone_by": null, "revisions": history,
            "capabilities": {"compare_and_set": true, "fence": true},
        })
    );
}

#[tokio::test]
async fn an_order_is_taken_looked_at_and_cancelled() {
    let stage = Stage::new().await;
    stage.cd.set_phases([Phase::Started]);
    let (status, accepted) = stage.send(&order("rb-1")).await;
    assert_eq!(status, 202);
    let (status, run) = stage.look("rb-1").await;
    assert_eq!(status, 200);
    assert_eq!(
        (&run["execution_id"], &run["phase"]),
        (&accepted["execution_id"], &json!("started"))
    );
    assert_eq!(run["live"]["id"], "41");
    let cancel = || told(stage.ask(Method::DELETE, "/v1/rollbacks/rb-1"));
    assert_eq!(cancel().await.0, 202);
    assert_eq!(cancel().await.0, 409);
    assert_eq!(stage.look("rb-1").await.1["phase"], "cancelled");
    assert_eq!(told(stage.ask(Method::DELETE, "/v1/rollbacks/rb-2")).await.0, 404);
    assert_eq!(stage.look("rb-2").await.0, 404);
    everything_is_documented();
}

#[tokio::test]
async fn a_body_that_is_no_order_is_told_what_is_wrong_and_nothing_is_started() {
    let stage = Stage::new().await;
    let good = order("rb-1");
    let text = |text: &str| {
        let request = stage.ask(Method::POST, "/v1/rollbacks").header("idempotency-key", "rb-1");
        request.header("content-type", "application/json").body(text.to_owned())
    };
    let typed = |media: &str| {
        let request = stage.ask(Method::POST, "/v1/rollbacks").header("idempotency-key", "rb-1");
        request.header("content-type", media).body(good.to_string())
    };
    let plain = stage.ask(Method::POST, "/v1/rollbacks");
    for (name, request, expected) in [
        ("nothing", text(""), 400),
        ("no JSON", text("{"), 400),
        ("a list", text("[]"), 422),
        ("no fields", text("{}"), 422),
        ("a field twice", text(&good.to_string().replacen('{', r#"{"target":"40","#, 1)), 400),
        ("too long", text(&format!(r#"{{"x":"{}"}}"#, "x".repeat(70_000))), 413),
        ("a form", typed("application/x-www-form-urlencoded"), 415),
        ("JSON of another kind", typed("application/jsonp"), 415),
        ("no media type", plain.header("idempotency-key", "rb-1").body(good.to_string()), 415),
        ("no key", stage.ask(Method::POST, "/v1/rollbacks").json(&good), 400),
        ("another key", stage.order("rb-2", &good), 422),
        ("two keys", stage.order("rb-1", &good).header("idempotency-key", "rb-1"), 422),
        ("a bad service", stage.order("rb-1", &with(good.clone(), "service", json!("../x"))), 422),
        ("to itself", stage.order("rb-1", &with(good.clone(), "target", json!("42"))), 422),
    ] {
        let (status, problem) = told(request).await;
        assert_eq!(status, expected, "{name}: {problem}");
        if status == 422 {
            assert!(problem["errors"][0]["pointer"].is_string(), "{name}: {problem}");
        }
    }
    stage.nothing_was_started("a bad body");
    assert_eq!(stage.look("rb-1").await.0, 404);
    assert_eq!(stage.send(&good).await.0, 202, "a bad body leaves no trace");
    everything_is_documented();
}

#[tokio::test]
async fn paths_that_lead_nowhere_and_methods_that_are_not_taken_are_problems() {
    let stage = Stage::new().await;
    let long = format!("/v1/rollbacks/{}", "x".repeat(5_000));
    for (method, path, expected) in [
        (Method::GET, "/", 404),
        (Method::GET, "/v1", 404),
        (Method::GET, "/v1/services/checkout", 404),
        (Method::GET, "/v1/services/..%2f..%2fetc/environments/production", 404),
        (Method::GET, "/v1/services/%00/environments/production", 404),
        (Method::GET, "/v1/services/%ff/environments/production", 404),
        (Method::GET, "/v1/services/checkout/environments/staging", 404),
        (Method::GET, "/v1/rollbacks/%2e%2e", 404),
        (Method::GET, "/v1/rollbacks/rb-1%0a", 404),
        (Method::GET, "/v1/rollbacks/%3cscript%3e", 404),
        (Method::POST, "/v1/rollbacks/%3cscript%3e/fence", 404),
        (Method::DELETE, "/v1/rollbacks/a%2fb", 404),
        (Method::GET, long.as_str(), 404),
        (Method::GET, "/v1/rollbacks", 405),
        (Method::PUT, "/v1/rollbacks/rb-1", 405),
        (Method::OPTIONS, "/v1/rollbacks/rb-1", 405),
        (Method::GET, "/v1/rollbacks/rb-1/fence", 405),
        (Method::TRACE, "/v1/rollbacks", 405),
    ] {
        let (status, problem) = told(stage.ask(method.clone(), path)).await;
        assert_eq!(status, expected, "{method} {path}: {problem}");
        assert!(!problem.to_string().contains("script"), "{problem}");
    }
    let refused = stage.ask(Method::PUT, "/v1/rollbacks/rb-1").send().await.unwrap();
    let allowed = refused.headers()["allow"].to_str().unwrap();
    assert!(allowed.contains("GET") && allowed.contains("DELETE"), "{allowed}");
    everything_is_documented();
}

#[tokio::test]
async fn the_same_order_again_is_the_same_answer_and_nothing_more() {
    let stage = Stage::new().await;
    let first = stage.send(&order("rb-1")).await;
    assert_eq!(first.0, 202);
    for _again in 0..3 {
        let noise = with(order("rb-1"), "something_new", json!(1));
        assert_eq!(stage.send(&noise).await, first);
    }
    assert_eq!((stage.cd.sends(), stage.cd.effects()), (1, 1));
    assert_eq!(stage.restarted().await.send(&order("rb-1")).await, first);
    assert_eq!(stage.cd.sends(), 1);
}

#[tokio::test]
async fn another_order_under_the_same_id_is_refused_and_changes_nothing() {
    let stage = Stage::new().await;
    let first = stage.send(&order("rb-1")).await;
    for (field, value) in [
        ("target", json!("40")),
        ("expected_live", json!("43")),
        ("environment", json!("staging")),
        ("reason", json!("something else")),
        ("requested_by", json!({"id": "U03BO"})),
    ] {
        let (status, _) = stage.send(&with(order("rb-1"), field, value)).await;
        assert_eq!(status, 422, "{field}");
    }
    assert_eq!(stage.cd.sends(), 1);
    assert_eq!(stage.send(&order("rb-1")).await, first);
}

#[tokio::test]
async fn an_order_that_arrives_twice_at_once_is_started_once() {
    let stage = Stage::new().await;
    let wire = Wire::to(stage.address.port());
    wire.befall_next(ORDER, Mishap::Doubled);
    let order = order_for(fixtures::plan());
    assert!(client(wire.address(), Fence::Yes).start(again(&order)).await.is_ok());
    assert_eq!((stage.cd.sends(), stage.cd.effects()), (1, 1));

    let stage = Stage::over(Arc::new(Slow::default()), Fence::Yes).await;
    let sent = order_of_many(&stage).await;
    assert!(sent.iter().all(|answer| *answer == sent[0] && answer.0 == 202), "{sent:?}");
    assert_eq!((stage.cd.sends(), stage.cd.effects()), (1, 1));
}

/// A log that takes its time, so that others come in between.
#[derive(Debug, Default)]
struct Slow(MemoryLog);

#[async_trait]
impl OrderLog for Slow {
    async fn append(&self, record: &LogRecord) -> Result<(), LogError> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.0.append(record).await
    }

    async fn read(&self, operation: &RollbackId) -> Result<Option<Logged>, LogError> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.0.read(operation).await
    }
}

async fn order_of_many(stage: &Stage) -> Vec<(u16, Value)> {
    let body = order("rb-1");
    let (a, b, c) = tokio::join!(stage.send(&body), stage.send(&body), stage.send(&body));
    vec![a, b, c]
}

#[tokio::test]
async fn an_order_is_refused_for_a_reason_that_its_status_tells() {
    let stage = Stage::new().await;
    let missing = with(order("rb-1"), "target", json!("7"));
    assert_eq!(stage.send(&missing).await.0, 404);
    let nowhere = with(order("rb-2"), "service", json!("nowhere"));
    assert_eq!(stage.send(&nowhere).await.0, 404);
    stage.cd.prune(&"40".parse().unwrap());
    let pruned = with(order("rb-3"), "target", json!("40"));
    assert_eq!(stage.send(&pruned).await.0, 422);
    stage.cd.deploy(fixtures::revision("43", "2.15.0", fixtures::at(60)));
    let (status, moved) = stage.send(&order("rb-4")).await;
    assert_eq!(status, 409, "{moved}");
    assert_eq!(stage.cd.effects(), 0);
    everything_is_documented();
}

#[tokio::test]
async fn what_would_undo_a_rollback_is_a_reason_to_refuse_it() {
    let stage = Stage::new().await;
    let mut preflight = rollback_core::observed::Preflight::accepted();
    preflight.undone_by = Presence::Something("auto-sync".to_owned());
    stage.cd.set_preflight(preflight);
    let (status, problem) = stage.send(&order("rb-1")).await;
    assert_eq!(status, 422);
    assert!(problem["detail"].as_str().unwrap().contains("auto-sync would undo it"), "{problem}");
    stage.nothing_was_started("it would be undone");
}

#[tokio::test]
async fn a_fence_waits_for_the_order_that_came_before_it() {
    let stage = Stage::over(Arc::new(Slow::default()), Fence::Yes).await;
    let body = order("rb-1");
    let later = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        tokio::join!(stage.fence("rb-1"), stage.look("rb-1"))
    };
    let (sent, (fenced, looked)) = tokio::join!(stage.send(&body), later);
    let told = (sent.0, fenced, looked.0);
    // Whoever is first decides for all.
    assert!(told == (202, 409, 200) || told == (422, 200, 404), "{told:?}");
    assert_eq!(stage.cd.effects(), usize::from(told.0 == 202));
}

/// Its sender has been told that nothing happens: a copy of it that comes later must not.
#[tokio::test]
async fn an_order_that_was_refused_stays_refused_when_it_comes_again() {
    let stage = Stage::new().await;
    stage.cd.fail(Call::Start, Fault::Refuse);
    let first = stage.send(&order("rb-1")).await;
    assert_eq!(first.0, 422);
    for stage in [&stage, &stage.restarted().await] {
        assert_eq!(stage.send(&order("rb-1")).await, first);
        assert_eq!(stage.look("rb-1").await.0, 404);
    }
    assert_eq!((stage.cd.sends(), stage.cd.effects()), (1, 0));
    assert_eq!(stage.send(&order("rb-2")).await.0, 202, "a new order is judged anew");
}

#[tokio::test]
async fn a_voided_order_is_turned_away_whenever_it_comes() {
    let stage = Stage::new().await;
    assert_eq!(stage.fence("rb-1").await, 200);
    assert_eq!(stage.fence("rb-1").await, 200, "twice");
    for stage in [&stage, &stage.restarted().await] {
        assert_eq!(stage.send(&order("rb-1")).await.0, 422);
        assert_eq!(stage.look("rb-1").await.0, 404);
    }
    stage.nothing_was_started("it was voided");
    assert_eq!(stage.send(&order("rb-2")).await.0, 202);
    assert_eq!(stage.fence("rb-2").await, 409);
    everything_is_documented();
}

#[tokio::test]
async fn a_fence_over_a_cd_system_that_cannot_is_honest_about_it() {
    let stage = Stage::over(Arc::new(MemoryLog::default()), Fence::No).await;
    let path = "/v1/services/checkout/environments/production";
    let (_, service) = told(stage.ask(Method::GET, path)).await;
    assert_eq!(service["capabilities"]["fence"], false);
    stage.cd.fail(Call::Start, Fault::HoldUp);
    assert_eq!(stage.send(&order("rb-1")).await.0, 503);
    assert_eq!(stage.fence("rb-1").await, 501);
    stage.cd.release();
    assert_eq!(stage.look("rb-1").await.0, 200, "it came late, and is found");
    everything_is_documented();
}

#[tokio::test]
async fn an_order_in_doubt_is_found_out_by_reading_and_never_sent_again() {
    let stage = Stage::new().await;
    stage.cd.fail(Call::Start, Fault::LoseAnswer);
    assert_eq!(stage.send(&order("rb-1")).await.0, 503);
    let (status, accepted) = stage.send(&order("rb-1")).await;
    assert_eq!(status, 202, "{accepted}");
    assert_eq!(stage.cd.sends(), 1);

    let stage = Stage::new().await;
    stage.cd.fail(Call::Start, Fault::LoseRequest);
    assert_eq!(stage.send(&order("rb-1")).await.0, 503);
    assert_eq!(stage.send(&order("rb-1")).await.0, 503);
    assert_eq!(stage.look("rb-1").await.0, 404);
    assert_eq!(stage.fence("rb-1").await, 200);
    assert_eq!(stage.send(&order("rb-1")).await.0, 422);
    assert_eq!((stage.cd.sends(), stage.cd.effects()), (1, 0));
}

/// A log that stops keeping anything once it is told to.
#[derive(Debug, Default)]
struct Breaking {
    kept: MemoryLog,
    outcomes_are_lost: AtomicBool,
    nothing_is_kept: AtomicBool,
}

#[async_trait]
impl OrderLog for Breaking {
    async fn append(&self, record: &LogRecord) -> Result<(), LogError> {
        let is_order = matches!(record, LogRecord::Received(_));
        if self.nothing_is_kept.load(Ordering::SeqCst)
            || (!is_order && self.outcomes_are_lost.load(Ordering::SeqCst))
        {
            return Err(LogError::new("the disk is full"));
        }
        self.kept.append(record).await
    }

    async fn read(&self, operation: &RollbackId) -> Result<Option<Logged>, LogError> {
        self.kept.read(operation).await
    }
}

/// As after a crash between the start and its record.
#[tokio::test]
async fn an_order_whose_outcome_was_never_written_is_found_and_not_started_again() {
    let log = Arc::new(Breaking::default());
    log.outcomes_are_lost.store(true, Ordering::SeqCst);
    let stage = Stage::over(log.clone(), Fence::Yes).await;
    let first = stage.send(&order("rb-1")).await;
    assert_eq!(first.0, 202);
    let after = stage.restarted().await;
    let (status, run) = after.look("rb-1").await;
    assert_eq!((status, &run["execution_id"]), (200, &first.1["execution_id"]));
    assert_eq!(after.send(&order("rb-1")).await, first);

    // A refusal that was never written down is not known any more, and still nothing is started.
    stage.cd.fail(Call::Start, Fault::Refuse);
    assert_eq!(after.send(&order("rb-2")).await.0, 422);
    let sends = stage.cd.sends();
    assert_eq!(stage.restarted().await.send(&order("rb-2")).await.0, 503);
    assert_eq!(stage.cd.sends(), sends);
}

#[tokio::test]
async fn an_order_that_cannot_be_written_down_is_not_started() {
    let log = Arc::new(Breaking::default());
    log.nothing_is_kept.store(true, Ordering::SeqCst);
    let stage = Stage::over(log.clone(), Fence::Yes).await;
    let (status, problem) = stage.send(&order("rb-1")).await;
    assert_eq!(status, 503);
    assert!(!problem.to_string().contains("disk"), "{problem}");
    assert_eq!(stage.fence("rb-1").await, 503, "a fence that is not kept does not stand");
    stage.nothing_was_started("it could not be written down");
}

#[tokio::test]
async fn a_cd_system_that_hangs_is_in_doubt_and_holds_nobody_up_for_ever() {
    let cd = fake(Fence::Yes);
    let server = Server::new(TOKEN, Arc::new(MemoryLog::default())).unwrap();
    let server = server.answer_within(Duration::from_secs(1));
    let (address, _task) = serve(server.service(fixtures::key(), cd.clone()).router()).await;
    cd.fail(Call::Start, Fault::Hang);
    let client = client(address, Fence::Yes);
    let order = order_for(fixtures::plan());
    assert!(matches!(client.start(again(&order)).await, Err(StartError::InDoubt { .. })));
    let fenced = loop {
        // As long as the order may still be on its way, nobody says that it is void.
        if let Ok(fenced) = client.fence(&order).await {
            break fenced;
        }
    };
    assert_eq!(fenced, Fenced::Done);
    assert_eq!(client.find(&order).await.unwrap(), None);
    assert_eq!((cd.sends(), cd.effects()), (1, 0));
    cd.fail(Call::Live, Fault::Hang);
    assert!(client.live(&fixtures::key(), LiveOptions::default()).await.is_err());
    everything_is_documented();
}

#[tokio::test]
async fn a_file_remembers_orders_and_is_held_by_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.jsonl");
    let log = Arc::new(FileLog::open(&path).await.unwrap());
    let stage = Stage::over(log, Fence::Yes).await;
    let first = stage.send(&order("rb-1")).await;
    assert_eq!(stage.fence("rb-2").await, 200);
    let taken = FileLog::open(&path).await.unwrap_err().to_string();
    assert!(taken.contains("another process") && taken.contains("nothing was changed"), "{taken}");

    let kept = std::fs::read_to_string(&path).unwrap();
    let copy = folder.path().join("copy.jsonl");
    // A line that a crash cut short never counted.
    std::fs::write(&copy, format!("{kept}{{\"kind\":\"received\",\"at\":\"2026-")).unwrap();
    let log = Arc::new(FileLog::open(&copy).await.unwrap());
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), kept);
    let (address, _task) = serve(routes(stage.cd.clone(), log)).await;
    let after = Stage { cd: stage.cd.clone(), log: stage.log.clone(), address };
    assert_eq!(after.send(&order("rb-1")).await, first);
    assert_eq!(after.send(&order("rb-2")).await.0, 422);
    assert_eq!(stage.cd.sends(), 1);
}

#[tokio::test]
async fn a_file_with_a_line_that_makes_no_sense_is_not_guessed_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.jsonl");
    let text =
        "{\"kind\":\"voided\",\"operation_id\":\"rb-1\",\"at\":\"2026-11-22T09:30:00Z\"}\nx\n";
    std::fs::write(&path, text).unwrap();
    let error = FileLog::open(&path).await.unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("nothing was changed"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}
