//! Two workspaces of Slack tell what one engine does.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rollback_core::ports::{Capabilities, Clock, CompareAndSet, Fence};
use rollback_engine::{Engine, EngineBuilder, SystemClock, WiringError, WiringFault};
use rollback_slack::{Slack, SlackOptions};
use rollback_store::MemoryStore;
use rollback_testkit::fakes::FakeBackend;
use std::sync::Arc;

fn slack(workspace: &str, name: &'static str) -> Slack {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut options = SlackOptions::new("xoxb-1", "secret", workspace.parse().unwrap());
    options.name = name;
    Slack::new(options, clock).unwrap()
}

fn engine(first: &Slack, second: &Slack) -> Result<Engine, WiringError> {
    let cd = FakeBackend::new(Capabilities::new(CompareAndSet::Yes, Fence::Yes));
    let store = Arc::new(MemoryStore::default());
    EngineBuilder::new(store, first.directory(), team::catalog(|_| {}))
        .backend(team::BACKEND.parse().unwrap(), Arc::new(cd))
        .notifier(first.notifier())
        .notifier(second.notifier())
        .build()
}

#[test]
fn two_workspaces_are_wired_each_under_its_own_name() {
    let (one, other) = (slack("T0ACME", "slack"), slack("T0OTHER", "slack"));
    let twice = engine(&one, &other).map(drop).unwrap_err();
    assert_eq!(twice.faults(), [WiringFault::NotifierTwice("slack")]);
    engine(&one, &slack("T0OTHER", "other workspace")).map(drop).unwrap();
}
