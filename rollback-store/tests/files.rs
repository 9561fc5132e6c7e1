//! The file of a store: whose it is, whether it is still the one that was opened, and what is left
//! untouched.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rollback_core::ports::{AuditLog as _, Journals as _, Query, Store, StoreError};
use rollback_store::{OpenError, Options, SqliteStore};
use rollback_testkit::script::{Ending, Script};
use rusqlite::Connection;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
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

    fn beside(&self, end: &str) -> PathBuf {
        self.folder.path().join(format!("rollback.db{end}"))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

async fn open(path: impl AsRef<Path>) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(path.as_ref(), Options::default()).await
}

async fn take(store: &SqliteStore, id: &str) -> Result<(), StoreError> {
    for commit in Script::new(id).of(id, "production").commits(Ending::Succeeded) {
        store.commit(commit).await?;
    }
    Ok(())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_file_that_is_not_ours_keeps_its_permissions_and_gets_no_lock_beside_it() {
    let place = Place::new();
    let file = Connection::open(place.path()).unwrap();
    file.execute_batch("CREATE TABLE photos (x)").unwrap();
    drop(file);
    fs::set_permissions(place.path(), Permissions::from_mode(0o644)).unwrap();
    let error = open(place.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
    assert_eq!((mode(&place.path()), place.names()), (0o644, vec!["rollback.db".into()]));

    fs::write(place.path(), "this is no database. ".repeat(200)).unwrap();
    let error = open(place.path()).await.unwrap_err();
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    assert_eq!((mode(&place.path()), place.names()), (0o644, vec!["rollback.db".into()]));
}

/// As `/dev/null` is, which a test had better not try.
#[tokio::test]
async fn what_is_no_regular_file_is_refused_and_left_as_it_is() {
    let place = Place::new();
    let made = Command::new("mkfifo").args(["-m", "644"]).arg(place.path()).status().unwrap();
    assert!(made.success());
    let error = open(place.path()).await.unwrap_err();
    assert!(error.to_string().contains("no regular file"), "{error}");
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    assert_eq!((mode(&place.path()), place.names()), (0o644, vec!["rollback.db".into()]));
}

#[tokio::test]
async fn a_file_called_memory_is_refused_and_not_made() {
    let place = Place::new();
    let error = open(place.folder.path().join(":memory:")).await.unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
    assert_eq!(place.names(), Vec::<String>::new());
}

#[tokio::test]
async fn one_file_under_two_hard_links_has_one_owner() {
    let place = Place::new();
    let store = open(place.path()).await.unwrap();
    let other = place.folder.path().join("other.db");
    fs::hard_link(place.path(), &other).unwrap();
    let error = open(&other).await.unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    store.ping().await.unwrap();
    store.close().await;
    // SQLite keeps its log beside the name: under another one it would not find it.
    let error = open(&other).await.unwrap_err();
    assert!(error.to_string().contains("2 names"), "{error}");
    fs::remove_file(&other).unwrap();
    open(place.path()).await.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn a_file_has_one_owner_whatever_becomes_of_the_lock_beside_it() {
    let place = Place::new();
    let store = open(place.path()).await.unwrap();
    fs::remove_file(place.beside(".lock")).unwrap();
    let error = open(place.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    take(&store, "rb-1").await.unwrap();
    store.close().await;
    open(place.path()).await.unwrap().ping().await.unwrap();
}

/// Closing a second handle of a file drops the locks that SQLite holds on it in this process.
#[tokio::test]
async fn whoever_is_refused_disturbs_no_lock_of_the_owner() {
    let place = Place::new();
    let store = open(place.path()).await.unwrap();
    take(&store, "rb-1").await.unwrap();
    for _attempt in 0..2 {
        open(place.path()).await.unwrap_err();
    }
    // Another process that opens the file sees that it is open: it may not take the log away.
    let other = Command::new("python3")
        .args(["-c", "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('select count(*) from head'); c.close()"])
        .arg(place.path())
        .status();
    if !other.is_ok_and(|status| status.success()) {
        return;
    }
    assert!(place.beside("-wal").exists(), "the log was taken away under its owner");
    take(&store, "rb-2").await.unwrap();
}

#[tokio::test]
async fn a_file_that_was_replaced_is_noticed_and_what_is_left_of_it_is_not_written() {
    let place = Place::new();
    let store = open(place.path()).await.unwrap();
    take(&store, "rb-1").await.unwrap();
    let backup = place.folder.path().join("backup.db");
    fs::copy(place.path(), &backup).unwrap();
    fs::rename(&backup, place.path()).unwrap();
    for written in [take(&store, "rb-2").await, store.ping().await] {
        let error = written.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(error.to_string().contains("was replaced"), "{error}");
        assert!(error.to_string().contains("nothing was stored"), "{error}");
    }
    assert_eq!(store.list(&Query::all(9)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_or_a_log_that_was_removed_is_noticed() {
    for end in ["", "-wal"] {
        let place = Place::new();
        let store = open(place.path()).await.unwrap();
        take(&store, "rb-1").await.unwrap();
        fs::remove_file(place.beside(end)).unwrap();
        let error = store.ping().await.unwrap_err();
        assert!(error.to_string().contains("was removed"), "{end}: {error}");
        let error = take(&store, "rb-2").await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{end}: {error:?}");
    }
}

/// Whoever still holds the store, a cycle of owners included, keeps no log beside the file.
#[tokio::test]
async fn a_store_that_others_still_hold_is_closed_all_the_same() {
    let place = Place::new();
    let store = std::sync::Arc::new(open(place.path()).await.unwrap());
    let held = std::sync::Arc::clone(&store);
    take(&store, "rb-1").await.unwrap();
    store.close().await;
    assert_eq!(place.names(), ["rollback.db", "rollback.db.lock"]);
    let error = held.ping().await.unwrap_err();
    assert!(error.to_string().contains("closed"), "{error}");
    let error = held.list(&Query::all(9)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    held.close().await;
    let copy = place.folder.path().join("copy.db");
    fs::copy(place.path(), &copy).unwrap();
    let copy = open(&copy).await.unwrap();
    assert_eq!(copy.list(&Query::all(9)).await.unwrap().len(), 1);
    assert!(copy.head().await.unwrap().sequence > 0);
}
