//! Copies of the audit log that are a process's own: each is whole, whoever did what; and a store that
//! lacks what a copy has is not written until somebody has looked.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common::{Host, Setup, Site};
use rollback_core::ports::{AuditLog as _, AuditSink, Kept, Query, Store, StoreError};
use rollback_core::{RollbackId, StateName};
use rollback_engine::NotReady;
use rollback_store::{AuditFile, AuditFileOptions, Options, SqliteStore, verify_audit_files};
use rollback_testkit::Fate;
use rollback_testkit::fixtures::ana;
use rollback_testkit::script::{Ending, Script};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

fn file(path: &Path) -> AuditFile {
    AuditFile::new(path, AuditFileOptions::default())
}

async fn scripted(store: &dyn Store, rollback: &str) {
    for commit in Script::new(rollback).of("billing", "production").commits(Ending::Succeeded) {
        store.commit(commit).await.unwrap();
    }
}

/// Waits until a file ends where the store's log does, and insists that it is all of it.
async fn is_whole(path: &Path, store: &dyn Store) {
    let mut ends = (None, None);
    for _look in 0..500 {
        let end = store.head().await.unwrap();
        ends = (Some(Kept::BySink(Some(end.clone()))), Some(file(path).kept().await.unwrap()));
        if ends.0 == ends.1 {
            let verified = verify_audit_files(path).unwrap();
            assert_eq!((verified.first, verified.head), (Some(1), Some(end)));
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ends.0, ends.1, "{}", path.display());
}

/// A site whose next process keeps its copy there.
fn keeping(mut site: Site, path: &Path) -> Site {
    site.copy = Some(path.to_owned());
    site
}

fn in_real_time() -> Setup {
    let (lease, settle) = (Duration::from_secs(2), Duration::from_millis(100));
    Setup { lease, settle, ..Setup::default() }
}

async fn rolled_back(site: &Site, host: &Host) -> RollbackId {
    host.engine.deployed(site.deploy()).await.unwrap();
    let id = host.click_and_confirm(site, &ana()).await;
    assert!(site.ended(&id).await.state.is_end());
    id
}

#[tokio::test]
async fn each_process_keeps_the_whole_log_in_its_own_file_whoever_did_what() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| folder.path().join(format!("{name}.jsonl")));
    let mut site = keeping(Site::new(in_real_time()), &paths[0]);
    let one = site.boot(Fate::Spared);
    rolled_back(&site, &one).await;
    is_whole(&paths[0], site.store.as_ref()).await;
    // Another process, which was not there at the beginning, and does the next one alone.
    site.copy = Some(paths[1].clone());
    let two = site.boot(Fate::Spared);
    is_whole(&paths[1], site.store.as_ref()).await;
    let _stopped = one.stop().await;
    scripted(site.store.as_ref(), "by-two").await;
    two.engine.deployed(site.deploy_of("43", "2.15.0")).await.unwrap();
    site.settle().await;
    // The first one comes back, and both do something.
    site.copy = Some(paths[0].clone());
    let one = site.boot(Fate::Spared);
    scripted(site.store.as_ref(), "by-both").await;
    one.engine.deployed(site.deploy_of("44", "2.16.0")).await.unwrap();
    for path in &paths {
        is_whole(path, site.store.as_ref()).await;
    }
    one.crash();
    two.crash();
}

#[tokio::test]
async fn a_file_that_was_taken_away_is_followed_by_one_with_the_whole_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let site = keeping(Site::new(in_real_time()), &path);
    let host = site.boot(Fate::Spared);
    rolled_back(&site, &host).await;
    is_whole(&path, site.store.as_ref()).await;
    std::fs::rename(&path, folder.path().join("shipped")).unwrap();
    let _reported = host.engine.deployed(site.deploy_of("43", "2.15.0")).await;
    drop(host.try_click(&ana()).await);
    is_whole(&path, site.store.as_ref()).await;
    host.crash();
}

/// A store in a file whose second rollback a backup does not know, and a copy of its log that does.
async fn restored(folder: &Path) -> (Arc<dyn Store>, PathBuf) {
    let (database, copy) = (folder.join("rollback.db"), folder.join("audit.jsonl"));
    let (backup, sink) = (folder.join("backup.db"), file(&copy));
    for (rollback, is_backed_up) in [("rb-before", true), ("rb-lost", false)] {
        let store = SqliteStore::open(database.clone(), Options::default()).await.unwrap();
        scripted(&store, rollback).await;
        for record in store.audit(&Query::all(1_000)).await.unwrap() {
            sink.record(&record).await.unwrap();
        }
        store.close().await;
        if is_backed_up {
            std::fs::copy(&database, &backup).unwrap();
        }
    }
    std::fs::copy(&backup, &database).unwrap();
    let store = SqliteStore::open(database, Options::default()).await.unwrap();
    (Arc::new(store), copy)
}

#[tokio::test]
async fn a_process_that_starts_after_a_restore_writes_nothing_until_somebody_has_looked() {
    let folder = tempfile::tempdir().unwrap();
    let (store, copy) = restored(folder.path()).await;
    let site = keeping(Site::on(in_real_time(), Arc::clone(&store)), &copy);
    let host = site.boot(Fate::Spared);
    let why = loop {
        match host.engine.ready().await {
            Err(NotReady::Store(StoreError::WentBack(why))) => break why,
            // It has not come to that yet.
            Ok(()) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    assert!(why.contains("a copy of its audit log"), "{why}");
    let before = store.head().await.unwrap();
    assert!(host.engine.deployed(site.deploy()).await.is_err());
    assert!(host.try_click(&ana()).await.is_err());
    assert_eq!((store.head().await.unwrap(), site.cd.sends()), (before, 0));
    assert!(!host.engine.rollbacks(&Query::all(9)).await.unwrap().is_empty(), "it can be read");

    // Acknowledged, and the copy that knows better is still there: nothing is ordered.
    store.acknowledge_loss().await.unwrap();
    host.engine.ready().await.unwrap();
    let id = rolled_back(&site, &host).await;
    let refused = site.view(&id).await;
    assert_eq!((refused.state, site.cd.sends()), (StateName::Refused, 0));
    assert!(refused.explanation.contains("put the copy aside"), "{}", refused.explanation);

    let put_away = file(&copy).put_away().unwrap().unwrap();
    let id = host.click_and_confirm(&site, &ana()).await;
    assert_eq!(site.ended(&id).await.state, StateName::Succeeded);
    is_whole(&copy, store.as_ref()).await;
    let lost = verify_audit_files(&put_away.join("audit.jsonl")).unwrap();
    assert!(lost.records > 0, "what was lost is kept");
    host.crash();
}
