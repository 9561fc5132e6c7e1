//! The whole product on a real cluster: the report of a deploy, a click in Slack, the confirmation,
//! the phases in the thread, the audit trail; and what goes wrong in the middle.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[expect(dead_code, reason = "several tests share it")]
mod stage;

use embedding::{Settings, rollback};
use kube_lab::{Behaviour, Lab, Server};
use local_slack::{Channel, LocalSlack, Message, Options, User};
use rollback_core::access::{AccessPolicy, Principal, Rule};
use rollback_core::audit::{Kind as Entry, Verifier};
use rollback_core::ports::{CdBackend, Clock as _, Query, Store as _};
use rollback_core::{Deploy, Deployer, Migrations, RevisionId, RollbackView, StateName};
use rollback_engine::{Catalog, Engine, ServiceConfig};
use rollback_kube::Kind;
use stage::{Stage, WallClock, image, key};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

const OWNER: &str = "U02ANA";
const CHANNEL: &str = "C0DEPLOYS";
const TEAM: &str = "T0ACME";
const TOKEN: &str = "xoxb-local-1";
const SECRET: &str = "a-signing-secret";
/// Long enough for a claim of a process that died to run out.
const PATIENCE: Duration = Duration::from_secs(120);

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
    settle: Duration,
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

fn catalog(settle: Duration) -> Catalog {
    let mut access = AccessPolicy::default();
    access.workspaces.insert(TEAM.parse().unwrap());
    let owners = vec![Principal::User(OWNER.parse().unwrap())];
    access.owners.push(Rule::for_service("owners", &key().service, owners));
    let mut service = ServiceConfig::new("cluster".parse().unwrap(), CHANNEL.parse().unwrap());
    service.limits.settle = settle;
    Catalog::new(access).with(key(), service)
}

impl Product {
    /// Revision 3 is live, and has been reported.
    async fn open(lab: &'static Lab, kind: Kind) -> (Self, Process) {
        Self::open_with(lab, kind, Duration::from_millis(200)).await
    }

