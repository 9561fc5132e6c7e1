//! The stage of the end-to-end tests: a local Slack, the embedded engine on SQLite, and a CD system
//! in memory, all talking over real sockets.
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use embedding::{Settings, rollback};
use local_slack::{Channel, LocalSlack, Message, Options, User, UserGroup, View};
use rollback_core::StateName;
use rollback_core::access::{AccessPolicy, Principal, Rule};
use rollback_core::ports::{Capabilities, CdBackend, CompareAndSet, Fence};
use rollback_core::ports::{Clock, Query};
use rollback_core::{Deploy, Deployer, Migrations, Revision, ServiceKey, Timestamp};
use rollback_engine::{Catalog, DeployReport, Engine, ServiceConfig, SystemClock};
use rollback_testkit::fakes::FakeBackend;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

pub(crate) const OWNER: &str = "U02ANA";
pub(crate) const APPROVER: &str = "U03BO";
pub(crate) const STRANGER: &str = "U09EVE";
pub(crate) const CHANNEL: &str = "C0DEPLOYS";
pub(crate) const TEAM: &str = "T0ACME";
const TOKEN: &str = "xoxb-local-1";
pub(crate) const SECRET: &str = "a-signing-secret";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    pub(crate) slack: LocalSlack,
    pub(crate) engine: Engine,
    pub(crate) cd: Arc<FakeBackend>,
    _folder: tempfile::TempDir,
    /// The engine runs until this is dropped.
    _stop: oneshot::Sender<()>,
}

pub(crate) fn key() -> ServiceKey {
    rollback_testkit::fixtures::key()
}

pub(crate) fn now() -> Timestamp {
    SystemClock::new().now()
}

fn history() -> Vec<Revision> {
    let ago = |hours: u64| Timestamp::from_millis(now().as_millis() - hours * 3_600_000);
    [("42", "2.14.0", 0), ("41", "2.13.4", 26), ("40", "2.13.3", 50)]
        .map(|(id, version, hours)| rollback_testkit::fixtures::revision(id, version, ago(hours)))
        .to_vec()
}

