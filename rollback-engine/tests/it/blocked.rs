//! What blocks a rollback is known before somebody needs one, by name, and told when it lasts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_trait::async_trait;
use rollback_core::audit::Record;
use rollback_core::notice::{Blocked, Delivered, Delivery, MessageRef, Notice};
use rollback_core::ports::{
    AuditSink, Capabilities, CdBackend, Clock, CompareAndSet, ErrorKind, Fence, Journals as _,
    Notifier, NotifyError, Outbox as _, PortError, Queued, Store,
};
use rollback_core::{PerService, ServiceKey};
use rollback_engine::{Catalog, Engine, EngineBuilder, Part, Required, ServiceConfig, Status};
use rollback_store::MemoryStore;
use rollback_testkit::ManualClock;
use rollback_testkit::fakes::{FakeBackend, FakeDirectory, Fault, Method};
use rollback_testkit::fixtures::{self, parsed};
use rollback_testkit::script::{Ending, Script};
use std::sync::atomic::{AtomicBool, Ordering};
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

/// An audit log whose disk is nearly full: what fits is kept.
#[derive(Debug, Default)]
struct Disk {
    is_full: AtomicBool,
}

#[async_trait]
impl AuditSink for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }

    async fn record(&self, _: &Record) -> Result<(), PortError> {
        Ok(())
    }

    async fn look(&self) -> Result<(), PortError> {
        if self.is_full.load(Ordering::Relaxed) {
            let what = "the disk of the file is full";
            return Err(PortError::new(ErrorKind::Retry(None), "audit file", "look", what));
        }
        Ok(())
    }
}

/// A chat that says these things to what is posted, one after the other, and then that it is blocked.
#[derive(Debug, Default)]
struct Refusing(Mutex<Vec<NotifyError>>);

#[async_trait]
impl Notifier for Refusing {
    fn name(&self) -> &'static str {
        "chat"
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, NotifyError> {
        if matches!(delivery.notice, Notice::Blocked(_)) {
            return Ok(Delivered::NotMine);
        }
        let said = self.0.lock().unwrap().pop();
        Err(said.unwrap_or_else(|| NotifyError::Blocked { why: "is_archived".into() }))
    }
}

struct Site {
    engine: Engine,
    cd: Arc<FakeBackend>,
    people: Arc<FakeDirectory>,
    on_call: Arc<OnCall>,
    disk: Arc<Disk>,
    stop: CancellationToken,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Site {
    fn new() -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        Self::with(store, None)
    }

    fn with(store: Arc<dyn Store>, chat: Option<Arc<dyn Notifier>>) -> Self {
        Self::of_services(store, chat, Vec::new())
    }

    fn of_services(
        store: Arc<dyn Store>,
        chat: Option<Arc<dyn Notifier>>,
        others: Vec<(ServiceKey, Arc<dyn CdBackend>)>,
    ) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::starting_at(fixtures::at(0)));
        let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
        let cd = Arc::new(FakeBackend::new(capabilities));
        let people = FakeDirectory::new(Arc::clone(&clock), fixtures::everybody());
        let people = Arc::new(people);
        let directory: Arc<FakeDirectory> = Arc::clone(&people);
        let service = ServiceConfig::new(parsed("prod"), parsed("C0PAYMENTS"));
        let catalog =
            Catalog::new(fixtures::access_policy()).with(fixtures::key(), service.clone());
        let catalog = others
            .iter()
            .fold(catalog, |catalog, (key, _)| catalog.with(key.clone(), service.clone()));
        let on_call = Arc::new(OnCall::default());
        let first: Arc<FakeBackend> = Arc::clone(&cd);
        let first: (ServiceKey, Arc<dyn CdBackend>) = (fixtures::key(), first);
        let backend: PerService = others.into_iter().chain([first]).collect();
        let pager: Arc<OnCall> = Arc::clone(&on_call);
        let disk = Arc::new(Disk::default());
        let log: Arc<Disk> = Arc::clone(&disk);
        let builder = EngineBuilder::new(store, directory, catalog)
            .backend(parsed("prod"), Arc::new(backend))
            .notifier(pager)
            .required_sink(log)
            .clock(clock)
            .probe_every(Duration::from_secs(15));
        let engine = chat.into_iter().fold(builder, EngineBuilder::notifier).build().unwrap();
        let stop = CancellationToken::new();
        let (running, stopped) = (engine.clone(), stop.clone().cancelled_owned());
        tokio::spawn(async move { running.run(stopped).await });
        Self { engine, cd, people, on_call, disk, stop }
    }

    fn told(&self) -> Vec<(Blocked, Option<MessageRef>)> {
        self.on_call.0.lock().unwrap().clone()
    }

    fn hang(&self) {
        for method in [Method::Live, Method::History] {
            (0..1_000).for_each(|_| self.cd.fail(method, Fault::Hang));
        }
    }
}

