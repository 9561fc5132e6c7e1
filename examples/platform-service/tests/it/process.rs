//! The process itself: its files, its log that nobody reads, and what it says of what blocks a rollback.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::future_not_send,
    reason = "a test fails by panicking"
)]

use crate::stage::service::{API_TOKEN, CD_TOKEN, Service, client, report_of, serve_cd, yaml};
use crate::stage::{Host, Stage, cd, deploy};
use local_slack::{Fault, LocalSlack};
use rollback_audit::{Signer, SigningKey};
use rollback_core::audit::{Checkpoint, Head};
use rollback_core::ports::CheckpointSigner as _;
use rollback_core::{StateName, Timestamp};
use rollback_testkit::fakes::{FakeBackend, Fault as CdFault, Method};
use serde_json::Value;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use team::{OWNER, PATIENCE, SECRET, TOKEN, people};

/// A service with one rollback that has ended well.
async fn rolled_back() -> Stage {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let service = Service::start(&slack, &cd, 0).await;
    slack.set_interactivity_url(service.callbacks());
    let stage = Stage { slack: slack.into(), cd, host: Box::new(service) };
    roll_back(&stage).await;
    stage
}

async fn roll_back(stage: &Stage) {
    stage.report().await;
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up 4x").await;
    stage.reaches(StateName::Succeeded).await;
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_platform-service"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("CD_TOKEN", CD_TOKEN)
        .output()
        .expect("a process")
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// A service that was stopped in good order after one rollback.
async fn stopped() -> tempfile::TempDir {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let service = Service::start(&slack, &cd, 0).await;
    slack.set_interactivity_url(service.callbacks());
    let modal = {
        service.report(deploy("ci-4711", "42", "2.14.0")).await;
        let team: team::Team = slack.clone().into();
        team.deploy_message().await;
        let modal = team.open(OWNER).await;
        team.confirm(OWNER, &modal, "errors up 4x").await;
        modal
    };
    drop(modal);
    let mut service = service;
    until(|| async { service.states().await == [StateName::Succeeded] }).await;
    assert_eq!(service.terminate().await, Some(0));
    service.into_folder()
}

async fn until<F: Future<Output = bool>>(holds: impl Fn() -> F) {
    let holding = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, holding).await.expect("it never held");
}

#[tokio::test]
async fn what_is_left_after_sigterm_is_one_whole_file() {
    let folder = stopped().await;
    let there = |name: &str| folder.path().join(name).exists();
    assert!(there("rollback.db") && !there("rollback.db-wal") && !there("rollback.db-shm"));
    let alone = tempfile::tempdir().unwrap();
    for name in ["rollback.db", "rollback.yaml", "audit.jsonl"] {
        std::fs::copy(folder.path().join(name), alone.path().join(name)).unwrap();
    }
    let verdict = run(alone.path(), &["audit", "verify"]);
    let told: Value = serde_json::from_slice(&verdict.stdout).unwrap();
    assert!(verdict.status.success() && told["records"].as_u64() > Some(5), "{told}");
    // Whoever only looked leaves one file, too.
    assert!(!alone.path().join("rollback.db-wal").exists());
    let verified = run(alone.path(), &["verify"]);
    assert!(verified.status.success(), "{}", said(&verified));
    assert!(!alone.path().join("rollback.db-wal").exists());
}

#[tokio::test]
async fn a_store_that_lost_what_its_audit_file_has_is_told_by_both_verifiers() {
    let folder = stopped().await;
    std::fs::remove_file(folder.path().join("rollback.db")).unwrap();
    // A service that is started and stopped makes an empty one, as a restore of the wrong file would.
    let store = folder.path().join("rollback.db");
    let opened = rollback_store::SqliteStore::open(store, rollback_store::Options::default()).await;
    opened.unwrap().close().await;
    for arguments in [&["verify"][..], &["audit", "verify"]] {
        let verdict = run(folder.path(), arguments);
        let told = said(&verdict);
        assert!(!verdict.status.success(), "{arguments:?}: {told}");
        assert!(told.contains("audit.jsonl"), "{arguments:?}: {told}");
    }
}

