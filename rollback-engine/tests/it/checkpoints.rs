//! Checkpoints of the audit log: when they are made, that every sink gets them, and that none is
//! made of a log that is not the one that was signed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_trait::async_trait;
use rollback_audit::{Signer, SigningKey};
use rollback_core::audit::{Record, SignedCheckpoint};
use rollback_core::ports::{
    AuditLog as _, AuditSink, Capabilities, CheckpointSigner, CompareAndSet, ErrorKind, Fence,
    Journals as _, PortError, Store, StoreError,
};
use rollback_engine::{Catalog, Checkpoints, Engine, EngineBuilder, NotReady, ServiceConfig};
use rollback_store::MemoryStore;
use rollback_testkit::ManualClock;
use rollback_testkit::fakes::{FakeBackend, FakeDirectory};
use rollback_testkit::fixtures::{self, parsed};
use rollback_testkit::script::{Ending, Script};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Keeps checkpoints where no database is.
#[derive(Debug, Default)]
struct Vault {
    notes: Mutex<Vec<String>>,
    is_down: AtomicBool,
}

impl Vault {
    fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }

    fn answer<T>(&self, good: T) -> Result<T, PortError> {
        if self.is_down.load(Ordering::Relaxed) {
            Err(PortError::new(ErrorKind::Retry(None), "vault", "answer", "it is down"))
        } else {
            Ok(good)
        }
    }
}

#[async_trait]
impl AuditSink for Vault {
    fn name(&self) -> &'static str {
        "vault"
    }
    async fn record(&self, _: &Record) -> Result<(), PortError> {
        Ok(())
    }
    async fn checkpoint(&self, checkpoint: &SignedCheckpoint) -> Result<(), PortError> {
        self.answer(())?;
        self.notes.lock().unwrap().push(checkpoint.note.clone());
        Ok(())
    }
    async fn last_checkpoint(&self) -> Result<Option<String>, PortError> {
        self.answer(self.notes().last().cloned())
    }
}

fn signer() -> Arc<Signer> {
    let key = SigningKey::new("rollback.example.com/audit", &[1; 32].into()).unwrap();
    Arc::new(Signer::new(key))
}

async fn record(store: &MemoryStore, rollback: &str, ending: Ending) {
    for commit in Script::new(rollback).commits(ending) {
        store.commit(commit).await.unwrap();
    }
}

/// An engine that does nothing but keep its log.
fn started(store: &Arc<MemoryStore>, vault: &Arc<Vault>) -> Engine {
    let clock = Arc::new(ManualClock::starting_at(fixtures::at(0)));
    let for_directory: Arc<dyn rollback_core::ports::Clock> = Arc::<ManualClock>::clone(&clock);
    let directory = Arc::new(FakeDirectory::new(for_directory, fixtures::everybody()));
    let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(store);
    let sink: Arc<dyn AuditSink> = Arc::<Vault>::clone(vault);
    let service = ServiceConfig::new(parsed("prod"), parsed("C0PAYMENTS"));
    let catalog = Catalog::new(fixtures::access_policy()).with(fixtures::key(), service);
    let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
    let engine = EngineBuilder::new(store, directory, catalog)
        .backend(parsed("prod"), Arc::new(FakeBackend::new(capabilities)))
        .clock(clock)
        .sink(sink)
        .checkpoints(Checkpoints::new(signer()))
        .build()
        .unwrap();
    let running = engine.clone();
    tokio::spawn(async move { running.run(std::future::pending()).await });
    engine
}

/// On paused time a sleep ends when nobody has anything left to do before it.
async fn minutes(minutes: u64) {
    tokio::time::sleep(Duration::from_secs(minutes * 60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_is_made_at_the_start_and_every_ten_minutes_of_silence() {
    let (store, vault) = (Arc::new(MemoryStore::default()), Arc::new(Vault::default()));
    record(&store, "rb-1", Ending::Succeeded).await;
    let engine = started(&store, &vault);
    minutes(1).await;
    let head = store.head().await.unwrap();
    let first = signer().open(&vault.notes()[0]).unwrap();
    assert_eq!((vault.notes().len(), &first.checkpoint.head), (1, &head));
    minutes(25).await;
    assert_eq!(vault.notes().len(), 3, "two of them in silence");
    record(&store, "rb-2", Ending::Failed).await;
    minutes(10).await;
    let last = signer().open(vault.notes().last().unwrap()).unwrap();
    assert_eq!(last.checkpoint.head, store.head().await.unwrap());
    assert_eq!(last.checkpoint.epoch, first.checkpoint.epoch, "one process made them all");
    let standing = engine.checkpoints().unwrap();
    assert_eq!((standing.last, standing.problem), (Some(last), None));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_was_down_gets_the_newest_checkpoint_and_a_start_waits_for_it() {
    let (store, vault) = (Arc::new(MemoryStore::default()), Arc::new(Vault::default()));
    vault.is_down.store(true, Ordering::Relaxed);
    let engine = started(&store, &vault);
    minutes(15).await;
    let standing = engine.checkpoints().unwrap();
    assert_eq!(standing.last, None, "who knows what was signed before");
    assert!(standing.problem.unwrap().contains("it is down"));
    vault.is_down.store(false, Ordering::Relaxed);
    minutes(1).await;
    assert_eq!(vault.notes().len(), 1);
    vault.is_down.store(true, Ordering::Relaxed);
    minutes(30).await;
    assert_eq!(vault.notes().len(), 1);
    vault.is_down.store(false, Ordering::Relaxed);
    minutes(1).await;
    assert_eq!(vault.notes().len(), 2, "the newest, once, and none of those it replaced");
}

/// The database was changed while the service was down.
#[tokio::test(start_paused = true)]
async fn a_log_that_does_not_go_on_from_what_was_signed_is_not_signed() {
    let (store, vault) = (Arc::new(MemoryStore::default()), Arc::new(Vault::default()));
    record(&store, "rb-1", Ending::Succeeded).await;
    drop(started(&store, &vault));
    minutes(1).await;
    let signed = vault.notes();
    assert_eq!(signed.len(), 1);

    let cut = Arc::new(MemoryStore::default());
    let other = Arc::new(MemoryStore::default());
    record(&other, "rb-9", Ending::Succeeded).await;
    record(&other, "rb-10", Ending::Succeeded).await;
    let same = Arc::new(MemoryStore::default());
    record(&same, "rb-1", Ending::Succeeded).await;
    record(&same, "rb-2", Ending::Succeeded).await;
    for (log, problem) in
        [(cut, Some("its end was cut off")), (other, Some("it was rewritten")), (same, None)]
    {
        let kept = Mutex::new(signed.clone());
        let vault = Arc::new(Vault { notes: kept, ..Vault::default() });
        let engine = started(&log, &vault);
        minutes(21).await;
        let standing = engine.checkpoints().unwrap();
        match problem {
            Some(problem) => {
                assert!(standing.problem.as_ref().unwrap().contains(problem), "{standing:?}");
                assert_eq!(vault.notes().len(), 1, "nothing else is signed: {problem}");
                let ready = engine.ready().await;
                assert!(
                    matches!(ready, Err(NotReady::Store(StoreError::WentBack(_)))),
                    "nothing is written to it either: {ready:?}"
                );
            }
            None => assert_eq!((standing.problem, vault.notes().len()), (None, 4)),
        }
    }
}
