//! A panic in a background loop ends neither the loop nor the process: the loop begins anew after a
//! pause, and whoever asks how the engine stands is told.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use async_trait::async_trait;
use rollback_audit::{Signer, SigningKey};
use rollback_core::audit::{Checkpoint, Draft, Head, Record, SignedCheckpoint};
use rollback_core::notice::{Attempt, DeployCard, MessageRef};
use rollback_core::observed::{Freeze, ServiceRecord};
use rollback_core::ports::{
    AuditLog, Capabilities, CheckpointSigner, Claim, Claims, Clock, Commit, Committed,
    CompareAndSet, Fence, Hint, Hints, Instance, Journal, Journals, Listed, Outbox, PortError,
    Pruned, Query, Queued, Receipts, Retention, SavedDeploy, Services, Store, StoreError,
    StoreLeft, Unreadable,
};
use rollback_core::{
    Deploy, DeployId, Label, RollbackId, RollbackView, ServiceChange, ServiceKey, Timestamp,
};
use rollback_engine::{Catalog, Checkpoints, Engine, EngineBuilder, ServiceConfig};
use rollback_store::MemoryStore;
use rollback_testkit::fakes::{FakeBackend, FakeDirectory, FakeSink};
use rollback_testkit::fixtures::{self, parsed};
use rollback_testkit::{Chat, ManualClock};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A panic that prints nothing.
fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("a mistake in the code that answers"))
}

/// Counts what is called, and panics where it was told to.
#[derive(Debug, Default)]
struct Traps {
    calls: Mutex<BTreeMap<&'static str, usize>>,
    /// Which call, counted from 1, panics, of which name.
    armed: Mutex<Vec<(&'static str, usize)>>,
}

impl Traps {
    fn at(name: &'static str, calls: impl IntoIterator<Item = usize>) -> Arc<Self> {
        let armed = calls.into_iter().map(|call| (name, call)).collect();
        Arc::new(Self { calls: Mutex::default(), armed: Mutex::new(armed) })
    }

    fn point(&self, name: &'static str) {
        let call = {
            let mut calls = self.calls.lock().unwrap();
            let count = calls.entry(name).or_default();
            *count += 1;
            *count
        };
        if self.armed.lock().unwrap().contains(&(name, call)) {
            panic_quietly();
        }
    }

    fn calls(&self, name: &str) -> usize {
        self.calls.lock().unwrap().get(name).copied().unwrap_or(0)
    }
}

#[derive(Debug)]
struct Trapped {
    inner: MemoryStore,
    traps: Arc<Traps>,
}

impl Trapped {
    fn point(&self, name: &'static str) {
        self.traps.point(name);
    }
}

#[derive(Debug)]
struct TrappedHints(Box<dyn Hints>, Arc<Traps>);

#[async_trait]
impl Hints for TrappedHints {
    async fn next(&mut self) -> Hint {
        self.1.point("next");
        self.0.next().await
    }
}

#[async_trait]
impl Journals for Trapped {
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.point("commit");
        self.inner.commit(commit).await
    }

    async fn load(&self, id: &RollbackId) -> Result<Option<Journal>, StoreError> {
        self.point("load");
        self.inner.load(id).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Listed>, StoreError> {
        self.point("list");
        self.inner.list(query).await
    }

    async fn shown(&self, deploy: &DeployId) -> Result<Option<RollbackView>, StoreError> {
        self.point("shown");
        self.inner.shown(deploy).await
    }

    async fn unattended(&self, now: Timestamp) -> Result<Vec<RollbackId>, StoreError> {
        self.point("unattended");
        self.inner.unattended(now).await
    }

    async fn put_aside(&self) -> Result<Vec<RollbackId>, StoreError> {
        self.point("put_aside");
        self.inner.put_aside().await
    }
}

#[async_trait]
impl Claims for Trapped {
    async fn claim(
        &self,
        id: &RollbackId,
        owner: &Instance,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        self.point("claim");
        self.inner.claim(id, owner, now, lease).await
    }

    async fn attempt(&self, claim: &Claim, name: &Label) -> Result<u32, StoreError> {
        self.point("attempt");
        self.inner.attempt(claim, name).await
    }

    async fn attempts(&self, id: &RollbackId) -> Result<u32, StoreError> {
        self.point("attempts");
        self.inner.attempts(id).await
    }

    async fn survived(&self, claim: &Claim) -> Result<(), StoreError> {
        self.point("survived");
        self.inner.survived(claim).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.point("release");
        self.inner.release(claim).await
    }
}

#[async_trait]
impl Services for Trapped {
    async fn save_deploy(
        &self,
        card: &DeployCard,
        notices: Vec<Queued>,
    ) -> Result<SavedDeploy, StoreError> {
        self.point("save_deploy");
        self.inner.save_deploy(card, notices).await
    }

    async fn update_deploy(
        &self,
        card: &DeployCard,
        notices: Vec<Queued>,
    ) -> Result<(), StoreError> {
        self.point("update_deploy");
        self.inner.update_deploy(card, notices).await
    }