#[tokio::test]
async fn an_empty_log_is_not_called_good() {
    let folder = tempfile::tempdir().unwrap();
    let text = yaml("127.0.0.1:1".parse().unwrap(), 0);
    std::fs::write(folder.path().join("rollback.yaml"), text).unwrap();
    let path = folder.path().join("rollback.db");
    let open =
        || rollback_store::SqliteStore::open(path.clone(), rollback_store::Options::default());
    open().await.unwrap().close().await;
    for arguments in [&["verify"][..], &["audit", "verify"]] {
        let never = run(folder.path(), arguments);
        let told = said(&never);
        assert!(!never.status.success(), "{arguments:?}: {told}");
        assert!(told.contains("no service has run with this store"), "{arguments:?}: {told}");
    }
    let store = open().await.unwrap();
    rollback_core::ports::Store::ping(&store).await.unwrap();
    store.close().await;
    for arguments in [&["verify"][..], &["audit", "verify"]] {
        let ran = run(folder.path(), arguments);
        let told = said(&ran);
        assert!(!ran.status.success(), "{arguments:?}: {told}");
        assert!(told.contains("a service has run with this store"), "{arguments:?}: {told}");
    }
}

#[tokio::test]
async fn a_log_of_sqlite_that_is_garbage_is_told() {
    let folder = stopped().await;
    std::fs::write(folder.path().join("rollback.db-wal"), "garbage ".repeat(4_096)).unwrap();
    for arguments in [&["verify"][..], &["audit", "verify"]] {
        let verdict = run(folder.path(), arguments);
        let told = said(&verdict);
        assert!(!verdict.status.success(), "{arguments:?}: {told}");
        assert!(told.contains("rollback.db-wal"), "{arguments:?}: {told}");
    }
    assert!(folder.path().join("rollback.db-wal").exists(), "nothing was changed");
}

#[tokio::test]
async fn a_database_file_that_is_replaced_makes_it_unready_and_is_told_by_name() {
    let stage = rolled_back().await;
    let Stage { slack, cd, host } = stage;
    drop(host);
    let (address, server) = serve_cd(&cd).await;
    let service = Service::start_with(&slack, &yaml(address, 0), server, &[]).await;
    let status =
        async |path: &str| client().get(service.url(path)).send().await.unwrap().status().as_u16();
    assert_eq!(status("/readyz").await, 200);
    let there = service.folder.path().join("rollback.db");
    let other = service.folder.path().join("other.db");
    std::fs::copy(&there, &other).unwrap();
    std::fs::rename(&other, &there).unwrap();
    until(|| async { status("/readyz").await == 503 }).await;
    assert_eq!(status("/healthz").await, 200);
    let told = service.get("/v1/status").await;
    assert_eq!(told["blockers"][0]["kind"], "store", "{told}");
    assert!(told["blockers"][0]["why"].as_str().unwrap().contains("was replaced"), "{told}");
    let metrics = service.get("/metrics").await;
    assert!(metrics.as_str().unwrap().contains("rollback_store_up 0"), "{metrics}");
    let (code, answer) =
        service.post("/v1/deploys", &report_of(&deploy("ci-1", "42", "2.14.0"))).await;
    assert!(code >= 500, "{code} {answer}");
}

/// The lock is on the file itself: neither another name of it nor a deleted file beside it is a way in.
#[tokio::test]
async fn no_second_process_gets_the_file_under_another_name_or_without_its_lock() {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let service = Service::start(&slack, &cd, 0).await;
    let folder = service.folder.path();
    std::fs::remove_file(folder.join("rollback.db.lock")).unwrap();
    std::fs::hard_link(folder.join("rollback.db"), folder.join("other.db")).unwrap();
    for address in ["sqlite://rollback.db", "sqlite://other.db"] {
        let second = Command::new(env!("CARGO_BIN_EXE_platform-service"))
            .args(["verify"])
            .current_dir(folder)
            .env_clear()
            .envs([("CD_TOKEN", CD_TOKEN), ("DATABASE_URL", address)])
            .output()
            .unwrap();
        let told = said(&second);
        assert!(!second.status.success() && told.contains("in use by"), "{address}: {told}");
    }
    service.report(deploy("ci-4711", "42", "2.14.0")).await;
}

