//! The team of an end-to-end test: its people, the local Slack that they are in, and what they do
//! there. And the host of README for a test that brings a CD system of its own.
//!
//! ```text
//! test ─┬─ Team: click, open, confirm, wait for what is said ◀──▶ a local Slack
//!       └─ Host: the host of README, on a runtime of its own ◀──▶ Slack, any CdBackend
//! ```
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a stage for tests: what goes wrong fails the test, and says so"
)]

mod host;

pub use host::{BACKEND, Host};

use local_slack::{Channel, LocalSlack, Message, Options, User, UserGroup, View};
use rollback_core::access::{AccessPolicy, Principal, Rule};
use rollback_core::ports::Clock as _;
use rollback_core::{Deploy, Deployer, Migrations, ServiceKey, Timestamp};
use rollback_engine::{Catalog, ServiceConfig, SystemClock};
use std::ops::Deref;
use std::time::Duration;

/// Ana, who owns the service and deploys it.
pub const OWNER: &str = "U02ANA";
/// Bo, of the group that owns the service, too.
pub const APPROVER: &str = "U03BO";
/// Eve, who may nothing.
pub const STRANGER: &str = "U09EVE";
/// The group that owns the service: Bo.
pub const GROUP: &str = "S0PAYMENTS";
/// Where deploys are told.
pub const CHANNEL: &str = "C0DEPLOYS";
/// Their workspace.
pub const WORKSPACE: &str = "T0ACME";
/// The app's token.
pub const TOKEN: &str = "xoxb-local-1";
/// What Slack signs with.
pub const SECRET: &str = "a-signing-secret";

/// The version that is deployed, and that people want to undo.
pub const VERSION: &str = "2.14.0";

/// How long anything may take, on a machine that builds something else too: more than the claim of a
/// process that died.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The workspace with its people, its group and its channel.
#[must_use]
pub fn people() -> Options {
    let mut people = Options::default()
        .user(User::new(OWNER, "Ana").title("Owner"))
        .user(User::new(APPROVER, "Bo").title("Approver"))
        .user(User::new(STRANGER, "Eve").title("Stranger"))
        .group(UserGroup::new(GROUP, "payments", [APPROVER]))
        .channel(Channel::new(CHANNEL, "deploys"));
    people.bot_token = TOKEN.into();
    people.signing_secret = SECRET.into();
    people.team_id = WORKSPACE.into();
    people
}

/// The service `checkout` in `production`.
#[must_use]
pub fn key() -> ServiceKey {
    ServiceKey::new("checkout".parse().expect("a name"), "production".parse().expect("a name"))
}

/// The service as it is configured: owned by Ana and the group, without any wait that a test would
/// have to sit through.
#[must_use]
pub fn catalog(configure: impl FnOnce(&mut ServiceConfig)) -> Catalog {
    let mut access = AccessPolicy::default();
    access.workspaces.insert(WORKSPACE.parse().expect("an id"));
    let owners = vec![
        Principal::User(OWNER.parse().expect("an id")),
        Principal::Group(GROUP.parse().expect("an id")),
    ];
    access.owners.push(Rule::for_service("checkout owners", &key().service, owners));
    let backend = BACKEND.parse().expect("a name");
    let mut service = ServiceConfig::new(backend, CHANNEL.parse().expect("an id"));
    service.limits.settle = Duration::from_millis(200);
    configure(&mut service);
    Catalog::new(access).with(key(), service)
}

/// What time it is.
#[must_use]
pub fn now() -> Timestamp {
    SystemClock::new().now()
}

/// Ana's deploy of a version, now; which revision that made, its reporter may add.
#[must_use]
pub fn deploy(id: &str, version: &str) -> Deploy {
    let mut deploy = Deploy::new(id.parse().expect("an id"), key(), version, now());
    deploy.migrations = Migrations::Known(Vec::new());
    let mut deployer = Deployer::default();
    deployer.name = Some("Ana".into());
    deployer.slack_user_id = Some(OWNER.parse().expect("an id"));
    deploy.deployer = Some(deployer);
    deploy
}