    async fn open_with(lab: &'static Lab, kind: Kind, settle: Duration) -> (Self, Process) {
        let stage = Stage::set(lab, kind).await;
        let mut people = Options::default()
            .user(User::new(OWNER, "Ana"))
            .channel(Channel::new(CHANNEL, "deploys"));
        people.bot_token = TOKEN.into();
        people.signing_secret = SECRET.into();
        people.team_id = TEAM.into();
        let slack = LocalSlack::start(people).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let product = Self { stage, slack, settle, folder };
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
        let (kubeconfig, config) = (self.stage.kubeconfig.clone(), self.stage.config());
        let settle = self.settle;
        let started = runtime.spawn(async move {
            let backend: Arc<dyn CdBackend> = Arc::new(stage::connect(&kubeconfig, config).await);
            let backends = vec![("cluster".parse().unwrap(), backend)];
            let (engine, routes) = rollback(settings, catalog(settle), backends).await.unwrap();
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
async fn a_click_a_reason_and_the_workload_runs_the_earlier_revision_again() {
    let Some(lab) = Lab::shared("the whole product on a real cluster") else { return };
    let _turn = shared().await;
    for kind in stage::KINDS {
        let (product, process) = Product::open(lab, kind).await;
        let expected = product.stage.back_by_one().await;
        let modal = product.click().await;
        product.confirm(&modal).await;
        let ended = product.reaches(&process, StateName::Succeeded).await;
        assert_eq!(&ended.to.revision, &expected.to().revision);
        assert_eq!(product.truth().await, expected.to().revision);
        assert_eq!((product.stage.wire.orders(), product.stage.wire.carried_out()), (1, 1));
        product.message("healthy").await;
        let thread = product.thread().await;
        assert!(thread.contains("errors up 4x"), "{thread}");
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
    let Some(lab) = Lab::shared("a newer deploy after the confirmation") else { return };
    let _turn = shared().await;
    let (product, process) = Product::open(lab, Kind::Deployment).await;
    let modal = product.click().await;
    product.stage.wire.hold_next_order();
    product.confirm(&modal).await;
    let wire = &product.stage.wire;
    product.stage.wait("the order is on its way", async || (wire.held() > 0).then_some(())).await;
    let newer = product.stage.deploy(&image(4)).await;
    assert_eq!(wire.release().await, [422]);
    let ended = product.reaches(&process, StateName::Refused).await;
    assert!(ended.explanation.to_string().contains(newer.as_str()), "{}", ended.explanation);
    assert_eq!((product.truth().await, wire.carried_out()), (newer, 0));
}

#[tokio::test]
async fn the_controllers_die_in_the_middle_and_it_ends_when_they_are_back() {
    let Some(lab) = Lab::shared("controllers that die in the middle") else { return };
    if !lab.is_ours() {
        eprintln!("SKIPPED controllers that die in the middle: the cluster is not ours");
        return;
    }
    let _turn = alone().await;
    let (product, process) = Product::open(lab, Kind::Deployment).await;
    let expected = product.stage.back_by_one().await;
    product.stage.befall_earlier(Behaviour::NeverReady);
    let modal = product.click().await;
    product.confirm(&modal).await;
    product.reaches(&process, StateName::Running).await;
    lab.kill(Server::Controllers);
    product.stage.befall_earlier(Behaviour::Ready);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let waits = process.engine.rollbacks(&Query::all(1)).await.unwrap();
    assert_eq!(waits[0].state, StateName::Running, "nobody rolls anything out now");
    lab.revive(Server::Controllers).await;
    product.reaches(&process, StateName::Succeeded).await;
    assert_eq!(product.truth().await, expected.to().revision);
    assert_eq!(product.stage.wire.carried_out(), 1);
}

#[tokio::test]
async fn the_api_server_dies_in_the_middle_and_it_ends_when_it_is_back() {
    let Some(lab) = Lab::shared("an API server that dies in the middle") else { return };
    if !lab.is_ours() {
        eprintln!("SKIPPED an API server that dies in the middle: the cluster is not ours");
        return;
    }
    let _turn = alone().await;
    let (product, process) = Product::open(lab, Kind::Deployment).await;
    let expected = product.stage.back_by_one().await;
    product.stage.befall_earlier(Behaviour::NeverReady);
    let modal = product.click().await;
    product.confirm(&modal).await;
    product.reaches(&process, StateName::Running).await;
    lab.kill(Server::Api);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let waits = process.engine.rollbacks(&Query::all(1)).await.unwrap();
    assert_eq!(waits[0].state, StateName::Running, "silence is neither a success nor a failure");
    product.stage.befall_earlier(Behaviour::Ready);
    lab.revive(Server::Api).await;
    product.reaches(&process, StateName::Succeeded).await;
    assert_eq!(product.truth().await, expected.to().revision);
    assert_eq!(product.stage.wire.carried_out(), 1);
}

#[tokio::test]
async fn our_process_dies_with_the_order_on_its_way_and_the_next_one_finds_it() {
    let Some(lab) = Lab::shared("a process that dies with its order on its way") else { return };
    let _turn = shared().await;
    let (product, process) = Product::open(lab, Kind::Deployment).await;
    let expected = product.stage.back_by_one().await;
    let modal = product.click().await;
    product.stage.wire.hold_next_order();
    product.confirm(&modal).await;
    let wire = &product.stage.wire;
    product.stage.wait("the order is on its way", async || (wire.held() > 0).then_some(())).await;
    drop(process);
    // It arrives all the same, and nobody hears the answer.
    assert_eq!(wire.release().await, [200]);
    let process = product.start().await;
    product.reaches(&process, StateName::Succeeded).await;
    assert_eq!(product.truth().await, expected.to().revision);
    assert_eq!((wire.orders(), wire.carried_out()), (1, 1), "it was sent once");
}

#[tokio::test]
async fn an_order_that_arrives_after_it_was_declared_absent_is_refused_by_the_api_server() {
    let Some(lab) = Lab::shared("an order that arrives after its fence") else { return };
    let _turn = shared().await;
    for kind in stage::KINDS {
        let (product, process) = Product::open(lab, kind).await;
        let expected = product.stage.back_by_one().await;
        let modal = product.click().await;
        product.stage.wire.hold_next_order();
        product.confirm(&modal).await;
        let began = Instant::now();
        let ended = product.reaches(&process, StateName::Failed).await;
        assert!(began.elapsed() >= Duration::from_secs(3), "it gave the answer its time");
        assert_eq!(product.stage.wire.release().await, [422], "{}", ended.explanation);
        assert_eq!(product.truth().await, expected.from().revision);
        assert_eq!(product.stage.wire.carried_out(), 0);
    }
}

/// One rollback, timed from outside: from the word given to the change of the workload, from readiness to whoever waits knowing
/// it, and all of it.
#[derive(Clone, Copy, Debug)]
struct Timed {
    to_request: Duration,
    to_told: Duration,
    whole: Duration,
}

async fn timed(stage: &Stage, told: impl Future<Output = ()>) -> Timed {
    let before = stage.read().await["metadata"]["generation"].clone();
    let began = Instant::now();
    let ready = async {
        let changed =
            async || (stage.read().await["metadata"]["generation"] != before).then(Instant::now);
        let ordered = stage.wait("an order", changed).await;
        stage.rolled_out().await;
        (ordered, Instant::now())
    };
    let told = async {
        told.await;
        Instant::now()
    };
    let ((ordered, ready), told) = tokio::join!(ready, told);
    Timed {
        to_request: ordered.saturating_duration_since(began),
        to_told: told.saturating_duration_since(ready),
        whole: told.saturating_duration_since(began),
    }
}

fn median(mut all: Vec<Timed>, part: impl Fn(&Timed) -> Duration) -> Duration {
    all.sort_by_key(&part);
    part(&all[all.len() / 2])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test -p rollback-kube --test product -- --ignored --nocapture"]
async fn beside_kubectl() {
    let Some(lab) = Lab::shared("a measurement beside kubectl") else { return };
    let kubectl = kube_lab::peer("helm").expect("kubectl; tools/peers helm").join("kubectl");
    let _turn = alone().await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _round in 0..7 {
        let (product, _process) = Product::open_with(lab, Kind::Deployment, Duration::ZERO).await;
        let modal = product.click().await;
        let told = async {
            product.confirm(&modal).await;
            product.message("healthy").await;
        };
        ours.push(timed(&product.stage, told).await);

        let stage = Stage::set(lab, Kind::Deployment).await;
        let kubeconfig = lab.kubeconfig();
        let script = format!(
            "{0} rollout undo deployment/web --to-revision=2 && {0} rollout status deployment/web",
            format_args!(
                "{} --kubeconfig {} -n {}",
                kubectl.display(),
                kubeconfig.display(),
                stage.space.name()
            ),
        );
        let told = async {
            let done =
                tokio::process::Command::new("sh").args(["-c", &script]).output().await.unwrap();
            assert!(done.status.success(), "{done:?}");
        };
        theirs.push(timed(&stage, told).await);
    }
    for (who, all) in [("ours", ours), ("kubectl", theirs)] {
        println!(
            "{who}: order after {:?}, told {:?} after ready, {:?} in all",
            median(all.clone(), |it| it.to_request),
            median(all.clone(), |it| it.to_told),
            median(all, |it| it.whole),
        );
    }
}
