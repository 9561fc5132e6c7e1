//! What is stored and cannot be read, or was changed by somebody else: told by name, by both stores
//! of a database alike. Nothing is skipped and nothing is guessed.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use postgres_lab::Server;
use rollback_core::audit::Verifier;
use rollback_core::known_good::Choice;
use rollback_core::notice::{DeployCard, Notice};
use rollback_core::ports::{Instance, Query, Queued, Store, StoreError};
use rollback_core::{Deploy, RollbackView};
use rollback_store::{Judge, Options, PostgresOptions, PostgresStore, SqliteStore};
use rollback_testkit::fixtures::{self, at, key, parsed};
use rollback_testkit::script::{Ending, Script};
use rusqlite::Connection;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(15);

/// What somebody does to a row, and what is then named. Both databases understand it.
const CASES: &[(&str, &str)] = &[
    ("UPDATE entry SET entry = '{' WHERE number = 3", "entry 3 of rollback `rb-1`"),
    ("DELETE FROM entry WHERE number = 2", "the journal of rollback `rb-1`"),
    ("DELETE FROM entry WHERE number = 8", "the journal of rollback `rb-1`"),
    ("UPDATE rollback SET entries = 99", "the journal of rollback `rb-1`"),
    ("UPDATE rollback SET entries = -1", "the journal of rollback `rb-1`"),
    ("UPDATE opening SET opening = 'null'", "the opening of rollback `rb-1`"),
    (
        "UPDATE opening SET opening = replace(opening, 'rb-1', 'rb-2')",
        "the opening of rollback `rb-1`",
    ),
    ("DELETE FROM opening", "the opening of rollback `rb-1`"),
    ("UPDATE rollback SET view = '[]'", "the view of rollback `rb-1`"),
    ("UPDATE rollback SET view = replace(view, 'rb-1', 'rb-2')", "the view of rollback `rb-1`"),
    ("UPDATE rollback SET from_revision = 'a b'", "the rollbacks of"),
    ("UPDATE rollback SET ended_at = -1", "the last rollback of"),
    ("UPDATE deploy SET card = '{}'", "deploy `d1`"),
    ("UPDATE deploy SET card = replace(card, 'checkout', 'billing')", "deploy `d1`"),
    ("UPDATE bad SET revision = ''", "the rollbacks of"),
    ("UPDATE outbox SET notice = '1'", "the notice `k` for chat"),
    ("UPDATE outbox SET channel = '<!here>'", "the notice `k` for chat"),
    ("UPDATE outbox SET message_id = '1.0'", "the notice `k` for chat"),
    ("UPDATE outbox SET attempts = -1", "the notice `k` for chat"),
    ("UPDATE audit SET record = record || ' ' WHERE sequence = 2", "audit record 2"),
    ("UPDATE audit SET record = '{}' WHERE sequence = 1", "audit record 1"),
    ("UPDATE audit SET sequence = 99 WHERE sequence = 1", "audit record 99"),
    ("UPDATE head SET hash = 'x'", "the end of the audit chain"),
    ("DELETE FROM head", "the end of the audit chain"),
    ("UPDATE claim SET fence = -1", "the claim on rollback `rb-1`"),
];

/// A change that leaves every row readable.
const CAREFUL: &str = "UPDATE audit SET record = replace(record, 'U02ANA', 'U02BOB')";

/// What is stored about everything, for tampering with.
async fn furnish(store: &dyn Store) {
    for commit in Script::new("rb-1").commits(Ending::Succeeded) {
        store.commit(commit).await.unwrap();
    }
    let deploy = Deploy::new(parsed("d1"), key(), "2.14.0", at(0));
    let card = DeployCard::new(deploy, None, Choice::none("nobody looked"));
    store.save_deploy(&card, vec![notice(store).await]).await.unwrap();
    let mark = fixtures::mark_bad("40", "leaks");
    fixtures::change(store, &key(), &mark, at(0)).await.unwrap();
    let freeze = fixtures::freeze("sale", None);
    fixtures::change(store, &key(), &freeze, at(0)).await.unwrap();
    store.claim(&parsed("rb-1"), &Instance::new("a"), at(0), LEASE).await.unwrap();
}

