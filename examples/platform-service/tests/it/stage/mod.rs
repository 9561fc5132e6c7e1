//! The stage of the end-to-end tests: a local Slack, a host on SQLite, and a CD system in memory,
//! all talking over real sockets. The host is either the host of README or the process
//! `platform-service`; the tests cannot tell which.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

pub(crate) mod embedded;
pub(crate) mod service;

use async_trait::async_trait;
use embedded::Embedded;
use rollback_core::ports::{Capabilities, CompareAndSet, Fence};
use rollback_core::{Deploy, Revision, StateName, Timestamp};
use rollback_testkit::fakes::FakeBackend;
use service::Service;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use team::{PATIENCE, Team, VERSION, key, now};

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
    pub(crate) slack: Team,
    pub(crate) cd: Arc<FakeBackend>,
    pub(crate) host: Box<dyn Host>,
}

/// Whatever people do.
impl Deref for Stage {
    type Target = Team;

    fn deref(&self) -> &Team {
        &self.slack
    }
}

pub(crate) fn history() -> Vec<Revision> {
    let ago = |hours: u64| Timestamp::from_millis(now().as_millis() - hours * 3_600_000);
    [("42", VERSION, 0), ("41", "2.13.4", 26), ("40", "2.13.3", 50)]
        .map(|(id, version, hours)| rollback_testkit::fixtures::revision(id, version, ago(hours)))
        .to_vec()
}

pub(crate) fn cd() -> Arc<FakeBackend> {
    let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
    Arc::new(FakeBackend::with_history(key(), capabilities, history()))
}

pub(crate) fn deploy(id: &str, revision: &str, version: &str) -> Deploy {
    let mut deploy = team::deploy(id, version);
    deploy.revision = Some(revision.parse().expect("an id"));
    deploy
}

impl Stage {
    pub(crate) async fn set(kind: Kind) -> Self {
        Self::set_with(kind, 0).await
    }

    /// A stage on which so many others must approve.
    pub(crate) async fn set_with(kind: Kind, approvals: u8) -> Self {
        let (slack, cd) = (Team::start().await, cd());
        let host: Box<dyn Host> = match kind {
            Kind::Embedded => Box::new(Embedded::start(&slack, &cd, approvals).await),
            Kind::PlatformService => Box::new(Service::start(&slack, &cd, approvals).await),
        };
        slack.set_interactivity_url(host.callbacks());
        Self { slack, cd, host }
    }

    pub(crate) async fn report(&self) {
        self.host.report(deploy("ci-4711", "42", VERSION)).await;
        self.deploy_message().await;
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
}
