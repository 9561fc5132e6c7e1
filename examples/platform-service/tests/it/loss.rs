//! `acknowledge-loss`: a store that came back from a backup, beside an audit file that knows better.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rollback_core::ports::{AuditLog as _, AuditSink, Claims as _, Instance, Journals as _, Query};
use rollback_store::{AuditFile, AuditFileOptions, Options, SqliteStore, verify_audit_files};
use rollback_testkit::fixtures::{at, parsed};
use rollback_testkit::script::{Ending, Script};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

const YAML: &str = "
slack: {channel: C0DEPLOYS, workspace: T0HOME}
store: sqlite://rollback.db
backends: {inhouse: {kind: http, url: \"http://127.0.0.1:1\", token_env: CD_TOKEN}}
services:
  checkout:
    owners: {users: [U02ANA]}
    environments: {production: {backend: inhouse}}
audit: {require: [store, file], file: {path: audit.jsonl}}
";

fn acknowledge(folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_platform-service"));
    command.args(["acknowledge-loss", "--config", "rollback.yaml"]).current_dir(folder);
    command.env_clear().env("CD_TOKEN", "a-cd-token").output().unwrap()
}

async fn opened(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder.join("rollback.db"), Options::default()).await.unwrap()
}

async fn fence(store: &SqliteStore, rollback: &str) -> u64 {
    let claim = store.claim(&parsed(rollback), &Instance::new("a"), at(0), Duration::ZERO).await;
    claim.unwrap().unwrap().fence
}

#[tokio::test]
async fn the_copy_that_has_what_was_lost_is_put_away_and_numbers_are_not_given_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("rollback.yaml"), YAML).unwrap();
    let (store, mut commits) =
        (opened(folder).await, Script::new("rb-1").commits(Ending::Succeeded));
    let later = commits.split_off(3);
    for commit in commits {
        store.commit(commit).await.unwrap();
    }
    let before = fence(&store, "rb-1").await;
    store.close().await;
    std::fs::copy(folder.join("rollback.db"), folder.join("backup.db")).unwrap();
    let (store, copy) = (opened(folder).await, folder.join("audit.jsonl"));
    for commit in later {
        store.commit(commit).await.unwrap();
    }
    let sink = AuditFile::new(&copy, AuditFileOptions::default());
    let records = store.audit(&Query::all(100)).await.unwrap();
    for record in &records {
        sink.record(record).await.unwrap();
    }
    store.close().await;
    std::fs::copy(folder.join("backup.db"), folder.join("rollback.db")).unwrap();

    let done = acknowledge(folder);
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("what the store has lost is in `audit.lost-1`"), "{said}");
    let lost = verify_audit_files(&folder.join("audit.lost-1/audit.jsonl")).unwrap();
    assert_eq!(usize::try_from(lost.records).unwrap(), records.len());
    assert!(!copy.exists());
    let store = opened(folder).await;
    assert!(fence(&store, "rb-2").await > before + 1_000_000);
    store.close().await;

    // Once more, with nothing that knows better: nothing is put away.
    let again = acknowledge(folder);
    let said = String::from_utf8(again.stdout).unwrap();
    assert!(again.status.success() && !said.contains("lost-2"), "{said}");
}