/// A local Slack, and what people do in it.
#[derive(Clone, Debug)]
pub struct Team {
    slack: LocalSlack,
}

impl From<LocalSlack> for Team {
    fn from(slack: LocalSlack) -> Self {
        Self { slack }
    }
}

impl Deref for Team {
    type Target = LocalSlack;

    fn deref(&self) -> &LocalSlack {
        &self.slack
    }
}

impl Team {
    /// Starts their Slack.
    pub async fn start() -> Self {
        Self::of(people()).await
    }

    /// The same with other people or limits.
    pub async fn of(people: Options) -> Self {
        LocalSlack::start(people).await.expect("a local Slack").into()
    }

    /// The message of the deploy of [`VERSION`].
    pub async fn deploy_message(&self) -> Message {
        self.message_with(VERSION).await
    }

    /// Waits until the deploy message says this.
    pub async fn message_says(&self, text: &str) -> Message {
        let ts = self.deploy_message().await.ts;
        let found = self.wait_until(PATIENCE, |slack| {
            slack.message(CHANNEL, &ts).filter(|message| message.all_text().contains(text))
        });
        found.await.unwrap_or_else(|late| panic!("the deploy message never said {text:?}: {late}"))
    }

    /// What the thread under the deploy message says, line by line.
    pub async fn lines(&self) -> Vec<String> {
        let ts = self.deploy_message().await.ts;
        self.thread(CHANNEL, &ts).iter().map(Message::all_text).collect()
    }

    /// The first message of the channel that says this.
    pub async fn message_with(&self, text: &str) -> Message {
        let found = self.wait_until(PATIENCE, |slack| {
            slack.messages(CHANNEL).into_iter().find(|message| message.all_text().contains(text))
        });
        found.await.unwrap_or_else(|late| panic!("no message ever said {text:?}: {late}"))
    }

    /// Presses what has this action, wherever in the channel it is, once it is there.
    pub async fn press(&self, user: &str, action: &str) {
        let message = self.wait_until(PATIENCE, |slack| {
            let mut messages = slack.messages(CHANNEL);
            let threads: Vec<Message> =
                messages.iter().flat_map(|m| slack.thread(CHANNEL, &m.ts)).collect();
            messages.extend(threads);
            messages.into_iter().find(|message| message.element(action).is_some())
        });
        let message = message.await.unwrap_or_else(|late| panic!("no {action} anywhere: {late}"));
        let clicked = self.click(user, CHANNEL, &message.ts, action).await;
        clicked.expect("something to click");
    }

    /// Waits for a modal on somebody's screen that says this.
    pub async fn modal(&self, user: &str, text: &str) -> View {
        let found = self.wait_until(PATIENCE, |slack| {
            slack.views(user).into_iter().find(|view| format!("{view:?}").contains(text))
        });
        found.await.unwrap_or_else(|late| panic!("{user} never saw a modal with {text:?}: {late}"))
    }

    /// Presses Rollback and waits for the modal that can be submitted.
    pub async fn open(&self, user: &str) -> View {
        self.press(user, "rollback_open").await;
        self.modal(user, "\"submit\": Object").await
    }

    /// Gives the reason and confirms.
    pub async fn confirm(&self, user: &str, view: &View, reason: &str) {
        let submitted = self.submit(user, &view.id, &[("reason", reason)]).await;
        submitted.expect("a modal to submit");
    }

    /// Waits until somebody is told in private what contains this.
    pub async fn told(&self, user: &str, text: &str) {
        let told = self.wait_until(PATIENCE, |slack| {
            let all = slack.ephemerals(user);
            all.into_iter().find(|one| format!("{one:?}").contains(text))
        });
        told.await.unwrap_or_else(|late| panic!("{user} was never told {text:?}: {late}"));
    }
}
