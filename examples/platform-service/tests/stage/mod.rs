//! The stage of the end-to-end tests: a local Slack, a host on SQLite, and a CD system in memory,
//! all talking over real sockets. The host is either the forty lines of README or the process
//! `platform-service`; the tests cannot tell which.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(dead_code, reason = "not every test binary uses all of the stage")]
#![allow(
    clippy::allow_attributes,
    reason = "see above: what is used differs from binary to binary"
)]

pub(crate) mod embedded;
pub(crate) mod service;

use async_trait::async_trait;
use embedded::Embedded;
use local_slack::{Channel, LocalSlack, Message, Options, User, UserGroup, View};
use rollback_core::ports::{Capabilities, Clock, CompareAndSet, Fence};
use rollback_core::{Deploy, Deployer, Migrations, Revision, ServiceKey, StateName, Timestamp};
use rollback_engine::SystemClock;
use rollback_testkit::fakes::FakeBackend;
use service::Service;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const OWNER: &str = "U02ANA";
pub(crate) const APPROVER: &str = "U03BO";
pub(crate) const STRANGER: &str = "U09EVE";
pub(crate) const CHANNEL: &str = "C0DEPLOYS";
pub(crate) const TEAM: &str = "T0ACME";
pub(crate) const TOKEN: &str = "xoxb-local-1";
pub(crate) const SECRET: &str = "a-signing-secret";
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Which host is on the stage.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Embedded,
    PlatformService,
}

/// What a test needs of a host besides Slack.
#[async_trait]
pub(crate) trait Host: Send + Sync {
    /// Where Slack's callbacks go.
    fn callbacks(&self) -> String;

    /// A pipeline reports a deploy.
    async fn report(&self, deploy: Deploy);

    /// The states of all rollbacks, newest first.
    async fn states(&self) -> Vec<StateName>;

    /// Stops in good order.
    async fn stop(self: Box<Self>);
}

pub(crate) struct Stage {
    pub(crate) slack: LocalSlack,
    pub(crate) cd: Arc<FakeBackend>,
    pub(crate) host: Box<dyn Host>,
}

pub(crate) fn key() -> ServiceKey {
    rollback_testkit::fixtures::key()
}

pub(crate) fn now() -> Timestamp {
    SystemClock::new().now()
}

pub(crate) fn history() -> Vec<Revision> {
    let ago = |hours: u64| Timestamp::from_millis(now().as_millis() - hours * 3_600_000);
    [("42", "2.14.0", 0), ("41", "2.13.4", 26), ("40", "2.13.3", 50)]
        .map(|(id, version, hours)| rollback_testkit::fixtures::revision(id, version, ago(hours)))
        .to_vec()
}

pub(crate) fn people() -> Options {
    let mut people = Options::default()
        .user(User::new(OWNER, "Ana").title("Owner"))
        .user(User::new(APPROVER, "Bo").title("Approver"))
        .user(User::new(STRANGER, "Eve").title("Stranger"))
        .group(UserGroup::new("S0PAYMENTS", "payments", [APPROVER]))
        .channel(Channel::new(CHANNEL, "deploys"));
    people.bot_token = TOKEN.into();
    people.signing_secret = SECRET.into();
    people.team_id = TEAM.into();
    people
}

pub(crate) fn cd() -> Arc<FakeBackend> {
    let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
    Arc::new(FakeBackend::with_history(key(), capabilities, history()))
}

pub(crate) fn deploy(id: &str, revision: &str, version: &str) -> Deploy {
    let mut deploy = Deploy::new(id.parse().expect("an id"), key(), version, now());
    deploy.revision = Some(revision.parse().expect("an id"));
    deploy.migrations = Migrations::Known(Vec::new());
    let mut deployer = Deployer::default();
    deployer.name = Some("Ana".into());
    deployer.slack_user_id = Some(OWNER.parse().expect("an id"));
    deploy.deployer = Some(deployer);
    deploy
}

impl Stage {
    pub(crate) async fn set(kind: Kind) -> Self {
        Self::set_with(kind, 0).await
    }

    /// A stage on which so many others must approve.
    pub(crate) async fn set_with(kind: Kind, approvals: u8) -> Self {
        let slack = LocalSlack::start(people()).await.expect("a local Slack");
        let cd = cd();
        let host: Box<dyn Host> = match kind {
            Kind::Embedded => Box::new(Embedded::start(&slack, &cd, approvals).await),
            Kind::PlatformService => Box::new(Service::start(&slack, &cd, approvals).await),
        };
        slack.set_interactivity_url(host.callbacks());
        Self { slack, cd, host }
    }

    pub(crate) async fn report(&self) {
        self.host.report(deploy("ci-4711", "42", "2.14.0")).await;
        self.deploy_message().await;
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

    /// Waits until somebody is told in private what contains this.
    pub(crate) async fn told(&self, user: &str, text: &str) {
        let told = self.slack.wait_until(PATIENCE, |slack| {
            let all = slack.ephemerals(user);
            all.into_iter().find(|one| format!("{one:?}").contains(text))
        });
        told.await.unwrap_or_else(|late| panic!("{user} was never told {text:?}: {late}"));
    }

    /// Waits until the newest rollback is in this state.
    pub(crate) async fn reaches(&self, state: StateName) {
        let reached = async {
            while self.host.states().await.first() != Some(&state) {
                // Slower than the API's own rate.
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "the rollback never was {state}");
    }

    pub(crate) async fn thread(&self) -> Vec<String> {
        let ts = self.deploy_message().await.ts;
        self.slack.thread(CHANNEL, &ts).into_iter().map(|message| message.all_text()).collect()
    }
}
