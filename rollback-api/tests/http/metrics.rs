//! What is counted, as Prometheus reads it.

use crate::stage::{Setup, Stage, answer, deploy, until};
use rollback_testkit::fixtures::{self, parsed};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

/// The samples of a page, by name and labels.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

async fn page(stage: &Stage) -> String {
    let told = answer(stage.request("GET", "/metrics")).await;
    assert_eq!(told.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    told.text
}

/// A stage on which something of everything has happened.
async fn busy() -> Stage {
    let stage = Stage::new().await;
    let view = stage.rolled_back().await;
    assert_eq!(view.state.as_str(), "succeeded", "{}", view.explanation);
    let denied = rollback_core::ports::ClickedOn::Deploy(parsed("ci-42"));
    let eve = fixtures::eve().actor();
    let view = rollback_core::ports::Commands::click(&stage.engine, &denied, eve).await.unwrap();
    stage.ended(&view.id).await;
    let again = stage.roll_back("ci-42", &fixtures::ana()).await;
    stage.ended(&again.id).await;
    stage.post("/v1/deploys", &deploy()).await;
    stage.get("/v1/rollbacks/none").await;
    until("counted", async || {
        let counted = samples(&page(&stage).await);
        counted.keys().any(|name| name.contains("outcome=\"refused\"")).then_some(())
    })
    .await;
    stage
}

#[tokio::test]
async fn what_happened_is_counted_where_it_belongs() {
    let stage = busy().await;
    let found = samples(&page(&stage).await);
    let service = "service=\"checkout\",environment=\"production\"";
    for (name, count) in [
        (format!("rollback_rollbacks_total{{{service},drill=\"false\",outcome=\"succeeded\"}}"), 1.0),
        (format!("rollback_rollbacks_total{{{service},drill=\"false\",outcome=\"refused\"}}"), 1.0),
        (format!("rollback_denials_total{{{service},drill=\"false\"}}"), 1.0),
        (format!("rollback_deploys_reported_total{{{service}}}"), 1.0),
        ("rollback_http_requests_total{method=\"POST\",route=\"/v1/deploys\",status=\"201\"}".into(), 1.0),
        ("rollback_http_requests_total{method=\"POST\",route=\"/v1/deploys\",status=\"200\"}".into(), 1.0),
        ("rollback_http_requests_total{method=\"GET\",route=\"/v1/rollbacks/{id}\",status=\"404\"}".into(), 1.0),
        ("rollback_cd_requests_total{backend=\"prod\",operation=\"start\",result=\"ok\"}".into(), 1.0),
        ("rollback_slack_interactions_total{kind=\"clicks\"}".into(), 3.0),
        ("rollback_build_info{version=\"7.8.9\"}".into(), 1.0),
        ("rollback_store_up".into(), 1.0),
        ("rollback_put_aside".into(), 0.0),
        ("rollback_replay_mismatches".into(), 0.0),
        ("rollback_loops_failing".into(), 0.0),
        ("rollback_loop_panics_total{loop=\"outbox\"}".into(), 0.0),
        ("rollback_clock_steps_back".into(), 0.0),
        ("rollback_notices_total{result=\"abandoned\"}".into(), 0.0),
        ("rollback_store_pruned_total{kind=\"unconfirmed\"}".into(), 0.0),
    ] {
        assert_eq!(found.get(&name), Some(&count), "{name} in {found:#?}");
    }
    let stage_of = |stage: &str| {
        format!(
            "rollback_stage_duration_seconds_count{{{service},drill=\"false\",stage=\"{stage}\"}}"
        )
    };
    assert!(found[&stage_of("executing")] >= 1.0);
    assert!(found[&stage_of("checking")] >= 1.0);
    assert!(found.keys().any(|name| name.starts_with("rollback_guard_refusals_total")));
    assert!(found["rollback_audit_last_sequence"] > 5.0);
}

#[tokio::test]
async fn a_record_that_is_given_twice_is_counted_once() {
    let metrics = rollback_api::Metrics::new("1");
    let sink = metrics.sink();
    let stage = Stage::new().await;
    stage.rolled_back().await;
    let records = stage.store.audit(&rollback_core::ports::Query::all(99)).await.unwrap();
    for _time in 0..2 {
        for record in &records {
            sink.record(record).await.unwrap();
        }
    }
    let api = rollback_api::Api::new(
        stage.engine.clone(),
        rollback_api::Tokens::new([&"t".into()]).unwrap(),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = api.metrics(metrics).router();
    let serving = rollback_api::serve(
        listener,
        router,
        rollback_api::ServeLimits::default(),
        std::future::pending(),
    );
    let asking = answer(reqwest::Client::new().get(format!("http://{address}/metrics")));
    let told = tokio::select! {
        _ended = serving => panic!("it does not end"),
        told = asking => told,
    };
    let found = samples(&told.text);
    let ended = found.iter().filter(|(name, _)| name.starts_with("rollback_rollbacks_total"));
    assert_eq!(ended.map(|(_, count)| *count).collect::<Vec<_>>(), [1.0]);
}

#[tokio::test]
async fn an_address_that_somebody_invents_makes_no_new_series() {
    let stage = Stage::new().await;
    for number in 0..30 {
        answer(stage.request("GET", &format!("/invented/{number}"))).await;
        answer(stage.call("GET", &format!("/v1/invented/{number}"))).await;
        answer(stage.call(&format!("M{number}"), "/v1/rollbacks")).await;
        stage.get(&format!("/v1/services/s{number}/production")).await;
    }
    let found = samples(&page(&stage).await);
    let requests = found.keys().filter(|name| name.starts_with("rollback_http_requests_total"));
    assert!(requests.count() < 10, "{found:#?}");
}

#[tokio::test]
async fn whoever_asks_for_openmetrics_gets_it() {
    let stage = Stage::new().await;
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let told = answer(stage.request("GET", "/metrics").header("accept", accept)).await;
    assert!(told.header("content-type").starts_with("application/openmetrics-text"));
    assert!(told.text.ends_with("# EOF\n"), "{}", told.text);
}

/// A disk that can be read and not written is no store that is up.
#[tokio::test]
async fn a_store_that_is_read_and_not_written_is_not_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rollback.db");
    let options = rollback_store::Options::default();
    let store = rollback_store::SqliteStore::open(path.clone(), options).await.unwrap();
    let setup = Setup { store: std::sync::Arc::new(store), ..Setup::default() };
    let stage = Stage::with(setup).await;
    assert_eq!(samples(&page(&stage).await).get("rollback_store_up"), Some(&1.0));
    std::fs::remove_file(&path).unwrap();
    let down = until("down", async || {
        let found = samples(&page(&stage).await);
        (found.get("rollback_store_up") == Some(&0.0)).then_some(found)
    })
    .await;
    let blocked = "rollback_blocked{kind=\"store\",name=\"store\"}";
    assert_eq!(down.get(blocked), Some(&1.0), "{down:#?}");
    assert!(stage.store.head().await.is_ok(), "it is read as before");
    let told = stage.get("/v1/status").await.json();
    assert_eq!(told["blockers"][0]["kind"], "store", "{told}");
    // What can be read is looked up.
    assert_eq!((&told["put_aside"], &told["unsettled"]), (&json!([]), &json!([])), "{told}");
}

/// Prometheus' own tool reads the page and finds nothing to object to.
#[tokio::test]
async fn promtool_finds_nothing_to_object_to() {
    let Some(promtool) = crate::schemas::program("promtool", "usr/bin/promtool") else { return };
    let page = page(&busy().await).await;
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success(), "{words}\n{page}");
    assert_eq!(words, "");
}
