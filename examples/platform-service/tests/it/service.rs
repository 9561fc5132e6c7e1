//! The process `platform-service`: what only a process can show.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use crate::stage::service::{API_TOKEN, CD_TOKEN, Service, client, report_of, serve_cd, yaml};
use crate::stage::{Host, Stage, cd, deploy};
use local_slack::{Fault, LocalSlack, Outcome};
use rollback_core::journal::Entry;
use rollback_core::ports::{CdBackend, Commit, Journals as _, Query};
use rollback_core::{Event, Phase, StateName};
use rollback_store::{Location, Options, SqliteStore};
use rollback_testkit::fakes::{FakeBackend, Fault as CdFault, Method};
use serde_json::Value;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};
use team::{OWNER, PATIENCE, SECRET, TOKEN, people};

async fn started() -> (LocalSlack, Arc<FakeBackend>, Service) {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let service = Service::start(&slack, &cd, 0).await;
    slack.set_interactivity_url(service.callbacks());
    (slack, cd, service)
}

/// What the tests of `same.rs` use, over a service that this file holds by its own type.
fn stage(slack: &LocalSlack, cd: &Arc<FakeBackend>, service: Service) -> Stage {
    Stage { slack: slack.clone().into(), cd: Arc::clone(cd), host: Box::new(service) }
}