/// How the one service of [`neighbours`] is called that has no trouble.
fn other(number: usize) -> ServiceKey {
    ServiceKey::new(parsed(&format!("other-{number}")), parsed("production"))
}

/// One CD system for [`fixtures::key`] and so many other services.
fn neighbours(others: usize) -> (Site, Vec<Arc<FakeBackend>>) {
    let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
    let fake = |key| Arc::new(FakeBackend::with_history(key, capabilities, fixtures::history()));
    let cds: Vec<Arc<FakeBackend>> = (0..others).map(|number| fake(other(number))).collect();
    let mut adapters: Vec<(ServiceKey, Arc<dyn CdBackend>)> = Vec::new();
    for (number, cd) in cds.iter().enumerate() {
        let cd: Arc<FakeBackend> = Arc::clone(cd);
        adapters.push((other(number), cd));
    }
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    (Site::of_services(store, None, adapters), cds)
}

fn service(key: ServiceKey) -> Part {
    Part::Service { cd: parsed("prod"), service: key }
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

/// One CD system answers for all others: whose reads hang is named, and on-call hears of that service.
#[tokio::test(start_paused = true)]
async fn a_service_that_hangs_beside_others_of_its_cd_system_is_named_and_told_and_so_is_its_end() {
    let (site, _others) = neighbours(2);
    pass(40).await;
    assert_eq!(blocked(&site.engine.health().await), []);
    (0..1_000).for_each(|_| site.cd.fail(Method::Live, Fault::Hang));
    pass(60).await;
    assert_eq!(blocked(&site.engine.health().await), [service(fixtures::key())]);
    assert_eq!(site.told(), [], "a moment is no trouble");
    pass(600).await;
    let told = site.told();
    assert_eq!(told.len(), 1, "once, and not of the CD system: {told:?}");
    assert!(told[0].0.what.contains(&fixtures::key().to_string()), "{told:?}");
    assert!(told[0].0.why.contains("did not answer for"), "{told:?}");
    site.cd.clear_faults();
    pass(60).await;
    assert_eq!(blocked(&site.engine.health().await), []);
    assert!(site.told().last().unwrap().0.over.is_some());
}

/// It has a history, and what is live cannot be read: its rollbacks are refused all the same.
#[tokio::test(start_paused = true)]
async fn a_service_of_which_one_read_is_refused_is_named() {
    let (site, others) = neighbours(1);
    pass(40).await;
    (0..1_000).for_each(|_| others[0].fail(Method::History, Fault::Refuse));
    pass(60).await;
    assert_eq!(blocked(&site.engine.health().await), [service(other(0))]);
}

/// Nobody is woken for a service that was configured before its first deploy.
#[tokio::test(start_paused = true)]
async fn a_service_that_was_never_deployed_is_named_and_pages_nobody() {
    let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
    let cd = FakeBackend::with_history(other(1), capabilities, fixtures::history());
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let site = Site::of_services(store, None, vec![(other(0), Arc::new(cd))]);
    pass(600).await;
    assert_eq!(blocked(&site.engine.health().await), [service(other(0))]);
    assert_eq!(site.told().len(), 0, "{:?}", site.told());
}

/// A service is a blocker of its own only beside others that work.
#[tokio::test(start_paused = true)]
async fn a_cd_system_that_hangs_for_every_service_is_one_page() {
    let (site, others) = neighbours(20);
    pass(60).await;
    site.hang();
    others.iter().for_each(|cd| cd.cut());
    pass(300).await;
    assert_eq!(blocked(&site.engine.health().await), [Part::Cd(parsed("prod"))]);
    assert_eq!(site.told().len(), 1, "{:?}", site.told());
    site.cd.clear_faults();
    others.iter().for_each(|cd| cd.heal());
    pass(300).await;
    assert_eq!(blocked(&site.engine.health().await), []);
    assert_eq!(site.told().len(), 2, "the end of it, and nothing of a service: {:?}", site.told());
}

/// However many hang, each of the others is still looked at, and on-call is not paged for each.
#[tokio::test(start_paused = true)]
async fn many_services_that_hang_are_all_named_and_a_few_are_paged() {
    let (site, others) = neighbours(30);
    pass(90).await;
    others.iter().take(20).for_each(|cd| cd.cut());
    pass(300).await;
    assert_eq!(blocked(&site.engine.health().await).len(), 20);
    pass(300).await;
    assert_eq!(site.told().len(), 5, "{:?}", site.told());
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_of_the_audit_log_is_named_and_told_although_nothing_was_recorded() {
    let site = Site::new();
    let disk = Part::Sink { name: "disk".into(), required: Required::Yes };
    pass(20).await;
    assert_eq!(blocked(&site.engine.health().await), []);
    site.disk.is_full.store(true, Ordering::Relaxed);
    // The export of the audit log comes round meanwhile, and finds nothing wrong.
    pass(300).await;
    assert_eq!(blocked(&site.engine.health().await), [disk]);
    let told = site.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].0.what.contains("required audit sink \"disk\""), "{told:?}");
    assert!(told[0].0.why.contains("full"), "{told:?}");
    site.disk.is_full.store(false, Ordering::Relaxed);
    pass(60).await;
    assert_eq!(blocked(&site.engine.health().await), []);
    assert!(site.told().last().unwrap().0.over.is_some());
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

/// Slack answers: the channel is archived. That the first attempt failed says nothing any more.
#[tokio::test(start_paused = true)]
async fn a_chat_that_says_that_a_channel_is_blocked_is_in_no_trouble_itself() {
    let failed = NotifyError::Retry { after: None, why: "500".into() };
    let chat = Arc::new(Refusing(Mutex::new(vec![failed])));
    let site = Site::with(Arc::new(MemoryStore::default()), Some(chat));
    let deploy =
        rollback_core::Deploy::new(parsed("ci-42"), fixtures::key(), "2.14.0", fixtures::at(0));
    site.engine.deployed(deploy).await.unwrap();
    pass(60).await;
    let blocked = blocked(&site.engine.health().await);
    assert!(matches!(blocked.as_slice(), [Part::Channel { .. }]), "{blocked:?}");
}

/// Somebody may have no direct messages; that blocks nobody's rollback.
#[tokio::test(start_paused = true)]
async fn a_message_to_one_person_that_cannot_be_sent_blocks_no_rollback() {
    let store = Arc::new(MemoryStore::default());
    let site = Site::with(Arc::<MemoryStore>::clone(&store), Some(Arc::new(Refusing::default())));
    let view = Script::new("rb-1").commits(Ending::Succeeded).pop().unwrap().view;
    let said = Notice::Deployer { to: fixtures::ana().id(), view };
    store
        .queue(vec![Queued::new("chat", "rb-1:deployer", said, parsed("C0PAYMENTS"))])
        .await
        .unwrap();
    pass(60).await;
    let status = site.engine.health().await;
    assert!(
        status.parts.iter().any(|standing| standing.trouble.is_some()),
        "it is told: {status:?}"
    );
    assert_eq!(blocked(&status), []);
    pass(600).await;
    assert_eq!(site.told(), [], "nobody is paged for it");
}

/// An engine that nobody runs delivers nothing and picks nothing up.
#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_run_is_named() {
    let site = Site::new();
    pass(20).await;
    assert_eq!(blocked(&site.engine.health().await), []);
    site.stop.cancel();
    pass(60).await;
    let blocked: Vec<&str> = {
        let status = site.engine.health().await;
        status.blockers().map(|(part, _)| part.kind()).collect()
    };
    assert_eq!(blocked, ["engine"]);
}