    async fn deploy(&self, id: &DeployId) -> Result<Option<DeployCard>, StoreError> {
        self.point("deploy");
        self.inner.deploy(id).await
    }

    async fn deploys(&self, key: &ServiceKey, limit: usize) -> Result<Vec<Deploy>, StoreError> {
        self.point("deploys");
        self.inner.deploys(key, limit).await
    }

    async fn record(&self, key: &ServiceKey) -> Result<ServiceRecord, StoreError> {
        self.point("record");
        self.inner.record(key).await
    }

    async fn freezes(&self, key: &ServiceKey) -> Result<Vec<Freeze>, StoreError> {
        self.point("freezes");
        self.inner.freezes(key).await
    }

    async fn change(
        &self,
        key: &ServiceKey,
        change: &ServiceChange,
        record: Draft,
        notices: Vec<Queued>,
    ) -> Result<bool, StoreError> {
        self.point("change");
        self.inner.change(key, change, record, notices).await
    }
}

#[async_trait]
impl Outbox for Trapped {
    async fn queue(&self, notices: Vec<Queued>) -> Result<(), StoreError> {
        self.point("queue");
        self.inner.queue(notices).await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Queued>, StoreError> {
        self.point("due");
        self.inner.due(now, limit).await
    }

    async fn take(
        &self,
        owner: &Instance,
        now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Queued>, StoreError> {
        self.point("take");
        self.inner.take(owner, now, hold, limit).await
    }

    async fn put_off_unreadable(
        &self,
        owner: &Instance,
        now: Timestamp,
        not_before: Timestamp,
        attempts_max: u32,
        limit: usize,
    ) -> Result<Vec<Unreadable>, StoreError> {
        self.point("put_off_unreadable");
        self.inner.put_off_unreadable(owner, now, not_before, attempts_max, limit).await
    }

    async fn give_back(&self, queued: &[Queued]) -> Result<(), StoreError> {
        self.point("give_back");
        self.inner.give_back(queued).await
    }

    async fn next_due(
        &self,
        owner: &Instance,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.point("next_due");
        self.inner.next_due(owner, now).await
    }

    async fn waiting(&self) -> Result<u64, StoreError> {
        self.point("waiting");
        self.inner.waiting().await
    }

    async fn delivered(
        &self,
        queued: &Queued,
        message: Option<MessageRef>,
    ) -> Result<(), StoreError> {
        self.point("delivered");
        self.inner.delivered(queued, message).await
    }

    async fn postpone(
        &self,
        queued: &Queued,
        not_before: Timestamp,
        attempt: Attempt,
    ) -> Result<(), StoreError> {
        self.point("postpone");
        self.inner.postpone(queued, not_before, attempt).await
    }

    async fn abandon(&self, queued: &Queued, why: &str) -> Result<(), StoreError> {
        self.point("abandon");
        self.inner.abandon(queued, why).await
    }

    async fn message(&self, notifier: &str, key: &Label) -> Result<Option<MessageRef>, StoreError> {
        self.point("message");
        self.inner.message(notifier, key).await
    }
}

#[async_trait]
impl AuditLog for Trapped {
    async fn append(&self, record: Draft) -> Result<(), StoreError> {
        self.point("append");
        self.inner.append(record).await
    }

    async fn audit(&self, query: &Query) -> Result<Vec<Record>, StoreError> {
        self.point("audit");
        self.inner.audit(query).await
    }

    async fn last_record(&self, rollback: &RollbackId) -> Result<Option<Record>, StoreError> {
        self.point("last_record");
        self.inner.last_record(rollback).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.point("head");
        self.inner.head().await
    }

    async fn unacknowledged(&self, sink: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.point("unacknowledged");
        self.inner.unacknowledged(sink, limit).await
    }

    async fn acknowledge(&self, sink: &str, sequence: u64) -> Result<(), StoreError> {
        self.point("acknowledge");
        self.inner.acknowledge(sink, sequence).await
    }
}

#[async_trait]
impl Receipts for Trapped {
    async fn see(
        &self,
        digests: &[[u8; 32]],
        now: Timestamp,
        keep: Duration,
    ) -> Result<bool, StoreError> {
        self.point("see");
        self.inner.see(digests, now, keep).await
    }
}

#[async_trait]
impl Store for Trapped {
    async fn prune(&self, now: Timestamp, keep: Retention) -> Result<Pruned, StoreError> {
        self.point("prune");
        self.inner.prune(now, keep).await
    }

    async fn compare(&self, kept: &Head) -> Result<(), StoreError> {
        self.point("compare");
        self.inner.compare(kept).await
    }

    async fn acknowledge_loss(&self) -> Result<(), StoreError> {
        self.point("acknowledge_loss");
        self.inner.acknowledge_loss().await
    }

    fn hints(&self) -> Box<dyn Hints> {
        Box::new(TrappedHints(self.inner.hints(), Arc::clone(&self.traps)))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.point("ping");
        self.inner.ping().await
    }

    async fn close(&self) -> Result<(), StoreLeft> {
        self.point("close");
        self.inner.close().await
    }
}

/// Signs, or panics.
#[derive(Debug)]
struct TrappedSigner(Signer, Arc<Traps>);

impl CheckpointSigner for TrappedSigner {
    fn sign(&self, checkpoint: Checkpoint) -> Result<SignedCheckpoint, PortError> {
        self.1.point("sign");
        self.0.sign(checkpoint)
    }

    fn open(&self, note: &str) -> Result<SignedCheckpoint, PortError> {
        self.0.open(note)
    }
}

struct Stage {
    engine: Engine,
    traps: Arc<Traps>,
    chat: Arc<Chat>,
    stop: CancellationToken,
    host: tokio::task::JoinHandle<Result<(), StoreError>>,
}

impl Stage {
    /// An engine on a store of which these calls panic.
    fn with(traps: Arc<Traps>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::starting_at(fixtures::at(0)));
        let store = Arc::new(Trapped { inner: MemoryStore::default(), traps: Arc::clone(&traps) });
        let directory = Arc::new(FakeDirectory::new(Arc::clone(&clock), fixtures::everybody()));
        let service = ServiceConfig::new(parsed("prod"), parsed("C0PAYMENTS"));
        let catalog = Catalog::new(fixtures::access_policy()).with(fixtures::key(), service);
        let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
        let chat = Arc::new(Chat::new());
        let key = SigningKey::new("rollback.example.com/audit", &[1; 32].into()).unwrap();
        let signer = TrappedSigner(Signer::new(key), Arc::clone(&traps));
        let engine = EngineBuilder::new(store, directory, catalog)
            .backend(parsed("prod"), Arc::new(FakeBackend::new(capabilities)))
            .notifier(Arc::<Chat>::clone(&chat))
            .sink(Arc::new(FakeSink::new()))
            .checkpoints(Checkpoints::new(Arc::new(signer)))
            .clock(clock)
            .build()
            .unwrap();
        let stop = CancellationToken::new();
        let (running, stopped) = (engine.clone(), stop.clone());
        let host = tokio::spawn(async move { running.run(stopped.cancelled()).await });
        Self { engine, traps, chat, stop, host }
    }

    async fn deployed(&self) {
        let mut deploy = Deploy::new(parsed("ci-42"), fixtures::key(), "2.14.0", self.engine.now());
        deploy.revision = Some(parsed("42"));
        self.engine.deployed(deploy).await.unwrap();
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _look in 0..1_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("never: {what}");
    }

    async fn stop(self) {
        self.stop.cancel();
        self.host.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_notices_are_delivered_delays_them_and_no_more() {
    for call in ["take", "next_due"] {
        let stage = Stage::with(Traps::at(call, 1..=2));
        stage.deployed().await;
        stage.until("it is told", |stage| !stage.chat.messages().is_empty()).await;
        stage.until("the loop goes on", |stage| stage.traps.calls(call) > 2).await;
        stage.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_the_audit_log_is_exported_delays_it_and_no_more() {
    let stage = Stage::with(Traps::at("unacknowledged", [1]));
    stage.until("the loop goes on", |stage| stage.traps.calls("unacknowledged") > 1).await;
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_a_checkpoint_is_signed_delays_it_and_no_more() {
    let stage = Stage::with(Traps::at("sign", [1]));
    let signed = |stage: &Stage| stage.engine.checkpoints().is_some_and(|it| it.last.is_some());
    stage.until("a checkpoint is signed", signed).await;
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_hints_are_followed_is_followed_by_new_ones() {
    let stage = Stage::with(Traps::at("next", [1]));
    stage.until("the loop goes on", |stage| stage.traps.calls("next") > 1).await;
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_deploys_are_looked_at_again_is_followed_by_another_look() {
    let stage = Stage::with(Traps::at("deploys", [1]));
    stage.until("the loop goes on", |stage| stage.traps.calls("deploys") > 1).await;
    let failing = |name| {
        let loops = stage.engine.loops();
        let standing = loops.into_iter().find(|standing| standing.name == name).unwrap();
        (standing.panics, standing.failing_since)
    };
    assert_eq!(failing("deploys"), (1, None), "once is chance");
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_panics_again_is_told_until_it_has_been_calm_for_a_while() {
    let stage = Stage::with(Traps::at("deploys", [1, 2]));
    stage.until("the loop goes on", |stage| stage.traps.calls("deploys") > 2).await;
    let failing = |name| {
        let loops = stage.engine.loops();
        let standing = loops.into_iter().find(|standing| standing.name == name).unwrap();
        (standing.panics, standing.failing_since)
    };
    assert_eq!(failing("deploys"), (2, Some(fixtures::at(0))));
    assert_eq!(failing("outbox"), (0, None));
    tokio::time::sleep(Duration::from_secs(301)).await;
    assert_eq!(failing("deploys"), (2, None), "it is well again");
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_unattended_rollbacks_are_looked_for_does_not_end_the_engine() {
    // The first look is that of the start.
    let stage = Stage::with(Traps::at("unattended", [2]));
    stage.until("the loop goes on", |stage| stage.traps.calls("unattended") > 2).await;
    assert!(stage.engine.ready().await.is_ok());
    stage.stop().await;
}
