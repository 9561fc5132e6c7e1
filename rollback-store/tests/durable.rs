//! What only a store on a disk can get wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rollback_core::audit::Verifier;
use rollback_core::known_good::Choice;
use rollback_core::notice::{DeployCard, MessageRef, Notice};
use rollback_core::observed::Freeze;
use rollback_core::ports::{Commit, Instance, Query, Queued, Store, StoreError};
use rollback_core::{Deploy, RollbackId};
use rollback_store::{OpenError, Options, SqliteStore};
use rollback_testkit::fixtures::{at, key, parsed};
use rollback_testkit::script::{Ending, Script};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("rollback.db")
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(self.path(), Options::default()).await.unwrap()
    }

    async fn refused(&self) -> OpenError {
        SqliteStore::open(self.path(), Options::default()).await.unwrap_err()
    }

    /// Changes the file behind the store's back.
    fn tamper(&self, sql: &str) {
        let changed = Connection::open(self.path()).unwrap().execute(sql, []).unwrap();
        assert!(changed > 0, "nothing was changed by: {sql}");
    }
}

async fn take(store: &impl Store, commits: Vec<Commit>) {
    for commit in commits {
        store.commit(commit).await.unwrap();
    }
}

fn notice(words: &str) -> Queued {
    let commits = Script::new("rb-n").commits(Ending::Succeeded);
    let mut view = commits.into_iter().next().unwrap().view;
    view.explanation = words.into();
    Queued::new("chat", "k", Notice::Approval(view), parsed("C1"))
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let place = Place::new();
    let store = place.open().await;
    take(&store, Script::new("rb-1").commits(Ending::Unknown)).await;
    store.queue(vec![notice("1")]).await.unwrap();
    let queued = store.due(at(0), 1).await.unwrap().pop().unwrap();
    let message = MessageRef::new(parsed("C1"), "1.0");
    store.delivered(&queued, Some(message.clone())).await.unwrap();
    let (a, b) = (Instance::new("a"), Instance::new("b"));
    let id: RollbackId = parsed("rb-1");
    let lease = Duration::from_secs(15);
    let before = store.claim(&id, &a, at(0), lease).await.unwrap().unwrap();
    store.release(&before).await.unwrap();
    let (journal, head) = (store.load(&id).await.unwrap(), store.head().await.unwrap());
    store.close().await;

    let store = place.open().await;
    assert_eq!(store.load(&id).await.unwrap(), journal);
    assert_eq!(store.head().await.unwrap(), head);
    assert_eq!(store.record(&key()).await.unwrap().in_flight, Some(id.clone()));
    assert_eq!(store.message("chat", &"k".into()).await.unwrap(), Some(message));
    let after = store.claim(&id, &b, at(0), lease).await.unwrap().unwrap();
    assert!(after.fence > before.fence, "a fencing number was used again");
}

#[tokio::test]
async fn a_thousand_steps_at_once_are_all_taken_into_one_chain() {
    let place = Place::new();
    let store = Arc::new(place.open().await);
    let tasks: Vec<_> = (0..1_000)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let script = Script::new(&format!("rb-{number}"));
                let commits = script.of(&format!("s-{number}"), "production");
                let mut commits = commits.commits(Ending::Succeeded);
                commits.truncate(2);
                take(store.as_ref(), commits).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let records = store.audit(&Query::all(5_000)).await.unwrap();
    assert_eq!(records.len(), 1_000);
    let mut verifier = Verifier::new("default");
    records.iter().for_each(|record| verifier.check(record).unwrap());
    assert_eq!(store.unattended(at(0)).await.unwrap().len(), 1_000);
}

#[tokio::test]
async fn a_caller_that_is_dropped_leaves_a_whole_step_or_none() {
    let place = Place::new();
    let store = place.open().await;
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    let mut taken = 0;
    for commit in commits {
        let (place, drafts) = (commit.expected, commit.drafts.len());
        let dropped = tokio::time::timeout(Duration::ZERO, store.commit(commit.clone())).await;
        store.ping().await.unwrap();
        let journal = store.load(&parsed("rb-1")).await.unwrap();
        let is_there = journal.is_some_and(|journal| {
            commit.entry.is_none() || journal.entries.len() > usize::try_from(place).unwrap()
        });
        taken += if is_there { drafts } else { 0 };
        let records = store.audit(&Query::all(99)).await.unwrap().len();
        assert_eq!(records, taken, "step {place} is half there (answered: {})", dropped.is_ok());
        if !is_there {
            store.commit(commit).await.unwrap();
            taken += drafts;
        }
    }
}

#[tokio::test]
async fn a_file_has_one_owner() {
    let place = Place::new();
    let store = place.open().await;
    let error = place.refused().await;
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("in use by another process"), "{error}");
    store.close().await;
    place.open().await.ping().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn one_file_under_two_names_has_one_owner() {
    let place = Place::new();
    let _store = place.open().await;
    let other = place.folder.path().join("other.db");
    std::os::unix::fs::symlink(place.path(), &other).unwrap();
    let error = SqliteStore::open(other, Options::default()).await.unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_on_the_machine_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    std::fs::write(place.path(), "").unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = place.open().await;
    take(&store, Script::new("rb-1").commits(Ending::Succeeded)).await;
    let files: Vec<_> = std::fs::read_dir(place.folder.path()).unwrap().flatten().collect();
    assert!(files.len() >= 3, "the log is a file, too: {files:?}");
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.path().display());
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    let place = Place::new();
    place.open().await.close().await;
    let version = |sql: &str| -> i64 {
        let file = Connection::open(place.path()).unwrap();
        if sql.contains('=') {
            file.execute_batch(sql).unwrap();
            return 0;
        }
        file.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    version("PRAGMA user_version = 9000");
    let error = place.refused().await;
    assert!(matches!(error, OpenError::Newer { found: 9000, .. }), "{error}");
    assert_eq!(version("PRAGMA user_version"), 9000);
}