#[tokio::test]
async fn what_blocks_a_rollback_is_told_by_name_and_requests_are_still_taken() {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    let yaml = yaml(address, 0).replace("C0DEPLOYS,", "C0DEPLOYS, on_call: C0DEPLOYS,");
    let service = Service::start_with(&slack, &yaml, server, &[]).await;
    slack.set_interactivity_url(service.callbacks());
    service.report(deploy("ci-4711", "42", "2.14.0")).await;
    let blockers = async || {
        let status = service.get("/v1/status").await;
        let all = status["blockers"].as_array().cloned().unwrap_or_default();
        let name = |it: &Value| format!("{}/{}", it["kind"], it["name"]).replace('"', "");
        all.iter().map(name).collect::<Vec<_>>()
    };
    until(|| async { blockers().await.is_empty() }).await;
    for method in [Method::Live, Method::History, Method::Preflight] {
        (0..10_000).for_each(|_| cd.fail(method, CdFault::Hang));
    }
    slack.fail_next(Fault::server_error().times(100_000));
    let audit = service.folder.path().join("audit.jsonl");
    std::fs::remove_file(&audit).ok();
    std::fs::create_dir(&audit).unwrap();
    let expected = ["cd/inhouse", "chat/slack", "audit_sink/file"];
    until(|| async {
        let now = blockers().await;
        expected.iter().all(|name| now.iter().any(|it| it == name))
    })
    .await;
    let metrics = service.get("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("rollback_blocked{kind=\"cd\",name=\"inhouse\"} 1"), "{metrics}");
    assert!(metrics.contains("rollback_store_up 1"), "{metrics}");
    for path in ["/readyz", "/healthz"] {
        let status = client().get(service.url(path)).send().await.unwrap().status().as_u16();
        assert_eq!(status, 200, "{path}");
    }
    let unauthorized = client().get(service.url("/v1/status")).send().await.unwrap();
    assert_eq!(unauthorized.status().as_u16(), 401);

    // All of it is over.
    std::fs::remove_dir(&audit).unwrap();
    slack.clear_faults();
    cd.clear_faults();
    until(|| async { blockers().await.is_empty() }).await;
}

/// Rights are read from the directory: one that knows nobody lets nobody in, and nobody needs to click
/// to find that out, nor that it is over.
#[tokio::test]
async fn a_directory_that_does_not_answer_blocks_until_it_answers_again_whoever_clicks() {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let service = Service::start(&slack, &cd, 0).await;
    let blockers = async || {
        let status = service.get("/v1/status").await;
        let all = status["blockers"].as_array().cloned().unwrap_or_default();
        all.iter().map(|it| it["kind"].to_string().replace('"', "")).collect::<Vec<_>>()
    };
    until(|| async { blockers().await.is_empty() }).await;
    slack.fail_next(Fault::server_error().on("users.info").times(100_000));
    until(|| async { blockers().await == ["directory"] }).await;
    slack.clear_faults();
    until(|| async { blockers().await.is_empty() }).await;
}

/// Whatever runs the service starts it anew, where one that served on would stay as it is.
#[tokio::test]
async fn an_engine_that_cannot_start_ends_the_process_with_its_reason() {
    let folder = stopped().await;
    let db = rusqlite::Connection::open(folder.path().join("rollback.db")).unwrap();
    let last = "UPDATE audit SET record = '{' WHERE sequence = (SELECT max(sequence) FROM audit)";
    assert_eq!(db.execute(last, []).unwrap(), 1);
    drop(db);
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    std::fs::write(folder.path().join("rollback.yaml"), yaml(address, 0)).unwrap();
    let mut service = Service::start_in(folder, &slack, server, &[]).await;
    let code = service.ended().await;
    let logs = service.logs.lock().unwrap().clone();
    assert_eq!(code, Some(1), "{logs}");
    assert!(logs.contains("the store could not be read at the start"), "{logs}");
}

