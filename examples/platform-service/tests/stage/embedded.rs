//! The forty lines of README.

use super::{CHANNEL, Host, OWNER, SECRET, TEAM, TOKEN, key};
use async_trait::async_trait;
use embedding::{Settings, rollback};
use local_slack::LocalSlack;
use rollback_core::access::{AccessPolicy, Principal, Rule};
use rollback_core::ports::{CdBackend, Query};
use rollback_core::{Deploy, StateName};
use rollback_engine::{Catalog, Engine, ServiceConfig};
use rollback_testkit::fakes::FakeBackend;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) struct Embedded {
    engine: Engine,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    runner: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

fn catalog(approvals: u8) -> Catalog {
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
    service.approvals_min = approvals;
    Catalog::new(access).with(key, service)
}

impl Embedded {
    pub(crate) async fn start(slack: &LocalSlack, cd: &Arc<FakeBackend>, approvals: u8) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings {
            bot_token: TOKEN.into(),
            signing_secret: SECRET.into(),
            workspace: TEAM.parse().expect("an id"),
            database: folder.path().join("rollback.db"),
            slack_api: slack.api_url(),
        };
        let backend: Arc<dyn CdBackend> = Arc::<FakeBackend>::clone(cd);
        let backends = vec![("prod".parse().expect("a name"), backend)];
        let (engine, routes) =
            rollback(settings, catalog(approvals), backends).await.expect("a host");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("a server");
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let running = engine.clone();
        let runner = tokio::spawn(async move {
            let until = async move { stopped.await.expect("a stage that says stop") };
            running.run(until).await.expect("a readable store");
        });
        Self { engine, address, stop, server, runner, _folder: folder }
    }
}

#[async_trait]
impl Host for Embedded {
    fn callbacks(&self) -> String {
        format!("http://{}/slack/interactivity", self.address)
    }

    async fn report(&self, deploy: Deploy) {
        self.engine.deployed(deploy).await.expect("a kept deploy");
    }

    async fn states(&self) -> Vec<StateName> {
        let views = self.engine.rollbacks(&Query::all(10)).await.expect("a list");
        views.into_iter().map(|view| view.state).collect()
    }

    async fn stop(self: Box<Self>) {
        self.stop.send(()).expect("a running engine");
        self.runner.await.expect("a clean shutdown");
        self.server.abort();
    }
}
