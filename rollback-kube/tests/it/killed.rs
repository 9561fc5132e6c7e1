//! `kill -9` of a real rollback service that works on a real cluster, and the one that follows it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and a child says where it listens"
)]

use crate::stage;
use crate::stage::{Stage, WallClock, key};
use embedding::{rollback, serve};
use kube_lab::{Behaviour, Lab};
use local_slack::{Channel, LocalSlack, Options, User};
use rollback_core::access::{AccessPolicy, Principal, Rule};
use rollback_core::audit::{Kind as Entry, Verifier};
use rollback_core::ports::{AuditLog as _, CdBackend, Clock as _, Query};
use rollback_core::{Deploy, Migrations};
use rollback_engine::{Catalog, ServiceConfig};
use rollback_kube::{Config, Kind, Workload};
use rollback_slack::SlackOptions;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const OWNER: &str = "U02ANA";
const CHANNEL: &str = "C0DEPLOYS";
const TEAM: &str = "T0ACME";
const TOKEN: &str = "xoxb-local-1";
const SECRET: &str = "a-signing-secret";
/// Long enough for a claim of a process that died to run out.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where a process of its own is told what to do.
const CHILD: &str = "ROLLBACK_KUBE_CHILD";
/// How it says where it listens.
const LISTENS: &str = "listens at ";

/// Not a test of its own: the rollback service that the others kill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_service_that_is_killed() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let told: Value = serde_json::from_str(&told).unwrap();
    let text = |field: &str| told.get(field).unwrap().as_str().unwrap().to_owned();
    let mut access = AccessPolicy::default();
    access.workspaces.insert(TEAM.parse().unwrap());
    let owners = vec![Principal::User(OWNER.parse().unwrap())];
    access.owners.push(Rule::for_service("owners", &key().service, owners));
    let mut service = ServiceConfig::new("cluster".parse().unwrap(), CHANNEL.parse().unwrap());
    service.limits.settle = Duration::from_millis(200);
    let catalog = Catalog::new(access).with(key(), service);
    let kind: Kind = text("kind").parse().unwrap();
    let workload = Workload::new(kind, text("namespace"), "web");
    let config = Config::new(key(), workload, Arc::new(WallClock));
    let kubeconfig = PathBuf::from(text("kubeconfig"));
    let backend: Arc<dyn CdBackend> = Arc::new(stage::connect(&kubeconfig, config).await);
    let mut slack = SlackOptions::new(TOKEN, SECRET, TEAM.parse().unwrap());
    slack.web_api.base_url = text("slack");
    let backends = vec![("cluster".parse().unwrap(), backend)];
    let database = text("database").into();
    let (running, routes) = rollback(slack, database, catalog, backends).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{LISTENS}{}", listener.local_addr().unwrap());
    // The same deploy again is harmless.
    let mut deploy = Deploy::new("ci-3".parse().unwrap(), key(), "1.0.3", WallClock.now());
    deploy.migrations = Migrations::Known(Vec::new());
    running.engine().deployed(deploy).await.unwrap();
    serve(running, routes, listener, std::future::pending()).await.unwrap();
}

struct Play {
    stage: Stage,
    slack: LocalSlack,
    folder: tempfile::TempDir,
}

impl Play {
    async fn of(lab: &'static Lab, kind: Kind) -> Self {
        let stage = Stage::set(lab, kind).await;
        let mut people = Options::default()
            .user(User::new(OWNER, "Ana"))
            .channel(Channel::new(CHANNEL, "deploys"));
        people.bot_token = TOKEN.into();
        people.signing_secret = SECRET.into();
        people.team_id = TEAM.into();
        let slack = LocalSlack::start(people).await.unwrap();
        Self { stage, slack, folder: tempfile::tempdir().unwrap() }
    }