/// What was not compared may be lost, and is not called good.
#[tokio::test]
async fn what_verify_could_not_compare_is_said_and_has_a_code_of_its_own() {
    let folder = stopped().await;
    let path = folder.path().join("rollback.yaml");
    let key = run(folder.path(), &["audit", "key", "--name", "example.com/audit", "--out", "key"]);
    assert!(key.status.success(), "{}", said(&key));
    let whole = run(folder.path(), &["verify"]);
    assert_eq!(whole.status.code(), Some(0), "{}", said(&whole));

    // The copy is configured, and is not there.
    std::fs::rename(folder.path().join("audit.jsonl"), folder.path().join("away")).unwrap();
    let without = run(folder.path(), &["verify"]);
    let told = said(&without);
    assert_eq!(without.status.code(), Some(3), "{told}");
    assert!(told.contains("not compared") && told.contains("audit.jsonl"), "{told}");
    let without = run(folder.path(), &["audit", "verify"]);
    let told = said(&without);
    assert_eq!(without.status.code(), Some(7), "{told}");
    assert!(told.contains("audit.jsonl"), "{told}");
    std::fs::rename(folder.path().join("away"), folder.path().join("audit.jsonl")).unwrap();

    // Checkpoints are configured, and there is none, or whoever verifies does not have the key.
    let text = std::fs::read_to_string(&path).unwrap();
    let signed = text.replace(
        "file: {path: audit.jsonl}",
        "file: {path: audit.jsonl}, checkpoints: {key_file: key, file: checkpoints}",
    );
    assert_ne!(signed, text);
    std::fs::write(&path, &signed).unwrap();
    let with = run(folder.path(), &["verify"]);
    let told = said(&with);
    assert_eq!(with.status.code(), Some(3), "{told}");
    assert!(told.contains("not compared") && told.contains("there is none"), "{told}");
    std::fs::rename(folder.path().join("key"), folder.path().join("other-key")).unwrap();
    let without = run(folder.path(), &["verify"]);
    let told = said(&without);
    assert_eq!(without.status.code(), Some(1), "{told}");
    assert!(told.contains("the file `key` holds no secret"), "{told}");

    // With the key, a note that nobody signed with it is an error.
    let sign = |key: &str| {
        let text = std::fs::read_to_string(folder.path().join(key)).unwrap();
        let key = SigningKey::parse(text.trim()).unwrap();
        let (head, at) = (Head::genesis("default"), Timestamp::from_millis(0));
        Signer::new(key).sign(Checkpoint::new(head, at, at)).unwrap()
    };
    let other =
        run(folder.path(), &["audit", "key", "--name", "example.com/audit", "--out", "key"]);
    assert!(other.status.success(), "{}", said(&other));
    let note = sign("other-key").note;
    std::fs::write(folder.path().join("checkpoints"), format!("{note}\n")).unwrap();
    let forged = run(folder.path(), &["verify"]);
    let told = said(&forged);
    assert_eq!(forged.status.code(), Some(1), "{told}");
    assert!(told.contains("checkpoints") && told.contains("not ours"), "{told}");
}

