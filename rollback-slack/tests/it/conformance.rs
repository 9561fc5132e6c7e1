//! The suites that every notifier and every directory runs, against a local Slack.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use local_slack::{Channel, Fault, LocalSlack, Options, User, UserGroup};
use rollback_core::access::Account;
use rollback_core::ports::{Clock, Directory, Notifier};
use rollback_core::{ChannelId, GroupId, Timestamp, UserId, WorkspaceId};
use rollback_slack::{SlackDirectory, SlackNotifier, WebApi, WebApiOptions};
use rollback_testkit::{Simulated, directory, notifier};

#[derive(Debug)]
struct Real;

#[async_trait]
impl Clock for Real {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        Timestamp::from_millis(since.as_millis().try_into().unwrap())
    }

    async fn sleep_until(&self, _: Timestamp) {}

    async fn sleep(&self, _: Duration) {}
}

async fn slack() -> (LocalSlack, WebApi) {
    let options = Options::default()
        .user(User::new("U02ANA", "Ana"))
        .user(User::new("U03GUEST", "Guest").guest())
        .user(User::new("U04AWAY", "Away").deactivated())
        .user(User::new("U05BOT", "Bot").bot())
        .group(UserGroup::new("S0PAYMENTS", "payments", ["U02ANA"]))
        .group(UserGroup::new("S0SEARCH", "search", ["U03GUEST"]))
        .channel(Channel::new("C0DEPLOYS", "deploys"));
    let slack = LocalSlack::start(options).await.unwrap();
    let mut options = WebApiOptions::default();
    options.base_url = slack.api_url();
    options.attempts_max = 1;
    options.wait_max = Duration::ZERO;
    let api = WebApi::new("xoxb-local-slack".into(), options).unwrap();
    (slack, api)
}

struct Channels {
    slack: LocalSlack,
    notifier: SlackNotifier,
}

#[async_trait]
impl notifier::Harness for Channels {
    fn notifier(&self) -> &dyn Notifier {
        &self.notifier
    }
    fn channel(&self) -> ChannelId {
        "C0DEPLOYS".parse().unwrap()
    }
    async fn messages(&self) -> usize {
        self.slack.messages("C0DEPLOYS").len()
    }
    async fn shows(&self, text: &str) -> bool {
        self.slack.messages("C0DEPLOYS").iter().any(|message| message.all_text().contains(text))
    }
    async fn cut(&self) {
        self.slack.set_outage(true);
    }
    async fn heal(&self) {
        self.slack.set_outage(false);
    }
    async fn lose_next_answer(&self) -> Simulated {
        self.slack.fail_next(Fault::done_but_reset().on("chat.postMessage"));
        Simulated::Done
    }
}

#[tokio::test]
async fn the_notifier_conforms() {
    let make = async || {
        let (slack, api) = slack().await;
        Channels { slack, notifier: SlackNotifier::new(api, Arc::new(Real)) }
    };
    notifier::run_all(make).await.skips_only(&[]);
}

struct People {
    slack: LocalSlack,
    directory: SlackDirectory,
}

fn user(id: &str) -> UserId {
    id.parse().unwrap()
}

fn group(id: &str) -> GroupId {
    id.parse().unwrap()
}

#[async_trait]
impl directory::Harness for People {
    fn directory(&self) -> &dyn Directory {
        &self.directory
    }
    fn workspace(&self) -> WorkspaceId {
        "T0LOCAL".parse().unwrap()
    }
    fn member(&self) -> (UserId, GroupId, GroupId) {
        (user("U02ANA"), group("S0PAYMENTS"), group("S0SEARCH"))
    }
    fn others(&self) -> Vec<(UserId, Account)> {
        vec![
            (user("U03GUEST"), Account::Guest),
            (user("U04AWAY"), Account::Deactivated),
            (user("U05BOT"), Account::Bot),
        ]
    }
    fn nobody(&self) -> UserId {
        user("U0NOBODY")
    }
    fn no_group(&self) -> GroupId {
        group("S0NONE")
    }
    async fn leave(&self) {
        assert!(self.slack.set_group_users("S0PAYMENTS", &[]));
    }
    async fn break_down(&self) {
        self.slack.set_outage(true);
    }
}

#[tokio::test]
async fn the_directory_conforms() {
    let make = async || {
        let (slack, api) = slack().await;
        let home = "T0LOCAL".parse().unwrap();
        People { slack, directory: SlackDirectory::new(api, home, Arc::new(Real)) }
    };
    directory::run_all(make).await.skips_only(&[]);
}