async fn notice(store: &dyn Store) -> Queued {
    let listed = store.list(&Query::all(1)).await.unwrap().pop().unwrap();
    let view: Box<RollbackView> = Box::new(listed.view);
    Queued::new("chat", "k", Notice::OnCall(view), parsed("C1"))
}

/// Everything that reads, until one answer is an error.
async fn read_all(store: &dyn Store) -> Result<(), StoreError> {
    store.load(&parsed("rb-1")).await?;
    store.list(&Query::all(9)).await?;
    store.deploy(&parsed("d1")).await?;
    store.deploys(&key(), 9).await?;
    store.record(&key()).await?;
    store.freezes(&key()).await?;
    store.due(at(99), 9).await?;
    store.head().await?;
    store.audit(&Query::all(99)).await?;
    let renewed = store.claim(&parsed("rb-1"), &Instance::new("a"), at(0), Duration::ZERO).await;
    renewed.map(|_claim| ())
}

async fn is_told(store: &dyn Store, sql: &str, named: &str) {
    match read_all(store).await {
        Err(StoreError::Corrupt { what, .. }) => {
            assert!(what.contains(named), "{sql}: it names {what}");
        }
        other => panic!("{sql}: {other:?}"),
    }
}

async fn breaks_the_chain(store: &dyn Store) {
    let records = store.audit(&Query::all(99)).await.unwrap();
    let mut verifier = Verifier::new("default");
    assert!(records.iter().any(|record| verifier.check(record).is_err()));
}

/// A store in a file, and whoever else opens the file.
async fn in_a_file(folder: &tempfile::TempDir) -> (SqliteStore, Connection) {
    let path = folder.path().join("rollback.db");
    let store = SqliteStore::open(path.clone(), Options::default()).await.unwrap();
    furnish(&store).await;
    read_all(&store).await.unwrap();
    (store, Connection::open(path).unwrap())
}

/// A store on a server, where time is what we say.
async fn on_a_server(space: &postgres_lab::Space<'_>) -> PostgresStore {
    let options = PostgresOptions::default().judge(Judge::Callers);
    let store = PostgresStore::connect(&space.url(), options).await.unwrap();
    furnish(&store).await;
    read_all(&store).await.unwrap();
    store
}

#[tokio::test]
async fn a_row_of_a_file_that_cannot_be_read_is_an_error_that_names_it() {
    let own = [("UPDATE freeze SET freeze = 'no'", "a freeze of")];
    for (sql, named) in CASES.iter().chain(&own) {
        let folder = tempfile::tempdir().unwrap();
        let (store, other) = in_a_file(&folder).await;
        assert!(other.execute(sql, []).unwrap() > 0, "nothing was changed by: {sql}");
        is_told(&store, sql, named).await;
    }
}

#[tokio::test]
async fn a_row_of_a_server_that_cannot_be_read_is_an_error_that_names_it() {
    let Some(server) = Server::shared("corrupt rows on PostgreSQL") else { return };
    let own = [("UPDATE frozen SET content = 'no'", "a freeze of")];
    for (sql, named) in CASES.iter().chain(&own) {
        let space = server.space();
        let store = on_a_server(&space).await;
        space.sql(sql);
        is_told(&store, sql, named).await;
    }
}

/// A second notice, beside the one that [`furnish`] queues, which waits in front of it.
async fn second(store: &dyn Store) -> Queued {
    let mut second = notice(store).await;
    second.key = "second".into();
    store.queue(vec![second.clone()]).await.unwrap();
    second
}