/// The process with a log that nobody reads, at an address of its own.
struct Unread {
    child: Child,
    address: String,
    folder: tempfile::TempDir,
    cd: tokio::task::JoinHandle<()>,
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.cd.abort();
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Unread {
    async fn start(slack: &LocalSlack, cd: &Arc<FakeBackend>) -> Self {
        let (address, cd) = serve_cd(cd).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rollback.yaml"), yaml(address, 0)).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_platform-service"))
            .args(["--config", "rollback.yaml", "--listen", &port.to_string()])
            .current_dir(folder.path())
            .env_clear()
            .envs([
                ("SLACK_BOT_TOKEN", TOKEN),
                ("SLACK_SIGNING_SECRET", SECRET),
                ("SLACK_API_URL", slack.api_url().as_str()),
                ("ROLLBACK_API_TOKEN", API_TOKEN),
                ("CD_TOKEN", CD_TOKEN),
                ("RUST_LOG", "trace"),
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let unread = Self { child, address: format!("http://{port}"), folder, cd };
        until(|| async {
            let asked = client().get(format!("{}/healthz", unread.address)).send().await;
            asked.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        unread
    }

    /// Far more lines than a pipe holds, and than are kept for a reader that comes late.
    async fn make_noise(&self) {
        let client = client();
        for _round in 0..200 {
            let mut asked = tokio::task::JoinSet::new();
            for _request in 0..20 {
                let url = format!("{}/v1/rollbacks?{}", self.address, "x".repeat(1_000));
                asked.spawn(client.get(url).timeout(Duration::from_secs(10)).send());
            }
            while let Some(answer) = asked.join_next().await {
                assert!(answer.unwrap().is_ok(), "it did not answer");
            }
        }
    }

    async fn get(&self, path: &str) -> Value {
        let asked = client().get(format!("{}{path}", self.address)).bearer_auth(API_TOKEN);
        let asked = asked.timeout(Duration::from_secs(10)).send().await;
        let text = asked.expect("an answer").text().await.expect("a body");
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }
}

#[tokio::test]
async fn a_reader_of_the_log_that_stalls_stops_nothing() {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let mut service = Unread::start(&slack, &cd).await;
    slack.set_interactivity_url(format!("{}/slack/interactivity", service.address));
    service.make_noise().await;
    let report = report_of(&deploy("ci-4711", "42", "2.14.0"));
    let url = format!("{}/v1/deploys", service.address);
    let reported = client().post(url).bearer_auth(API_TOKEN).json(&report).send().await.unwrap();
    assert_eq!(reported.status().as_u16(), 201);
    let team: team::Team = slack.clone().into();
    team.deploy_message().await;
    let modal = team.open(OWNER).await;
    team.confirm(OWNER, &modal, "errors up 4x").await;
    until(|| async { service.get("/v1/rollbacks").await["rollbacks"][0]["state"] == "succeeded" })
        .await;
    let metrics = service.get("/metrics").await;
    let dropped = metrics.as_str().unwrap().lines().find_map(|line| {
        line.strip_prefix("rollback_log_lines_total{kind=\"dropped\"} ")?.parse::<u64>().ok()
    });
    assert!(dropped > Some(0), "{metrics}");
    // It ends although nobody has read a word, and the store is closed.
    let pid = service.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let began = Instant::now();
    let code = loop {
        if let Some(status) = service.child.try_wait().unwrap() {
            break status.code();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it did not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(code, Some(0));
    assert!(!service.folder.path().join("rollback.db-wal").exists());
}

/// Whoever reads again is told how much is missing.
#[tokio::test]
async fn a_reader_who_comes_back_is_told_how_many_lines_are_missing() {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let mut service = Unread::start(&slack, &cd).await;
    service.make_noise().await;
    let mut stderr = service.child.stderr.take().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut all, mut some) = (Vec::new(), [0_u8; 65_536]);
        while let Ok(read @ 1..) = stderr.read(&mut some) {
            all.extend_from_slice(&some[..read]);
            let text = String::from_utf8_lossy(&all);
            if text.contains("lines of the log were dropped") {
                let _gone = tell.send(());
                return;
            }
        }
    });
    let told = tokio::task::spawn_blocking(move || told.recv_timeout(PATIENCE));
    told.await.unwrap().expect("it is told");
}

#[tokio::test]
async fn a_store_address_that_is_refused_is_left_as_it_is() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").args(["-m", "666"]).arg(&pipe).status().unwrap().success());
    for (address, told) in
        [("sqlite://pipe", "no regular file"), ("\"sqlite://:memory:\"", "forgets everything")]
    {
        let text = yaml("127.0.0.1:1".parse().unwrap(), 0).replace("sqlite://rollback.db", address);
        std::fs::write(folder.path().join("rollback.yaml"), text).unwrap();
        let refused = Command::new(env!("CARGO_BIN_EXE_platform-service"))
            .args(["--listen", "127.0.0.1:0"])
            .current_dir(folder.path())
            .env_clear()
            .envs([
                ("SLACK_BOT_TOKEN", TOKEN),
                ("SLACK_SIGNING_SECRET", SECRET),
                ("SLACK_API_URL", "http://127.0.0.1:1/"),
                ("ROLLBACK_API_TOKEN", API_TOKEN),
                ("CD_TOKEN", CD_TOKEN),
            ])
            .output()
            .unwrap();
        assert!(!refused.status.success() && said(&refused).contains(told), "{}", said(&refused));
    }
    assert_eq!(std::fs::metadata(&pipe).unwrap().permissions().mode() & 0o777, 0o666);
    let names = std::fs::read_dir(folder.path()).unwrap().flatten().map(|it| it.file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["pipe", "rollback.yaml"]);
}
