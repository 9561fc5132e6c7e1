//! What only a store on a disk can get wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rollback_core::RollbackId;
use rollback_core::audit::Verifier;
use rollback_core::notice::{MessageRef, Notice};
use rollback_core::ports::{
    AuditLog as _, Claims as _, Commit, Instance, Journals as _, Outbox as _, Query, Queued,
    Services as _, Store,
};
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
async fn a_store_that_is_closed_is_one_file_which_can_be_copied() {
    let place = Place::new();
    for round in 0..20 {
        let store = place.open().await;
        take(&store, Script::new(&format!("rb-{round}")).commits(Ending::Succeeded)).await;
        assert!(place.path().with_extension("db-wal").exists());
        store.close().await;
        assert!(!place.path().with_extension("db-wal").exists(), "round {round}");
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
