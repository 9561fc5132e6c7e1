//! The host of README.

use super::Host;
use async_trait::async_trait;
use rollback_core::ports::CdBackend;
use rollback_core::{Deploy, StateName};
use rollback_testkit::fakes::FakeBackend;
use std::sync::Arc;
use std::time::Duration;
use team::Team;

pub(crate) struct Embedded {
    host: team::Host,
    _folder: tempfile::TempDir,
}

impl Embedded {
    pub(crate) async fn start(slack: &Team, cd: &Arc<FakeBackend>, approvals: u8) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let catalog = team::catalog(|service| {
            service.limits.cd_timeout = Duration::from_secs(2);
            service.approvals_min = approvals;
        });
        let backend: Arc<dyn CdBackend> = Arc::<FakeBackend>::clone(cd);
        let host = team::Host::start(slack, folder.path(), catalog, async { backend }).await;
        Self { host, _folder: folder }
    }
}

#[async_trait]
impl Host for Embedded {
    fn callbacks(&self) -> String {
        self.host.callbacks()
    }

    async fn report(&self, deploy: Deploy) {
        self.host.report(deploy).await;
    }

    async fn states(&self) -> Vec<StateName> {
        self.host.rollbacks().await.into_iter().map(|view| view.state).collect()
    }

    async fn stop(self: Box<Self>) {
        self.host.stop().await;
    }
}