/// Those that somebody settled are no reason to leave out the one that nobody did.
#[tokio::test(start_paused = true)]
async fn an_unsettled_outcome_is_named_however_many_were_settled_after_it() {
    let store = Arc::new(MemoryStore::default());
    let fill = async |id: &str, at: u64, ending| {
        let script = Script::new(id).opened_at(fixtures::at(at));
        let script = if id == "old" { script } else { script.of("other", "production") };
        for commit in script.commits(ending) {
            store.commit(commit).await.unwrap();
        }
    };
    fill("old", 0, Ending::Unknown).await;
    for number in 1..=1_000_u64 {
        fill(&format!("rb-{number}"), number * 10_000, Ending::Settled).await;
    }
    let site = Site::with(Arc::<MemoryStore>::clone(&store), None);
    let status = site.engine.health().await;
    assert_eq!(status.unsettled, Some(vec![parsed("old")]));
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_fails_is_named_although_nobody_clicks_and_so_is_its_end() {
    let site = Site::new();
    pass(20).await;
    site.people.break_down("invalid_auth");
    pass(60).await;
    let status = site.engine.health().await;
    assert_eq!(blocked(&status), [Part::Directory]);
    site.people.heal();
    pass(60).await;
    assert_eq!(blocked(&site.engine.health().await), []);
}

/// A store that hangs was not looked at: whether something is put aside, nobody knows.
#[tokio::test(start_paused = true)]
async fn what_could_not_be_looked_up_is_not_told_as_none() {
    let site = Site::new();
    pass(20).await;
    let status = site.engine.health().await;
    assert_eq!((status.put_aside, status.unsettled), (Some(Vec::new()), Some(Vec::new())));
    let status = site.engine.health_without_store(Duration::from_secs(5));
    assert_eq!((status.put_aside, status.unsettled), (None, None));
}
