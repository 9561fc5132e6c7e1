//! The whole product on a real cluster: the report of a deploy, a click in Slack, the confirmation,
//! the phases in the thread, the audit trail; and what goes wrong in the middle.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod stage;

use embedding::{Settings, rollback};
use kube_lab::{Behaviour, Server};
use local_slack::{Channel, LocalSlack, Message, Options, User};
use rollback_core::access::{AccessPolicy, Principal, Rule};
use rollback_core::audit::{Kind as Entry, Verifier};
use rollback_core::ports::{CdBackend, Clock as _, Query, Store as _};
use rollback_core::{Deploy, Deployer, Migrations, RevisionId, RollbackView, StateName};
use rollback_engine::{Catalog, Engine, ServiceConfig};
use stage::{BOTH, Helm, Stage, WallClock, key, peers};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

const OWNER: &str = "U02ANA";
const CHANNEL: &str = "C0DEPLOYS";
const TEAM: &str = "T0ACME";
const TOKEN: &str = "xoxb-local-1";
const SECRET: &str = "a-signing-secret";
/// Long enough for a claim of a process that died to run out.
const PATIENCE: Duration = Duration::from_secs(180);

/// Who kills a server has the cluster alone.
static CLUSTER: RwLock<()> = RwLock::const_new(());

async fn shared() -> RwLockReadGuard<'static, ()> {
    CLUSTER.read().await
}

async fn alone() -> RwLockWriteGuard<'static, ()> {
    CLUSTER.write().await
}

struct Product {
    stage: Stage,
    slack: LocalSlack,
    folder: tempfile::TempDir,
}

/// One process of the rollback service: its tasks are gone when this is.
struct Process {
    engine: Engine,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn catalog() -> Catalog {
    let mut access = AccessPolicy::default();
    access.workspaces.insert(TEAM.parse().unwrap());
    let owners = vec![Principal::User(OWNER.parse().unwrap())];
    access.owners.push(Rule::for_service("owners", &key().service, owners));
    let mut service = ServiceConfig::new("cluster".parse().unwrap(), CHANNEL.parse().unwrap());
    service.limits.settle = Duration::from_millis(200);
    Catalog::new(access).with(key(), service)
}

impl Product {
    /// Revision 3 is live, and has been reported.
    async fn open(lab: &'static kube_lab::Lab, folder: &Path, helm: Helm) -> (Self, Process) {
        let stage = Stage::set(lab, folder, helm).await;
        let mut people = Options::default()
            .user(User::new(OWNER, "Ana"))
            .channel(Channel::new(CHANNEL, "deploys"));
        people.bot_token = TOKEN.into();
        people.signing_secret = SECRET.into();
        people.team_id = TEAM.into();
        let slack = LocalSlack::start(people).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let product = Self { stage, slack, folder };
        let process = product.start().await;
        product.report(&process, 3).await;
        (product, process)
    }

