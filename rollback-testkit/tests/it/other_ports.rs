//! The small fakes pass the suites of their ports.

use async_trait::async_trait;
use rollback_core::access::Account;
use rollback_core::audit::Record;
use rollback_core::notice::Notice;
use rollback_core::ports::{AuditSink, Directory, Notifier};
use rollback_core::{ChannelId, GroupId, UserId, WorkspaceId};
use rollback_testkit::fakes::{FakeDirectory, FakeNotifier, FakeSink, NotifierFault};
use rollback_testkit::{ManualClock, Simulated, audit_sink, directory, fixtures, notifier};
use std::sync::Arc;

struct Sink(FakeSink);

#[async_trait]
impl audit_sink::Harness for Sink {
    fn sink(&self) -> &dyn AuditSink {
        &self.0
    }
    async fn kept(&self) -> Vec<Record> {
        self.0.records()
    }
    async fn break_down(&self) -> Simulated {
        self.0.break_down();
        Simulated::Done
    }
    async fn heal(&self) {
        self.0.heal();
    }
}

#[tokio::test]
async fn the_fake_audit_sink_conforms() {
    audit_sink::run_all(async || Sink(FakeSink::new())).await.skips_only(&[]);
}

struct People(FakeDirectory);

#[async_trait]
impl directory::Harness for People {
    fn directory(&self) -> &dyn Directory {
        &self.0
    }
    fn workspace(&self) -> WorkspaceId {
        fixtures::home()
    }
    fn member(&self) -> (UserId, GroupId, GroupId) {
        (fixtures::bo().id(), fixtures::payments(), fixtures::incident())
    }
    fn others(&self) -> Vec<(UserId, Account)> {
        [fixtures::guest(), fixtures::stranger(), fixtures::bot(), fixtures::gone()]
            .map(|person| (person.id(), person.account))
            .to_vec()
    }
    fn nobody(&self) -> UserId {
        fixtures::parsed("U0NOBODY")
    }
    fn no_group(&self) -> GroupId {
        fixtures::parsed("S0NOTHING")
    }
    async fn leave(&self) {
        let mut bo = fixtures::bo();
        bo.groups.clear();
        self.0.put(bo);
    }
    async fn break_down(&self) {
        self.0.break_down("the directory did not answer within 10 s");
    }
}

#[tokio::test]
async fn the_fake_directory_conforms() {
    let clock = Arc::new(ManualClock::starting_at(fixtures::at(0)));
    let make = async || {
        People(FakeDirectory::new(Arc::<ManualClock>::clone(&clock), fixtures::everybody()))
    };
    directory::run_all(make).await.skips_only(&[]);
}

struct Chat(FakeNotifier);

#[async_trait]
impl notifier::Harness for Chat {
    fn notifier(&self) -> &dyn Notifier {
        &self.0
    }
    fn channel(&self) -> ChannelId {
        fixtures::parsed("C0DEPLOYS")
    }
    async fn messages(&self) -> usize {
        self.0.keys().len()
    }
    async fn shows(&self, text: &str) -> bool {
        self.0.shown().iter().any(
            |notice| matches!(notice, Notice::Deploy(card) if card.deploy.version.as_str() == text),
        )
    }
    async fn cut(&self) {
        self.0.fail(NotifierFault::Retry(None));
    }
    async fn heal(&self) {}
    async fn lose_next_answer(&self) -> Simulated {
        self.0.fail(NotifierFault::PostedInDoubt);
        Simulated::Done
    }
}

#[tokio::test]
async fn the_fake_notifier_conforms() {
    notifier::run_all(async || Chat(FakeNotifier::new())).await.skips_only(&[]);
}
