//! The stage of the end-to-end tests: a team, the embedded engine on SQLite, and a CD system in
//! memory, all talking over real sockets.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use local_slack::Options;
use rollback_core::ports::{Capabilities, CdBackend, CompareAndSet, Fence};
use rollback_core::{Deploy, Revision, StateName, Timestamp};
use rollback_engine::{DeployReport, Engine, ServiceConfig};
use rollback_testkit::fakes::FakeBackend;
use std::io::Write as _;
use std::net::TcpStream;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use team::{Host, Team, key, now, people};

pub(crate) struct Stage {
    pub(crate) slack: Team,
    pub(crate) engine: Engine,
    pub(crate) cd: Arc<FakeBackend>,
    host: Host,
    folder: tempfile::TempDir,
}

/// Whatever people do.
impl Deref for Stage {
    type Target = Team;

    fn deref(&self) -> &Team {
        &self.slack
    }
}

fn history() -> Vec<Revision> {
    let ago = |hours: u64| Timestamp::from_millis(now().as_millis() - hours * 3_600_000);
    [("42", team::VERSION, 0), ("41", "2.13.4", 26), ("40", "2.13.3", 50)]
        .map(|(id, version, hours)| rollback_testkit::fixtures::revision(id, version, ago(hours)))
        .to_vec()
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
        let slack = Team::of(more(people())).await;
        let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
        let cd = Arc::new(FakeBackend::with_history(key(), capabilities, history()));
        let folder = tempfile::tempdir().expect("a folder");
        let catalog = team::catalog(|service| {
            service.limits.cd_timeout = Duration::from_secs(2);
            configure(service);
        });
        let backend: Arc<dyn CdBackend> = Arc::<FakeBackend>::clone(&cd);
        let host = Host::start(&slack, folder.path(), catalog, async { backend }).await;
        Self { slack, engine: host.engine.clone(), cd, host, folder }
    }

    pub(crate) fn deploy(&self, id: &str, revision: &str, version: &str) -> Deploy {
        let mut deploy = team::deploy(id, version);
        deploy.revision = Some(revision.parse().expect("an id"));
        deploy
    }

    pub(crate) async fn report(&self) -> DeployReport {
        self.host.report(self.deploy("ci-4711", "42", team::VERSION)).await
    }

    /// Opens a connection to the host, and sends the beginning of a request.
    pub(crate) fn begin_a_request(&self) -> TcpStream {
        let callbacks = self.host.callbacks();
        let address = callbacks.trim_start_matches("http://").split('/').next();
        let mut connection = TcpStream::connect(address.expect("an address")).expect("a host");
        connection.write_all(b"POST /slack/interactivity HTTP/1.1\r\nHost: a").expect("a byte");
        connection
    }

    /// Stops the host in good order, and gives the folder with what it left.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.host.stop().await;
        self.folder
    }

    /// Waits until the newest rollback is in this state.
    pub(crate) async fn reaches(&self, state: StateName) {
        let _view = self.host.reaches(state).await;
    }
}