#[tokio::test]
async fn a_database_of_something_else_is_refused_and_left_as_it_is() {
    let place = Place::new();
    let file = Connection::open(place.path()).unwrap();
    file.execute_batch("CREATE TABLE photos (x)").unwrap();
    drop(file);
    let before = std::fs::read(place.path()).unwrap();
    let error = place.refused().await;
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
    assert_eq!(std::fs::read(place.path()).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let place = Place::new();
    let text = "this is not a database, however long it may be; ".repeat(100);
    std::fs::write(place.path(), &text).unwrap();
    let error = place.refused().await;
    assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(place.path()).unwrap(), text);
}

#[tokio::test]
async fn a_chain_keeps_its_name() {
    let place = Place::new();
    place.open().await.close().await;
    let options = Options::default().chain("other");
    let error = SqliteStore::open(place.path(), options).await.unwrap_err();
    assert!(matches!(error, OpenError::OtherChain { .. }), "{error}");
    place.open().await.ping().await.unwrap();
}

#[tokio::test]
async fn a_place_where_no_file_can_be_is_refused() {
    let place = Place::new();
    let nowhere = place.folder.path().join("no such folder").join("rollback.db");
    for path in [nowhere.as_path(), place.folder.path(), Path::new("")] {
        let error = SqliteStore::open(path, Options::default()).await.unwrap_err();
        assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
    }
}

/// What is stored about everything, for tampering with.
async fn furnish(place: &Place) {
    let store = place.open().await;
    take(&store, Script::new("rb-1").commits(Ending::Succeeded)).await;
    let deploy = Deploy::new(parsed("d1"), key(), "2.14.0", at(0));
    let card = DeployCard::new(deploy, None, Choice::none("nobody looked"));
    store.save_deploy(&card, vec![notice("1")]).await.unwrap();
    store.mark_bad(&key(), &parsed("40"), &"leaks".into()).await.unwrap();
    let freeze = Freeze::new("sale", at(0), None);
    store.set_freeze(&key(), &"sale".into(), Some(freeze)).await.unwrap();
    let lease = Duration::from_secs(15);
    store.claim(&parsed("rb-1"), &Instance::new("a"), at(0), lease).await.unwrap();
    store.close().await;
}

/// Everything that reads, until one answer is an error.
async fn read_all(store: &SqliteStore) -> Result<(), StoreError> {
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

#[tokio::test]
async fn a_row_that_cannot_be_read_is_an_error_that_names_it() {
    let cases = [
        ("UPDATE entry SET entry = '{' WHERE number = 3", "entry 3 of rollback `rb-1`"),
        ("DELETE FROM entry WHERE number = 2", "the journal of rollback `rb-1`"),
        ("DELETE FROM entry WHERE number = 8", "the journal of rollback `rb-1`"),
        ("UPDATE rollback SET entries = 99", "the journal of rollback `rb-1`"),
        ("UPDATE opening SET opening = 'null'", "the opening of rollback `rb-1`"),
        (
            "UPDATE opening SET opening = replace(opening, 'rb-1', 'rb-2')",
            "the opening of rollback `rb-1`",
        ),
        ("DELETE FROM opening", "the opening of rollback `rb-1`"),
        ("UPDATE rollback SET view = '[]'", "the view of rollback `rb-1`"),
        ("UPDATE rollback SET view = replace(view, 'rb-1', 'rb-2')", "the view of rollback `rb-1`"),
        ("UPDATE rollback SET entries = -1", "the journal of rollback `rb-1`"),
        ("UPDATE rollback SET from_revision = 'a b'", "the rollbacks of"),
        ("UPDATE rollback SET ended_at = -1", "the last rollback of"),
        ("UPDATE deploy SET card = '{}'", "deploy `d1`"),
        ("UPDATE deploy SET card = replace(card, 'checkout', 'billing')", "deploy `d1`"),
        ("UPDATE freeze SET freeze = 'no'", "a freeze of"),
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
    let template = Place::new();
    furnish(&template).await;
    for (sql, named) in cases {
        let place = Place::new();
        std::fs::copy(template.path(), place.path()).unwrap();
        let store = place.open().await;
        read_all(&store).await.unwrap();
        place.tamper(sql);
        match read_all(&store).await {
            Err(StoreError::Corrupt { what, .. }) => {
                assert!(what.contains(named), "{sql}: it names {what}");
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_record_that_was_edited_with_care_breaks_the_chain() {
    let place = Place::new();
    furnish(&place).await;
    place.tamper("UPDATE audit SET record = replace(record, 'U02ANA', 'U02BOB')");
    let store = place.open().await;
    let records = store.audit(&Query::all(99)).await.unwrap();
    let mut verifier = Verifier::new("default");
    assert!(records.iter().any(|record| verifier.check(record).is_err()));
}