    async fn start(&self) -> Process {
        let settings = Settings {
            bot_token: TOKEN.into(),
            signing_secret: SECRET.into(),
            workspace: TEAM.parse().unwrap(),
            database: self.folder.path().join("rollback.db"),
            slack_api: self.slack.api_url(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (kubeconfig, mut config) = (self.stage.kubeconfig.clone(), self.stage.config());
        config.start_within = Duration::from_secs(8);
        config.timeout = Duration::from_secs(80);
        let started = runtime.spawn(async move {
            let backend: Arc<dyn CdBackend> = Arc::new(stage::connect(&kubeconfig, config).await);
            let backends = vec![("cluster".parse().unwrap(), backend)];
            let (engine, routes) = rollback(settings, catalog(), backends).await.unwrap();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move { axum::serve(listener, routes).await });
            let running = engine.clone();
            tokio::spawn(async move { running.run(std::future::pending()).await });
            (engine, address)
        });
        let (engine, address) = started.await.unwrap();
        self.slack.set_interactivity_url(format!("http://{address}/slack/interactivity"));
        Process { engine, runtime: Some(runtime) }
    }

    /// As a CI job would, that knows no revision: the cluster is asked.
    async fn report(&self, process: &Process, number: u32) {
        let id = format!("ci-{number}").parse().unwrap();
        let mut deploy = Deploy::new(id, key(), format!("1.0.{number}"), WallClock.now());
        deploy.migrations = Migrations::Known(Vec::new());
        let mut deployer = Deployer::default();
        deployer.slack_user_id = Some(OWNER.parse().unwrap());
        deploy.deployer = Some(deployer);
        process.engine.deployed(deploy).await.unwrap();
    }

    async fn message(&self, text: &str) -> Message {
        let found = self.slack.wait_until(PATIENCE, |slack| {
            slack.messages(CHANNEL).into_iter().find(|message| message.all_text().contains(text))
        });
        found.await.unwrap_or_else(|late| panic!("no message ever said {text:?}: {late}"))
    }

    /// Clicks, and waits for the modal that can be submitted; gives its id.
    async fn click(&self) -> String {
        let message = self.slack.wait_until(PATIENCE, |slack| {
            let mut messages = slack.messages(CHANNEL).into_iter();
            messages.find(|message| message.element("rollback_open").is_some())
        });
        let ts = message.await.unwrap().ts;
        self.slack.click(OWNER, CHANNEL, &ts, "rollback_open").await.unwrap();
        let modal = self.slack.wait_until(PATIENCE, |slack| {
            let mut views = slack.views(OWNER).into_iter();
            views.find(|view| format!("{view:?}").contains("\"submit\": Object"))
        });
        modal.await.unwrap_or_else(|late| panic!("no modal to submit: {late}")).id
    }

    async fn confirm(&self, modal: &str) {
        self.slack.submit(OWNER, modal, &[("reason", "errors up 4x")]).await.unwrap();
    }

    async fn reaches(&self, process: &Process, state: StateName) -> RollbackView {
        let reached = tokio::time::timeout(PATIENCE, async {
            loop {
                let views = process.engine.rollbacks(&Query::all(1)).await.unwrap();
                if let Some(view) = views.into_iter().find(|view| view.state == state) {
                    return view;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        match reached.await {
            Ok(view) => view,
            Err(_late) => {
                let views = process.engine.rollbacks(&Query::all(1)).await.unwrap();
                panic!("the rollback never was {state}: {views:?}");
            }
        }
    }

    async fn wait_for_end(&self, process: &Process) -> RollbackView {
        let ended = tokio::time::timeout(PATIENCE, async {
            loop {
                let views = process.engine.rollbacks(&Query::all(1)).await.unwrap();
                if let Some(view) = views.into_iter().find(|view| view.state.is_end()) {
                    return view;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        ended.await.expect("an end")
    }

    async fn truth(&self) -> RevisionId {
        self.stage.truth().await.unwrap()
    }

    /// The thread under the first deploy message.
    async fn thread(&self) -> String {
        let ts = self.message("1.0.3").await.ts;
        let lines = self.slack.thread(CHANNEL, &ts);
        lines.iter().map(Message::all_text).collect::<Vec<_>>().join("\n")
    }

    /// The audit trail that a process left, by kind, after its chain was checked.
    async fn audited(&self, process: Process) -> Vec<Entry> {
        drop(process);
        let path = self.folder.path().join("rollback.db");
        let open = async || {
            let options = rollback_store::Options::default();
            rollback_store::SqliteStore::open(path.clone(), options).await.ok()
        };
        let store = self.stage.wait("the process has let go of the store", open).await;
        let records = store.audit(&Query::all(200)).await.unwrap();
        let mut verifier = Verifier::new(rollback_store::CHAIN_DEFAULT);
        for record in &records {
            verifier.check(record).unwrap();
        }
        records.iter().map(|record| record.draft.kind).collect()
    }
}

#[tokio::test]
async fn a_click_a_reason_and_the_release_is_the_earlier_revision_again() {
    let Some((lab, folder)) = peers("the whole product on a real cluster") else { return };
    let _turn = shared().await;
    for helm in BOTH {
        let (product, process) = Product::open(lab, &folder, helm).await;
        let expected = product.stage.back_by_one();
        let modal = product.click().await;
        product.confirm(&modal).await;
        let ended = product.reaches(&process, StateName::Succeeded).await;
        assert_eq!(&ended.to.revision, &expected.to().revision);
        assert_eq!(product.truth().await, expected.to().revision);
        assert_eq!((product.stage.wire.orders(), product.stage.effects().await), (1, 1));
        product.message("healthy").await;
        let thread = product.thread().await;
        assert!(thread.contains("errors up 4x"), "{thread}");
        assert!(!thread.contains(stage::PASSWORD), "{thread}");
        let audited = product.audited(process).await;
        for entry in
            [Entry::Requested, Entry::Confirmed, Entry::Triggered, Entry::Phase, Entry::Succeeded]
        {
            assert!(audited.contains(&entry), "{entry:?} is missing: {audited:?}");
        }
    }
}

#[tokio::test]
async fn a_newer_deploy_after_the_confirmation_is_never_overwritten() {
    let Some((lab, folder)) = peers("a newer deploy after the confirmation") else { return };
    let _turn = shared().await;
    let (product, process) = Product::open(lab, &folder, Helm::Four).await;
    let modal = product.click().await;
    product.stage.wire.hold_next_order();
    product.confirm(&modal).await;
    let wire = &product.stage.wire;
    product.stage.wait("helm's record on its way", async || (wire.held() > 0).then_some(())).await;
    let newer = product.stage.deploy(4).await;
    assert_eq!(wire.release().await, [409]);
    let ended = product.wait_for_end(&process).await;
    assert!(matches!(ended.state, StateName::Refused | StateName::Failed), "{ended:?}");
    assert_eq!((product.truth().await, product.stage.effects().await), (newer, 0));
}

#[tokio::test]
async fn the_api_server_and_the_controllers_die_in_the_middle_and_it_ends_when_they_are_back() {
    let Some((lab, folder)) = peers("servers that die in the middle") else { return };
    if !lab.is_ours() {
        eprintln!("SKIPPED servers that die in the middle: the cluster is not ours");
        return;
    }
    let _turn = alone().await;
    for (helm, server) in [
        (Helm::Three, Server::Controllers),
        (Helm::Four, Server::Controllers),
        (Helm::Three, Server::Api),
        (Helm::Four, Server::Api),
    ] {
        let (product, process) = Product::open(lab, &folder, helm).await;
        let expected = product.stage.back_by_one();
        product.stage.befall_earlier(Behaviour::NeverReady);
        let modal = product.click().await;
        product.confirm(&modal).await;
        product.reaches(&process, StateName::Running).await;
        let target = &expected.to().revision;
        let changed = async || (product.stage.truth().await.as_ref() == Some(target)).then_some(());
        product.stage.wait("the target in the workload", changed).await;
        lab.kill(server);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let waits = process.engine.rollbacks(&Query::all(1)).await.unwrap();
        let state = waits.first().unwrap().state;
        assert_eq!(state, StateName::Running, "silence is neither a success nor a failure");
        product.stage.befall_earlier(Behaviour::Ready);
        lab.revive(server).await;
        let ended = product.wait_for_end(&process).await;
        assert_eq!(ended.state, StateName::Succeeded, "{helm:?} {server:?}: {}", ended.explanation);
        assert_eq!(product.truth().await, expected.to().revision);
    }
}

#[tokio::test]
async fn our_process_dies_with_helms_record_on_its_way_and_the_next_one_proves_that_nothing_happened()
 {
    let Some((lab, folder)) = peers("a process that dies with helm's record on its way") else {
        return;
    };
    let _turn = shared().await;
    let (product, process) = Product::open(lab, &folder, Helm::Four).await;
    let expected = product.stage.back_by_one();
    let modal = product.click().await;
    product.stage.wire.hold_next_order();
    product.confirm(&modal).await;
    let wire = &product.stage.wire;
    product.stage.wait("helm's record on its way", async || (wire.held() > 0).then_some(())).await;
    drop(process);
    // It arrives all the same, and nobody hears the answer.
    assert_eq!(wire.release().await, [201]);
    let process = product.start().await;
    let ended = product.wait_for_end(&process).await;
    assert_eq!(ended.state, StateName::Failed, "{}", ended.explanation);
    assert_eq!(product.truth().await, expected.from().revision);
    assert_eq!(product.stage.records().await.len(), 3, "its record is gone");
    product.stage.deploy(4).await;
}
