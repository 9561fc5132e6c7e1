//! What is stored and cannot be read is told by name, ends, and holds up nothing else.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use async_trait::async_trait;
use rollback_core::notice::{Delivered, Delivery, MessageRef, Notice};
use rollback_core::ports::{
    Capabilities, Clock, CompareAndSet, Fence, Notifier, NotifyError, Outbox as _, Queued, Store,
};
use rollback_core::{Deploy, RollbackView};
use rollback_engine::{Catalog, Engine, EngineBuilder, PartStanding, ServiceConfig};
use rollback_store::{Options, SqliteStore};
use rollback_testkit::ManualClock;
use rollback_testkit::fakes::{FakeBackend, FakeDirectory};
use rollback_testkit::fixtures::{self, parsed};
use rollback_testkit::script::{Ending, Script};
use rusqlite::Connection;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Everything that was delivered.
#[derive(Debug, Default)]
struct Chat(Mutex<Vec<String>>);

#[async_trait]
impl Notifier for Chat {
    fn name(&self) -> &'static str {
        "chat"
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, NotifyError> {
        self.0.lock().unwrap().push(delivery.key.to_string());
        Ok(Delivered::Posted(MessageRef::new(delivery.channel.clone(), "1.0")))
    }
}

struct Site {
    store: Arc<SqliteStore>,
    file: Mutex<Connection>,
    chat: Arc<Chat>,
    engine: Engine,
    _folder: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rollback.db");
        let store = Arc::new(SqliteStore::open(path.clone(), Options::default()).await.unwrap());
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::starting_at(fixtures::at(0)));
        let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
        let directory = FakeDirectory::new(Arc::clone(&clock), fixtures::everybody());
        let service = ServiceConfig::new(parsed("prod"), parsed("C0PAYMENTS"));
        let catalog = Catalog::new(fixtures::access_policy()).with(fixtures::key(), service);
        let chat = Arc::new(Chat::default());
        let (port, notifier): (Arc<dyn Store>, Arc<dyn Notifier>) =
            (Arc::<SqliteStore>::clone(&store), Arc::<Chat>::clone(&chat));
        let engine = EngineBuilder::new(port, Arc::new(directory), catalog)
            .backend(parsed("prod"), Arc::new(FakeBackend::new(capabilities)))
            .notifier(notifier)
            .clock(clock)
            .build()
            .unwrap();
        let file = Mutex::new(Connection::open(path).unwrap());
        Self { store, file, chat, engine, _folder: folder }
    }

    fn change(&self, sql: &str) {
        assert!(
            self.file.lock().unwrap().execute(sql, []).unwrap() > 0,
            "nothing was changed by: {sql}"
        );
    }

    fn run(&self) {
        let engine = self.engine.clone();
        tokio::spawn(async move { engine.run(std::future::pending()).await });
    }

    fn delivered(&self) -> Vec<String> {
        self.chat.0.lock().unwrap().clone()
    }

    fn notices(&self) -> Vec<PartStanding> {
        let is_notice = |it: &PartStanding| it.part.kind() == "notice" && it.trouble.is_some();
        self.engine.parts().into_iter().filter(is_notice).collect()
    }

    /// Why a notice was given up, once it was.
    async fn given_up(&self, key: &str) -> String {
        let sql = "SELECT abandoned FROM outbox WHERE key = ?1";
        self.until(|| {
            let file = self.file.lock().unwrap();
            file.query_one(sql, [key], |row| row.get::<_, Option<String>>(0)).unwrap()
        })
        .await
    }

    /// Lets time pass until something is so. The store answers in real time, and no faster.
    async fn until<T: Send>(&self, look: impl Fn() -> Option<T> + Send + Sync) -> T {
        for _ in 0..10_000 {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(2)))
                .await
                .unwrap();
        }
        panic!("it did not come to it; delivered: {:?}", self.delivered());
    }
}

async fn told(store: &dyn Store) -> Box<RollbackView> {
    for commit in Script::new("rb-1").commits(Ending::Succeeded) {
        store.commit(commit).await.unwrap();
    }
    let listed = store.list(&rollback_core::ports::Query::all(1)).await.unwrap().pop().unwrap();
    Box::new(listed.view)
}

#[tokio::test(start_paused = true)]
async fn a_notice_whose_row_cannot_be_read_ends_and_holds_up_no_other() {
    let site = Site::new().await;
    let view = told(site.store.as_ref()).await;
    let page = |key: &str| Queued::new("chat", key, Notice::OnCall(view.clone()), parsed("C1"));
    site.store.queue(vec![page("damaged"), page("good")]).await.unwrap();
    site.change("UPDATE outbox SET notice = '{' WHERE key = 'damaged'");
    site.run();
    site.until(|| site.delivered().contains(&"good".to_owned()).then_some(())).await;
    let [standing] = site.notices().try_into().unwrap();
    assert_eq!(standing.part.name(), "chat/damaged");
    assert!(!standing.part.blocks(), "rollbacks go on");
    let why = site.given_up("damaged").await;
    assert!(why.contains("the notice `damaged` for chat"), "{why}");
    let trouble = site.until(|| site.notices().pop()?.trouble).await;
    assert!(trouble.why.contains("the notice `damaged` for chat"), "{trouble:?}");
    assert_eq!(site.delivered(), ["good"]);

    // Its message is told again, and can be read.
    site.store.queue(vec![page("damaged")]).await.unwrap();
    site.until(|| site.delivered().contains(&"damaged".to_owned()).then_some(())).await;
    site.until(|| site.notices().is_empty().then_some(())).await;
}

/// A deploy message shows a rollback, whose row cannot be read.
#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_put_together_is_given_up_and_holds_up_no_other() {
    let site = Site::new().await;
    let deploy = Deploy::new(parsed("ci-42"), fixtures::key(), "2.14.0", fixtures::at(0));
    site.engine.deployed(deploy).await.unwrap();
    let view = told(site.store.as_ref()).await;
    site.change("UPDATE deploy SET card = '{}'");
    let good = Queued::new("chat", "good", Notice::OnCall(view), parsed("C0PAYMENTS"));
    site.store.queue(vec![good]).await.unwrap();
    site.run();
    let why = site.given_up("deploy:ci-42").await;
    assert!(why.contains("deploy `ci-42`"), "{why}");
    assert_eq!(site.delivered(), ["good"]);
    assert_eq!(site.notices().len(), 1, "{:?}", site.notices());
}
