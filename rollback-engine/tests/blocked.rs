//! What blocks a rollback is known before somebody needs one, by name, and told when it lasts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_trait::async_trait;
use rollback_core::notice::{Blocked, Delivered, Delivery, MessageRef, Notice};
use rollback_core::ports::{
    Capabilities, Clock, CompareAndSet, Fence, Notifier, NotifyError, Store,
};
use rollback_engine::{Catalog, Engine, EngineBuilder, Part, ServiceConfig, Status};
use rollback_store::MemoryStore;
use rollback_testkit::ManualClock;
use rollback_testkit::fakes::{FakeBackend, FakeDirectory, Fault, Method};
use rollback_testkit::fixtures::{self, parsed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Whoever is on call, and what they were told.
#[derive(Debug, Default)]
struct OnCall(Mutex<Vec<(Blocked, Option<MessageRef>)>>);

#[async_trait]
impl Notifier for OnCall {
    fn name(&self) -> &'static str {
        "pager"
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, NotifyError> {
        let Notice::Blocked(blocked) = &delivery.notice else { return Ok(Delivered::NotMine) };
        let mut told = self.0.lock().unwrap();
        told.push((blocked.as_ref().clone(), delivery.previous.clone()));
        Ok(Delivered::Posted(MessageRef::new(delivery.channel.clone(), told.len().to_string())))
    }
}

struct Site {
    engine: Engine,
    cd: Arc<FakeBackend>,
    on_call: Arc<OnCall>,
    stop: CancellationToken,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Site {
    fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::starting_at(fixtures::at(0)));
        let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
        let cd = Arc::new(FakeBackend::new(capabilities));
        let people = FakeDirectory::new(Arc::clone(&clock), fixtures::everybody());
        let service = ServiceConfig::new(parsed("prod"), parsed("C0PAYMENTS"));
        let catalog = Catalog::new(fixtures::access_policy()).with(fixtures::key(), service);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let on_call = Arc::new(OnCall::default());
        let backend: Arc<FakeBackend> = Arc::clone(&cd);
        let pager: Arc<OnCall> = Arc::clone(&on_call);
        let engine = EngineBuilder::new(store, Arc::new(people), catalog)
            .backend(parsed("prod"), backend)
            .notifier(pager)
            .clock(clock)
            .probe_every(Duration::from_secs(15))
            .build();
        let stop = CancellationToken::new();
        let (running, stopped) = (engine.clone(), stop.clone().cancelled_owned());
        tokio::spawn(async move { running.run(stopped).await });
        Self { engine, cd, on_call, stop }
    }

    fn told(&self) -> Vec<(Blocked, Option<MessageRef>)> {
        self.on_call.0.lock().unwrap().clone()
    }

    fn hang(&self) {
        (0..1_000).for_each(|_| self.cd.fail(Method::Live, Fault::Hang));
    }
}

fn blocked(status: &Status) -> Vec<Part> {
    status.blockers().map(|(part, _)| part.clone()).collect()
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_cd_system_that_hangs_is_named_although_nobody_rolls_back() {
    let site = Site::new();
    pass(20).await;
    assert_eq!(blocked(&site.engine.health().await), []);
    site.hang();
    pass(60).await;
    let status = site.engine.health().await;
    assert_eq!(blocked(&status), [Part::Cd(parsed("prod"))]);
    let (_, trouble) = status.blockers().next().unwrap();
    assert!(trouble.why.contains("did not answer for"), "{}", trouble.why);
    assert!(trouble.since > fixtures::at(0));
    site.cd.clear_faults();
    pass(60).await;
    assert_eq!(blocked(&site.engine.health().await), []);
}

#[tokio::test(start_paused = true)]
async fn what_blocks_rollbacks_for_long_is_told_to_whoever_is_on_call_and_so_is_its_end() {
    let site = Site::new();
    pass(20).await;
    site.hang();
    pass(100).await;
    assert_eq!(site.told(), [], "a moment is no trouble");
    pass(600).await;
    let told = site.told();
    assert_eq!(told.len(), 1, "once, however long it lasts: {told:?}");
    let (first, previous) = &told[0];
    assert!(first.what.contains("prod") && first.over.is_none(), "{first:?}");
    assert_eq!(*previous, None);
    site.cd.clear_faults();
    pass(60).await;
    let told = site.told();
    assert_eq!(told.len(), 2, "{told:?}");
    let (last, previous) = &told[1];
    assert!(last.over.is_some() && last.since == first.since, "{last:?}");
    assert_eq!(previous.as_ref().unwrap().id.as_str(), "1", "the same message");
    pass(600).await;
    assert_eq!(site.told().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_the_host_reports_is_told_with_the_rest() {
    let site = Site::new();
    let part = Part::Chat("slack".into());
    site.engine.report(part.clone(), Err("invalid_auth".into()));
    assert_eq!(blocked(&site.engine.health().await), std::slice::from_ref(&part));
    site.engine.report(part, Ok(()));
    assert_eq!(blocked(&site.engine.health().await), []);
}