/// Asked again and again it is given up with the reason, and the other one is delivered at once.
async fn is_put_off_and_given_up(store: &dyn Store, case: &str) {
    let (us, attempts_max) = (Instance::new("a"), 3);
    let told = store.take(&us, at(0), LEASE, 9).await;
    assert!(matches!(told, Err(StoreError::Corrupt { .. })), "{case}: {told:?}");
    for attempt in 1..=attempts_max {
        let (now, again) = (at(u64::from(attempt) * 100), at(u64::from(attempt) * 100 + 60));
        let put_off = store.put_off_unreadable(&us, now, again, attempts_max, 9).await.unwrap();
        let [one] = put_off.as_slice() else { panic!("{case}: {put_off:?}") };
        assert_eq!((one.notifier.as_str(), one.key.as_str()), ("chat", "k"), "{case}");
        assert!(one.why.contains("the notice `k` for chat"), "{case}: {one:?}");
        let expected = (attempt < attempts_max).then_some(again);
        assert_eq!(one.again_at, expected, "{case}: attempt {attempt}");
        let taken = store.take(&us, now, LEASE, 9).await.unwrap();
        let [other] = taken.as_slice() else { panic!("{case}: {taken:?}") };
        assert_eq!(other.key.as_str(), "second", "{case}: nothing else is held up");
        store.give_back(&taken).await.unwrap();
    }
    let left = store.put_off_unreadable(&us, at(999), at(999), 3, 9).await.unwrap();
    assert_eq!((left, store.waiting().await.unwrap()), (vec![], 1), "{case}: it waits no more");
    store.queue(vec![notice(store).await]).await.unwrap();
    if case.contains("message_id") {
        // The message that was posted keeps its name, so an update of it cannot be read either.
        let left = store.put_off_unreadable(&us, at(999), at(1_059), 3, 9).await.unwrap();
        assert_eq!(left.len(), 1, "{case}: {left:?}");
        return;
    }
    // What is queued anew can be read, and is delivered.
    let taken = store.take(&us, at(999), LEASE, 9).await.unwrap();
    assert_eq!(taken.len(), 2, "{case}: {taken:?}");
}

/// What damages the row of a notice for good: a negative count is mended by counting on.
fn damages() -> impl Iterator<Item = &'static str> {
    let of_notices = CASES.iter().filter(|(_, named)| named.contains("the notice"));
    of_notices.map(|(sql, _)| *sql).filter(|sql| !sql.contains("attempts"))
}

#[tokio::test]
async fn a_notice_of_a_file_that_cannot_be_read_is_given_up_and_holds_up_no_other() {
    for sql in damages() {
        let folder = tempfile::tempdir().unwrap();
        let (store, other) = in_a_file(&folder).await;
        assert!(other.execute(sql, []).unwrap() > 0, "nothing was changed by: {sql}");
        second(&store).await;
        is_put_off_and_given_up(&store, sql).await;
    }
}

#[tokio::test]
async fn a_notice_of_a_server_that_cannot_be_read_is_given_up_and_holds_up_no_other() {
    let Some(server) = Server::shared("unreadable notices on PostgreSQL") else { return };
    for sql in damages() {
        let space = server.space();
        let store = on_a_server(&space).await;
        space.sql(sql);
        second(&store).await;
        is_put_off_and_given_up(&store, sql).await;
    }
}

#[tokio::test]
async fn a_record_that_was_edited_with_care_in_a_file_breaks_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let (store, other) = in_a_file(&folder).await;
    assert!(other.execute(CAREFUL, []).unwrap() > 0);
    breaks_the_chain(&store).await;
}

#[tokio::test]
async fn a_record_that_was_edited_with_care_on_a_server_breaks_the_chain() {
    let Some(server) = Server::shared("an edited record on PostgreSQL") else { return };
    let space = server.space();
    let store = on_a_server(&space).await;
    space.sql(CAREFUL);
    breaks_the_chain(&store).await;
}