/// Waits until the newest rollback has ended, and gives it.
async fn ended(service: &Service) -> Value {
    let looked = async {
        loop {
            let list = service.get("/v1/rollbacks").await;
            let newest = list["rollbacks"][0].clone();
            if !newest["ended_at"].is_null() {
                return newest;
            }
            tokio::time::sleep(Duration::from_millis(80)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looked).await.expect("it ends")
}

async fn open_modal(slack: &LocalSlack) -> local_slack::View {
    let message = slack
        .wait_until(PATIENCE, |slack| {
            slack.messages(team::CHANNEL).into_iter().find(|m| m.element("rollback_open").is_some())
        })
        .await
        .expect("a deploy message with its button");
    let clicked = slack.click(OWNER, team::CHANNEL, &message.ts, "rollback_open").await.unwrap();
    assert_eq!(clicked, Outcome::Acknowledged);
    slack
        .wait_until(PATIENCE, |slack| {
            let views = slack.views(OWNER);
            views.into_iter().find(|view| format!("{view:?}").contains("\"submit\": Object"))
        })
        .await
        .expect("a modal to submit")
}

fn run(folder: &std::path::Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_platform-service"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("a process")
}

#[tokio::test]
async fn a_rollback_from_the_pipelines_json_to_the_verified_audit_log() {
    let (slack, cd, mut service) = started().await;
    let report = report_of(&deploy("ci-4711", "42", "2.14.0"));
    let (status, answer) = service.post("/v1/deploys", &report).await;
    assert_eq!((status, &answer["target"]["id"]), (201, &Value::from("41")), "{answer}");
    assert_eq!(service.post("/v1/deploys", &report).await.0, 200, "the same again");
    let before = service.get("/v1/services/checkout/production").await;
    assert_eq!(before["live"]["id"], "42", "{before}");
    let modal = open_modal(&slack).await;
    slack.submit(OWNER, &modal.id, &[("reason", "errors up 4x")]).await.unwrap();
    let rollback = ended(&service).await;
    assert_eq!(rollback["state"], "succeeded", "{rollback}");
    assert_eq!(
        (rollback["from"]["id"].as_str(), rollback["to"]["id"].as_str()),
        (Some("42"), Some("41"))
    );
    assert_eq!(cd.truth().unwrap().as_str(), "41");
    // The stream of a rollback that has ended has all its events, and ends.
    let id = rollback["id"].as_str().unwrap();
    let stream = service.get(&format!("/v1/rollbacks/{id}/events")).await;
    let stream = stream.as_str().unwrap_or_default();
    for event in ["requested", "confirmed", "triggered", "succeeded"] {
        assert!(
            stream.contains(&format!("event: {event}\n"))
                || stream.contains(&format!("event:{event}\n")),
            "{event}: {stream}"
        );
    }
    let audit = service.get("/v1/audit?service=checkout").await;
    assert!(audit.as_str().unwrap_or_default().lines().count() >= 5, "{audit}");
    let verified = service.get("/v1/audit/verify").await;
    assert_eq!(verified["ok"], true, "{verified}");
    let metrics = client().get(service.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("slack_interactions"), "{metrics}");
    assert!(!service.get("/readyz").await.is_null());

    assert_eq!(service.terminate().await, Some(0));
    let logs = service.logs.lock().unwrap().clone();
    for secret in [TOKEN, SECRET, API_TOKEN, CD_TOKEN] {
        assert!(!logs.contains(secret), "a secret is in the log");
    }
    assert!(logs.contains("stopped; nothing was lost"), "{logs}");
    let folder = service.into_folder();
    let secrets = [("CD_TOKEN", CD_TOKEN)];
    for arguments in [&["audit", "verify"][..], &["audit", "verify", "--file", "audit.jsonl"]] {
        let verdict = run(folder.path(), arguments, &secrets);
        assert!(verdict.status.success(), "{verdict:?}");
        let verdict: Value = serde_json::from_slice(&verdict.stdout).unwrap();
        assert_eq!(
            (&verdict["ok"], &verdict["records"], &verdict["head"]),
            (&Value::Bool(true), &verified["records"], &verified["head"]),
            "{arguments:?}"
        );
    }
    let verdict = run(folder.path(), &["verify"], &secrets);
    let told = String::from_utf8_lossy(&verdict.stdout);
    assert!(verdict.status.success() && told.contains(" 0 violations"), "{verdict:?}");
    assert!(
        told.contains("holds     INV-01") && told.contains("1 rollbacks (0 under way)"),
        "{told}"
    );
    edit_the_store(&folder.path().join("rollback.db")).await;
    let verdict = run(folder.path(), &["verify"], &secrets);
    let told = String::from_utf8_lossy(&verdict.stdout);
    assert_eq!(verdict.status.code(), Some(1), "{verdict:?}");
    assert!(told.contains("VIOLATED  INV-25"), "{told}");
    let path = folder.path().join("audit.jsonl");
    let forged =
        std::fs::read_to_string(&path).unwrap().replacen("errors up 4x", "errors up 1x", 1);
    std::fs::write(&path, forged).unwrap();
    let verdict = run(folder.path(), &["audit", "verify", "--file", "audit.jsonl"], &secrets);
    assert_eq!(verdict.status.code(), Some(1), "{verdict:?}");
    assert!(String::from_utf8_lossy(&verdict.stdout).contains("\"ok\":false"), "{verdict:?}");
}

/// Writes another end over the one that the journal tells, as somebody with the file can.
async fn edit_the_store(path: &std::path::Path) {
    let store = SqliteStore::open(Location::from(path), Options::default()).await.unwrap();
    let mut listed = store.list(&Query::all(1)).await.unwrap().pop().unwrap();
    listed.view.state = StateName::Failed;
    let now = listed.view.ended_at.unwrap();
    let mut commit = Commit::new(listed.view, listed.entries, now);
    commit.entry = Some(Entry::new(now, Event::DeadlineReached));
    store.commit(commit).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn the_end_of_a_rollback_is_signed_kept_and_told_in_the_thread() {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    let with = "file: {path: audit.jsonl}, checkpoints: {key_env: AUDIT_KEY, file: anchors}";
    let yaml = yaml(address, 0).replace("file: {path: audit.jsonl}", with);
    let name = "rollback.example.com/audit";
    let key = rollback_audit::SigningKey::new(name, &[7; 32].into()).unwrap();
    let private = key.reveal().as_str().to_owned();
    let environment = [("AUDIT_KEY", private.as_str())];
    let mut service = Service::start_with(&slack, &yaml, server, &environment).await;
    slack.set_interactivity_url(service.callbacks());
    service.post("/v1/deploys", &report_of(&deploy("ci-1", "42", "2.14.0"))).await;
    let modal = open_modal(&slack).await;
    slack.submit(OWNER, &modal.id, &[("reason", "errors up 4x")]).await.unwrap();
    let rollback = ended(&service).await;
    let told = slack
        .wait_until(PATIENCE, |slack| {
            let deploy = slack.messages(team::CHANNEL).into_iter().next()?;
            let thread = slack.thread(team::CHANNEL, &deploy.ts);
            let last = serde_json::to_string(&thread.last()?.blocks).ok()?;
            last.contains("Audit record").then_some(last)
        })
        .await
        .expect("the last line of the thread names its audit record");
    let export = service.get("/v1/audit").await.as_str().unwrap_or_default().to_owned();
    let last: Value = serde_json::from_str(export.lines().last().unwrap()).unwrap();
    let digits: String = last["hash"].as_str().unwrap().chars().take(16).collect();
    assert!(told.contains(&digits) && told.contains(&last["sequence"].to_string()), "{told}");

    // The end is signed, and what is signed is kept in the file.
    let kept = async {
        loop {
            let verified = service.get("/v1/audit/verify").await;
            let anchors = std::fs::read_to_string(service.folder.path().join("anchors"));
            let anchors = anchors.unwrap_or_default();
            if verified["checkpoint"]["sequence"] == last["sequence"]
                && anchors.contains(verified["checkpoint"]["note"].as_str().unwrap_or("none"))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, kept).await.expect("a checkpoint of the end");
    assert_eq!(service.terminate().await, Some(0));
    let logs = service.logs.lock().unwrap().clone();
    let secret = private.rsplit('+').next().unwrap();
    assert!(!logs.contains(secret), "the key is in the log");
    let folder = service.into_folder();
    let environment = [("CD_TOKEN", CD_TOKEN), ("AUDIT_KEY", private.as_str())];
    std::fs::write(folder.path().join("slack.txt"), format!("{} {digits}\n", last["sequence"]))
        .unwrap();
    let public = key.public().to_string();
    let by_export = ["audit", "verify", "--export", "audit.jsonl", "--public-key", public.as_str()];
    let by_export = [&by_export[..], &["--anchor", "anchors", "--anchor", "slack.txt"]].concat();
    for arguments in [&["audit", "verify"][..], &by_export] {
        let verdict = run(folder.path(), arguments, &environment);
        assert_eq!(verdict.status.code(), Some(0), "{verdict:?}");
        let verdict: Value = serde_json::from_slice(&verdict.stdout).unwrap();
        assert_eq!(verdict["head"], last["hash"], "{verdict}");
        assert!(
            verdict["anchors"]["signed"].as_u64() >= Some(2),
            "the start and the end: {verdict}"
        );
    }
    let id = rollback["id"].as_str().unwrap();
    let page = run(folder.path(), &["audit", "explain", id], &environment);
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(page.contains("errors up 4x") && page.contains(OWNER), "{page}");
}

#[tokio::test]
async fn a_confirmation_that_is_on_its_way_survives_the_shutdown() {
    let (slack, cd, mut service) = started().await;
    service.report(deploy("ci-4711", "42", "2.14.0")).await;
    let modal = open_modal(&slack).await;
    // The directory takes its time: the confirmation is acknowledged and not yet recorded.
    slack.fail_next(Fault::slow(Duration::from_millis(1_500)).on("users.info"));
    let began = Instant::now();
    slack.submit(OWNER, &modal.id, &[("reason", "errors up 4x")]).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "acknowledged at once");
    assert_eq!(service.terminate().await, Some(0));
    assert!(began.elapsed() >= Duration::from_millis(1_400), "it waited for the directory");
    let (address, server) = serve_cd(&cd).await;
    let folder = service.into_folder();
    std::fs::write(folder.path().join("rollback.yaml"), yaml(address, 0)).unwrap();
    let again = Service::start_in(folder, &slack, server, &[]).await;
    let rollback = ended(&again).await;
    assert_eq!(rollback["state"], "succeeded", "{rollback}");
    assert_eq!((cd.sends(), cd.effects()), (1, 1));
}

#[tokio::test]
async fn a_process_that_is_killed_while_a_rollback_runs_is_followed_by_one_that_ends_it() {
    let (slack, cd, service) = started().await;
    let phases = std::iter::repeat_n(Phase::Started, 8).chain([Phase::Complete]);
    cd.set_phases(phases);
    service.report(deploy("ci-4711", "42", "2.14.0")).await;
    let modal = open_modal(&slack).await;
    slack.submit(OWNER, &modal.id, &[("reason", "errors up 4x")]).await.unwrap();
    let runs = async {
        while service.states().await.first() != Some(&StateName::Running) {
            tokio::time::sleep(Duration::from_millis(80)).await;
        }
    };
    tokio::time::timeout(PATIENCE, runs).await.expect("it runs");
    let (folder, server) = service.kill();
    let again = Service::start_in(folder, &slack, server, &[]).await;
    let rollback = ended(&again).await;
    assert_eq!(rollback["state"], "succeeded", "{rollback}");
    assert_eq!((cd.sends(), cd.effects()), (1, 1), "the order was sent once");
    assert_eq!(again.get("/v1/audit/verify").await["ok"], true);
}

#[tokio::test]
async fn a_request_that_was_taken_before_a_restart_is_not_taken_again() {
    let (slack, _cd, service) = started().await;
    service.report(deploy("ci-4711", "42", "2.14.0")).await;
    let modal = open_modal(&slack).await;
    slack.close(OWNER, &modal.id).await.unwrap();
    assert_eq!(ended(&service).await["state"], "withdrawn");
    let captured = slack.deliveries();
    let (folder, server) = service.kill();
    let again = Service::start_in(folder, &slack, server, &[]).await;
    slack.set_interactivity_url(again.callbacks());
    for delivery in &captured {
        assert_eq!(slack.resend(delivery).await.unwrap().status, 200);
    }
    let found_out = async {
        while again.interactions("repeats_elsewhere").await < captured.len() {
            assert_eq!(again.states().await, [StateName::Withdrawn], "it was taken again");
            tokio::time::sleep(Duration::from_millis(80)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found_out).await.expect("each is known");
    assert_eq!(again.states().await, [StateName::Withdrawn]);
}

#[tokio::test]
async fn a_reader_of_events_does_not_keep_the_process_from_ending() {
    let (slack, _cd, mut service) = started().await;
    service.report(deploy("ci-4711", "42", "2.14.0")).await;
    let _waits_for_its_confirmation = open_modal(&slack).await;
    let list = service.get("/v1/rollbacks").await;
    let url = service
        .url(&format!("/v1/rollbacks/{}/events", list["rollbacks"][0]["id"].as_str().unwrap()));
    let reader = tokio::spawn(async move {
        let answer = client().get(url).bearer_auth(API_TOKEN).send().await.unwrap();
        answer.text().await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!reader.is_finished(), "the stream is open");
    let began = Instant::now();
    assert_eq!(service.terminate().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    drop(reader.await);
}

#[tokio::test]
async fn check_ends_with_an_error_when_something_must_be_mended() {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rollback.yaml"), yaml(address, 0)).unwrap();
    let api = slack.api_url();
    let check = async || {
        let (path, api) = (folder.path().to_owned(), api.clone());
        let checked = tokio::task::spawn_blocking(move || {
            let environment = [
                ("SLACK_BOT_TOKEN", TOKEN),
                ("SLACK_SIGNING_SECRET", SECRET),
                ("ROLLBACK_API_TOKEN", API_TOKEN),
                ("SLACK_API_URL", &api),
                ("CD_TOKEN", CD_TOKEN),
            ];
            run(&path, &["check", "--config", "rollback.yaml"], &environment)
        });
        checked.await.unwrap()
    };
    let good = check().await;
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    let bad = check().await;
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    assert!(
        String::from_utf8_lossy(&bad.stdout).contains("FAIL     checkout/production CD"),
        "{bad:?}"
    );
}

/// A hang of what is behind the service is never Slack's three seconds.
#[tokio::test]
async fn a_callback_is_acknowledged_at_once_whoever_hangs_behind_it() {
    for hangs in ["the CD system", "the directory", "Slack"] {
        let (slack, cd, service) = started().await;
        service.report(deploy("ci-4711", "42", "2.14.0")).await;
        let message = slack
            .wait_until(PATIENCE, |slack| {
                let messages = slack.messages(team::CHANNEL);
                messages.into_iter().find(|m| m.element("rollback_open").is_some())
            })
            .await
            .unwrap();
        match hangs {
            "the CD system" => {
                for method in [Method::Live, Method::History, Method::Preflight] {
                    (0..20).for_each(|_| cd.fail(method, CdFault::Hang));
                }
            }
            "the directory" => {
                for method in ["users.info", "usergroups.users.list", "usergroups.list"] {
                    slack.fail_next(Fault::hang().on(method).times(20));
                }
            }
            _ => slack.fail_next(Fault::hang().times(100)),
        }
        let began = Instant::now();
        let clicked = slack.click(OWNER, team::CHANNEL, &message.ts, "rollback_open").await;
        assert_eq!(clicked.unwrap(), Outcome::Acknowledged, "{hangs} hangs");
        assert!(began.elapsed() < Duration::from_secs(1), "{hangs} hangs: {:?}", began.elapsed());
        if hangs != "Slack" {
            let modal = slack.wait_until(PATIENCE, |slack| slack.views(OWNER).pop()).await.unwrap();
            assert!(began.elapsed() < Duration::from_secs(2), "{hangs} hangs: the modal is late");
            assert!(format!("{modal:?}").contains("checkout"), "what is known is in it");
        }
        assert_eq!(cd.sends(), 0);
        slack.clear_faults();
        cd.release();
    }
}

#[tokio::test]
async fn socket_mode_needs_no_address_and_no_signing_secret() {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    let more = [("SLACK_APP_TOKEN", "xapp-local-slack"), ("SLACK_SIGNING_SECRET", "")];
    let service = Service::start_with(&slack, &yaml(address, 0), server, &more).await;
    let posted = client().post(service.callbacks()).send().await.unwrap();
    assert_eq!(posted.status().as_u16(), 404, "without its secret nobody can sign");
    let stage = stage(&slack, &cd, service);
    stage.report().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up 4x").await;
    stage.reaches(StateName::Succeeded).await;
}

#[tokio::test]
async fn without_a_workspace_in_the_file_slack_is_asked_until_it_answers() {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    slack.fail_next(Fault::server_error().on("auth.test").times(6));
    let yaml = yaml(address, 0).replace(", workspace: T0ACME", "");
    let service = Service::start_with(&slack, &yaml, server, &[]).await;
    slack.set_interactivity_url(service.callbacks());
    // Until then no click is taken, and Slack is told so.
    while client().post(service.callbacks()).send().await.unwrap().status().as_u16() == 503 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let stage = stage(&slack, &cd, service);
    stage.report().await;
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up 4x").await;
    stage.reaches(StateName::Succeeded).await;
}

#[tokio::test]
async fn a_required_audit_file_that_cannot_be_written_stops_every_rollback() {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    let yaml = yaml(address, 0).replace("settle: 200ms", "settle: 200ms, check_within: 2s");
    let service = Service::start_with(&slack, &yaml, server, &[]).await;
    slack.set_interactivity_url(service.callbacks());
    service.report(deploy("ci-4711", "42", "2.14.0")).await;
    let modal = open_modal(&slack).await;
    let path = service.folder.path().join("audit.jsonl");
    std::fs::remove_file(&path).ok();
    std::fs::create_dir(&path).unwrap();
    slack.submit(OWNER, &modal.id, &[("reason", "errors up 4x")]).await.unwrap();
    let rollback = ended(&service).await;
    assert_eq!(rollback["state"], "refused", "{rollback}");
    assert_eq!(cd.sends(), 0);
}

#[tokio::test]
async fn whatever_is_missing_is_told_at_once_and_nothing_is_started() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rollback.yaml"), "slack: {channel: \"#deploys\"}\n")
        .unwrap();
    let told = run(folder.path(), &[], &[]);
    assert_eq!(told.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&told.stderr);
    for part in [
        "rollback.yaml:1:18: slack.channel:",
        "the key `services` is missing",
        "`SLACK_BOT_TOKEN` is not set",
        "`SLACK_SIGNING_SECRET` is not set",
        "`ROLLBACK_API_TOKEN` is not set",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing was made");
}

#[tokio::test]
async fn a_token_that_slack_does_not_take_ends_the_start_with_the_remedy() {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    let folder = tempfile::tempdir().unwrap();
    let yaml = yaml(address, 0).replace(", workspace: T0ACME", "");
    std::fs::write(folder.path().join("rollback.yaml"), yaml).unwrap();
    let api = slack.api_url();
    let path = folder.path().to_owned();
    let ended = tokio::task::spawn_blocking(move || {
        run(
            &path,
            &["--listen", "127.0.0.1:0"],
            &[
                ("SLACK_BOT_TOKEN", "xoxb-canary"),
                ("SLACK_SIGNING_SECRET", SECRET),
                ("ROLLBACK_API_TOKEN", API_TOKEN),
                ("SLACK_API_URL", &api),
                ("CD_TOKEN", CD_TOKEN),
            ],
        )
    });
    let ended = ended.await.unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("give another one in `SLACK_BOT_TOKEN`"), "{stderr}");
    assert!(!stderr.contains("canary"), "{stderr}");
    server.abort();
}

#[tokio::test]
async fn traces_go_to_opentelemetry_when_its_variables_ask_for_it() {
    use axum::body::Bytes;
    use std::sync::Mutex;
    let got: Arc<Mutex<Vec<u8>>> = Arc::default();
    let taken = Arc::clone(&got);
    let collector = axum::Router::new().route(
        "/v1/traces",
        axum::routing::post(move |body: Bytes| async move {
            taken.lock().unwrap().extend_from_slice(&body);
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collecting = tokio::spawn(async move { axum::serve(listener, collector).await });
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    let more = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_SERVICE_NAME", "checkout-rollback"),
    ];
    let mut service = Service::start_with(&slack, &yaml(address, 0), server, &more).await;
    slack.set_interactivity_url(service.callbacks());
    service.report(deploy("ci-4711", "42", "2.14.0")).await;
    let modal = open_modal(&slack).await;
    slack.submit(OWNER, &modal.id, &[("reason", "errors up 4x")]).await.unwrap();
    ended(&service).await;
    assert_eq!(service.terminate().await, Some(0));
    let text = String::from_utf8_lossy(&got.lock().unwrap()).into_owned();
    for part in ["checkout-rollback", "/v1/deploys", "work", "standing", "observe"] {
        assert!(text.contains(part), "{part} is not among the traces");
    }
    for secret in [TOKEN, SECRET, API_TOKEN, CD_TOKEN] {
        assert!(!text.contains(secret), "a secret is in the traces");
    }
    collecting.abort();
    let _backend: &dyn CdBackend = cd.as_ref();
}
