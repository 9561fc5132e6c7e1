//! The whole product in front of a release: engine on SQLite, a local Slack, a click.

use crate::stage::{PATIENCE, Release, key};
use embedding::{rollback, serve};
use local_slack::{Channel, LocalSlack, Options, User};
use rollback_core::access::{AccessPolicy, Principal, Rule};
use rollback_core::ports::Clock as _;
use rollback_core::{Deploy, Migrations};
use rollback_engine::{Catalog, ServiceConfig, SystemClock};
use rollback_slack::SlackOptions;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const OWNER: &str = "U02ANA";
const CHANNEL: &str = "C0DEPLOYS";
const TEAM: &str = "T0ACME";
const TOKEN: &str = "xoxb-local-1";
const SECRET: &str = "a-signing-secret";

pub(crate) struct Product {
    slack: LocalSlack,
    started: Instant,
    serves: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Drop for Product {
    fn drop(&mut self) {
        self.serves.abort();
    }
}

impl Product {
    /// The deploy of what is live has been told.
    pub(crate) async fn open(release: &Release, settle: Duration) -> Self {
        let mut people = Options::default()
            .user(User::new(OWNER, "Ana"))
            .channel(Channel::new(CHANNEL, "deploys"));
        people.bot_token = TOKEN.into();
        people.signing_secret = SECRET.into();
        people.team_id = TEAM.into();
        let (slack, started) = (LocalSlack::start(people).await.unwrap(), Instant::now());
        let folder = tempfile::tempdir().unwrap();
        let mut options = SlackOptions::new(TOKEN, SECRET, TEAM.parse().unwrap());
        options.web_api.base_url = slack.api_url();
        let database = folder.path().join("rollback.db");
        let mut access = AccessPolicy::default();
        access.workspaces.insert(TEAM.parse().unwrap());
        let owners = vec![Principal::User(OWNER.parse().unwrap())];
        access.owners.push(Rule::for_service("owners", &key().service, owners));
        let mut service = ServiceConfig::new("cluster".parse().unwrap(), CHANNEL.parse().unwrap());
        service.limits.settle = settle;
        let catalog = Catalog::new(access).with(key(), service);
        let backends = vec![("cluster".parse().unwrap(), release.backend().await)];
        let (running, routes) = rollback(options, database, catalog, backends).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        slack.set_interactivity_url(format!("http://{address}/slack/interactivity"));
        let engine = running.engine().clone();
        let serves = tokio::spawn(async move {
            serve(running, routes, listener, std::future::pending()).await.unwrap();
        });
        let now = SystemClock::new().now();
        let mut deploy = Deploy::new("ci-3".parse().unwrap(), key(), "1.0.3", now);
        deploy.migrations = Migrations::Known(Vec::new());
        engine.deployed(deploy).await.unwrap();
        Self { slack, started, serves, _folder: folder }
    }

    /// Clicks, and waits for the modal that can be submitted; gives its id.
    pub(crate) async fn click(&self) -> String {
        let message = self.slack.wait_until(PATIENCE, |slack| {
            let mut messages = slack.messages(CHANNEL).into_iter();
            messages.find(|message| message.element("rollback_open").is_some())
        });
        let ts = message.await.unwrap().ts;
        self.slack.click(OWNER, CHANNEL, &ts, "rollback_open").await.unwrap();
        let modal = self.slack.wait_until(PATIENCE, |slack| {
            let view = slack.views(OWNER).pop()?;
            let input =
                |block: &serde_json::Value| block.get("block_id").is_some_and(|id| id == "reason");
            view.blocks().iter().any(input).then_some(view.id)
        });
        modal.await.unwrap()
    }

    pub(crate) async fn confirm(&self, modal: &str) {
        self.slack.submit(OWNER, modal, &[("reason", "errors up 4x")]).await.unwrap();
    }

    /// Every call to Slack since a moment, for whoever wants to know where the time went.
    pub(crate) fn timeline(&self, began: Instant) {
        let before = began.saturating_duration_since(self.started);
        for call in self.slack.calls().into_iter().filter(|call| call.at >= before) {
            let after = call.at.saturating_sub(before).as_secs_f64();
            let text =
                call.args.get("text").and_then(serde_json::Value::as_str).unwrap_or_default();
            let text: String = text.lines().next().unwrap_or_default().chars().take(60).collect();
            println!("    {after:7.3} s  {} {}  {text}", call.method, call.outcome);
        }
    }

    /// Waits until the thread says so.
    pub(crate) async fn healthy(&self) {
        let told = self.slack.wait_until(PATIENCE, |slack| {
            let parent = slack.messages(CHANNEL).into_iter().next()?.ts;
            let thread = slack.thread(CHANNEL, &parent);
            thread.iter().any(|line| line.all_text().contains("healthy")).then_some(())
        });
        told.await.unwrap_or_else(|late| panic!("the thread never said it: {late}"));
    }
}