    async fn start(&self) -> Child {
        let told = json!({
            "kind": self.stage.kind.as_str(),
            "namespace": self.stage.space.name(),
            "kubeconfig": self.stage.kubeconfig.display().to_string(),
            "database": self.database().display().to_string(),
            "slack": self.slack.api_url(),
        });
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::a_rollback_service_that_is_killed", "--nocapture"])
            .env(CHILD, told.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        loop {
            let line = lines.next_line().await.unwrap().expect("the service ended at its start");
            if let Some((_, address)) = line.split_once(LISTENS) {
                self.slack.set_interactivity_url(format!("http://{address}/slack/interactivity"));
                return child;
            }
        }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("rollback.db")
    }

    async fn click_and_confirm(&self) {
        let message = self.slack.wait_until(PATIENCE, |slack| {
            let mut messages = slack.messages(CHANNEL).into_iter();
            messages.find(|message| message.element("rollback_open").is_some())
        });
        let ts = message.await.unwrap().ts;
        self.slack.click(OWNER, CHANNEL, &ts, "rollback_open").await.unwrap();
        let modal = self.slack.wait_until(PATIENCE, |slack| {
            let view = slack.views(OWNER).pop()?;
            let is_reason = |block: &Value| block.get("block_id").is_some_and(|id| id == "reason");
            view.blocks().iter().any(is_reason).then_some(view.id)
        });
        let modal = modal.await.unwrap();
        self.slack.submit(OWNER, &modal, &[("reason", "errors up 4x")]).await.unwrap();
    }

    async fn thread_says(&self, text: &str) -> Vec<String> {
        let told = self.slack.wait_until(PATIENCE, |slack| {
            let parent = slack.messages(CHANNEL).into_iter().next()?.ts;
            let thread = slack.thread(CHANNEL, &parent);
            let lines: Vec<String> = thread.iter().map(|line| line.all_text()).collect();
            lines.iter().any(|line| line.contains(text)).then_some(lines)
        });
        told.await.unwrap_or_else(|late| panic!("the thread never said {text:?}: {late}"))
    }

    /// What the audit trail says, after its chain was checked.
    async fn audited(&self, mut service: Child) -> Vec<Entry> {
        service.kill().await.unwrap();
        let options = rollback_store::Options::default();
        let store = rollback_store::SqliteStore::open(self.database(), options).await.unwrap();
        let records = store.audit(&Query::all(200)).await.unwrap();
        let mut verifier = Verifier::new(rollback_store::CHAIN_DEFAULT);
        for record in &records {
            verifier.check(record).unwrap();
        }
        records.iter().map(|record| record.draft.kind).collect()
    }

    /// Told once each, ordered once, and done.
    async fn ended_well(&self, service: Child) {
        let lines = self.thread_says("healthy").await;
        let different: std::collections::BTreeSet<_> = lines.iter().collect();
        assert_eq!(different.len(), lines.len(), "a line is there twice: {lines:#?}");
        let wire = &self.stage.wire;
        assert_eq!((wire.orders(), wire.carried_out()), (1, 1));
        let audited = self.audited(service).await;
        assert_eq!(audited.iter().filter(|entry| **entry == Entry::Triggered).count(), 1);
        assert_eq!(audited.last(), Some(&Entry::Succeeded), "{audited:?}");
    }
}

#[tokio::test]
async fn a_service_killed_with_its_patch_on_the_way_is_followed_by_one_that_finds_it() {
    let Some(lab) = Lab::shared("kill -9 with the patch on its way") else { return };
    for kind in stage::KINDS {
        let play = Play::of(lab, kind).await;
        let target = play.stage.back_by_one().await.to().revision.clone();
        let mut first = play.start().await;
        play.stage.wire.hold_next_order();
        play.click_and_confirm().await;
        let wire = &play.stage.wire;
        play.stage.wait("the order is on its way", async || (wire.held() > 0).then_some(())).await;
        first.kill().await.unwrap();
        // It arrives all the same, and nobody hears the answer.
        assert_eq!(wire.release().await, [200]);
        let second = play.start().await;
        play.ended_well(second).await;
        assert_eq!(play.stage.truth().await, Some(target));
    }
}

#[tokio::test]
async fn a_service_killed_while_the_pods_come_up_is_followed_by_one_that_sees_them_ready() {
    let Some(lab) = Lab::shared("kill -9 in the middle of a rollout") else { return };
    let play = Play::of(lab, Kind::Deployment).await;
    play.stage.befall_earlier(Behaviour::NeverReady);
    let mut first = play.start().await;
    play.click_and_confirm().await;
    let wire = &play.stage.wire;
    play.stage.wait("the order", async || (wire.carried_out() > 0).then_some(())).await;
    first.kill().await.unwrap();
    play.stage.befall_earlier(Behaviour::Ready);
    // All of it happens while nobody looks.
    play.stage.rolled_out().await;
    let second = play.start().await;
    play.ended_well(second).await;
}