fn catalog(configure: impl FnOnce(&mut ServiceConfig)) -> Catalog {
    let key = key();
    let mut access = AccessPolicy::default();
    access.workspaces.insert(TEAM.parse().expect("an id"));
    let owners = vec![
        Principal::User(OWNER.parse().expect("an id")),
        Principal::Group("S0PAYMENTS".parse().expect("an id")),
    ];
    access.owners.push(Rule::for_service("checkout owners", &key.service, owners));
    let mut service =
        ServiceConfig::new("prod".parse().expect("a name"), CHANNEL.parse().expect("an id"));
    service.limits.settle = Duration::from_millis(200);
    service.limits.cd_timeout = Duration::from_secs(2);
    configure(&mut service);
    Catalog::new(access).with(key, service)
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::set_with(|_| {}).await
    }

    pub(crate) async fn set_with(configure: impl FnOnce(&mut ServiceConfig)) -> Self {
        Self::set_in(|people| people, configure).await
    }

    /// With more people, other channels or other limits in Slack.
    pub(crate) async fn set_in(
        more: impl FnOnce(Options) -> Options,
        configure: impl FnOnce(&mut ServiceConfig),
    ) -> Self {
        let mut people = Options::default()
            .user(User::new(OWNER, "Ana").title("Owner"))
            .user(User::new(APPROVER, "Bo").title("Approver"))
            .user(User::new(STRANGER, "Eve").title("Stranger"))
            .group(UserGroup::new("S0PAYMENTS", "payments", [APPROVER]))
            .channel(Channel::new(CHANNEL, "deploys"));
        people.bot_token = TOKEN.into();
        people.signing_secret = SECRET.into();
        people.team_id = TEAM.into();
        let slack = LocalSlack::start(more(people)).await.expect("a local Slack");
        let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
        let cd = Arc::new(FakeBackend::with_history(key(), capabilities, history()));
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings {
            bot_token: TOKEN.into(),
            signing_secret: SECRET.into(),
            workspace: TEAM.parse().expect("an id"),
            database: folder.path().join("rollback.db"),
            slack_api: slack.api_url(),
        };
        let backend: Arc<dyn CdBackend> = Arc::<FakeBackend>::clone(&cd);
        let backends = vec![("prod".parse().expect("a name"), backend)];
        let (engine, routes) =
            rollback(settings, catalog(configure), backends).await.expect("a host");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        slack.set_interactivity_url(format!("http://{address}/slack/interactivity"));
        tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("a server");
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let running = engine.clone();
        tokio::spawn(async move {
            let until = async move { drop(stopped.await) };
            running.run(until).await.expect("a readable store");
        });
        Self { slack, engine, cd, _folder: folder, _stop: stop }
    }

    pub(crate) fn deploy(&self, id: &str, revision: &str, version: &str) -> Deploy {
        let mut deploy = Deploy::new(id.parse().expect("an id"), key(), version, now());
        deploy.revision = Some(revision.parse().expect("an id"));
        deploy.migrations = Migrations::Known(Vec::new());
        let mut deployer = Deployer::default();
        deployer.name = Some("Ana".into());
        deployer.slack_user_id = Some(OWNER.parse().expect("an id"));
        deploy.deployer = Some(deployer);
        deploy
    }

    pub(crate) async fn report(&self) -> DeployReport {
        let deploy = self.deploy("ci-4711", "42", "2.14.0");
        self.engine.deployed(deploy).await.expect("a kept deploy")
    }

    pub(crate) async fn deploy_message(&self) -> Message {
        self.message_with("2.14.0").await
    }

    /// The first message of the channel that says this.
    pub(crate) async fn message_with(&self, text: &str) -> Message {
        let found = self.slack.wait_until(PATIENCE, |slack| {
            slack.messages(CHANNEL).into_iter().find(|m| m.all_text().contains(text))
        });
        found.await.expect("a deploy message")
    }

    /// Waits until the deploy message says this.
    pub(crate) async fn message_says(&self, text: &str) -> Message {
        let ts = self.deploy_message().await.ts;
        let found = self.slack.wait_until(PATIENCE, |slack| {
            slack.message(CHANNEL, &ts).filter(|message| message.all_text().contains(text))
        });
        found.await.unwrap_or_else(|late| panic!("the deploy message never said {text:?}: {late}"))
    }

    /// Waits for a modal on somebody's screen that says this.
    pub(crate) async fn modal(&self, user: &str, text: &str) -> View {
        let found = self.slack.wait_until(PATIENCE, |slack| {
            let views = slack.views(user);
            views.into_iter().find(|view| format!("{view:?}").contains(text))
        });
        found.await.unwrap_or_else(|late| panic!("{user} never saw a modal with {text:?}: {late}"))
    }

    pub(crate) async fn click(&self, user: &str, action: &str) {
        let message = self.slack.wait_until(PATIENCE, |slack| {
            let mut messages = slack.messages(CHANNEL);
            let threads: Vec<Message> =
                messages.iter().flat_map(|m| slack.thread(CHANNEL, &m.ts)).collect();
            messages.extend(threads);
            messages.into_iter().find(|message| message.element(action).is_some())
        });
        let message = message.await.unwrap_or_else(|late| panic!("no {action} anywhere: {late}"));
        let clicked = self.slack.click(user, CHANNEL, &message.ts, action).await;
        clicked.expect("something to click");
    }

    /// Clicks Rollback and waits for the modal that can be submitted.
    pub(crate) async fn open(&self, user: &str) -> View {
        self.click(user, "rollback_open").await;
        self.modal(user, "\"submit\": Object").await
    }

    pub(crate) async fn confirm(&self, user: &str, view: &View, reason: &str) {
        let submitted = self.slack.submit(user, &view.id, &[("reason", reason)]).await;
        submitted.expect("a modal to submit");
    }

    /// Waits until the newest rollback is in this state.
    pub(crate) async fn reaches(&self, state: StateName) {
        let reached = async {
            loop {
                let views = self.engine.rollbacks(&Query::all(1)).await.expect("a list");
                if views.first().is_some_and(|view| view.state == state) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "the rollback never was {state}");
    }
}
