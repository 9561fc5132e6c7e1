//! The audit log over HTTP: whole, in pages, and verified.

use crate::stage::{Setup, Stage};
use rollback_audit::{Signer, SigningKey};
use rollback_core::audit::{Head, Record, Verifier};
use rollback_core::ports::{CheckpointSigner, Query, Store};
use rollback_engine::Checkpoints;
use rollback_store::{Options, SqliteStore};
use rollback_testkit::script::{Ending, Script};
use rusqlite::TransactionBehavior::Immediate;
use serde_json::json;
use std::sync::Arc;

async fn fill(store: &Arc<dyn Store>, rollbacks: usize) {
    for number in 0..rollbacks {
        let environment = if number % 2 == 0 { "production" } else { "staging" };
        let script = Script::new(&format!("rb-{number}")).of("checkout", environment);
        for commit in script.commits(Ending::Succeeded) {
            store.commit(commit).await.unwrap();
        }
    }
}

/// A stage without an engine at work, with the records of several rollbacks.
async fn stage_with(store: Arc<dyn Store>, rollbacks: usize) -> Stage {
    fill(&store, rollbacks).await;
    Stage::with(Setup { runs: false, store, ..Setup::default() }).await
}

async fn lines(stage: &Stage, query: &str) -> Vec<Record> {
    let answer = stage.get(&format!("/v1/audit{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    assert!(answer.text.is_empty() || answer.text.ends_with('\n'));
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_log_is_told_as_the_very_lines_that_were_hashed() {
    let stage = stage_with(Arc::new(rollback_store::MemoryStore::default()), 120).await;
    let told = lines(&stage, "").await;
    let kept = stage.store.audit(&Query::all(10_000)).await.unwrap();
    assert!(kept.len() > 400, "more than two pages of what is read at a time");
    assert_eq!(told, kept);
    let text = stage.get("/v1/audit").await.text;
    let mut verifier = Verifier::new("default");
    for (number, line) in (1..).zip(text.lines()) {
        verifier.check(&Record::parse(line, number).unwrap()).unwrap();
    }
}

#[tokio::test]
async fn the_log_is_told_in_pages_of_one_service_and_environment() {
    let stage = stage_with(Arc::new(rollback_store::MemoryStore::default()), 60).await;
    let kept = stage.store.audit(&Query::all(10_000)).await.unwrap();
    let mut staging = kept.clone();
    staging.retain(|record| record.draft.environment.as_str() == "staging");
    assert_eq!(lines(&stage, "?environment=staging").await, staging);
    assert_eq!(lines(&stage, "?service=checkout").await, kept);
    assert_eq!(lines(&stage, "?service=billing").await, []);
    for limit in [1, 7, 199, 200, 201, 100_000] {
        let (mut paged, mut after) = (Vec::new(), 0);
        loop {
            let page =
                lines(&stage, &format!("?environment=staging&after={after}&limit={limit}")).await;
            assert!(page.len() <= limit, "{limit}");
            let Some(last) = page.last() else { break };
            after = last.sequence.get();
            paged.extend(page);
            if limit == 1 && paged.len() > 20 {
                break;
            }
        }
        assert_eq!(paged, staging[..paged.len()], "{limit}");
        assert!(limit == 1 || paged.len() == staging.len(), "{limit}");
    }
}

#[tokio::test]
async fn a_whole_chain_verifies_and_names_its_head() {
    for rollbacks in [1, 60] {
        let stage = stage_with(Arc::new(rollback_store::MemoryStore::default()), rollbacks).await;
        let head = stage.store.head().await.unwrap();
        assert_eq!(
            stage.get("/v1/audit/verify").await.json(),
            json!({"ok": true, "records": head.sequence, "head": head.hash.to_string()})
        );
    }
}

/// A new file in the place of one that was lost looks like that.
#[tokio::test]
async fn an_empty_log_is_not_called_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rollback.db");
    let store = Arc::new(SqliteStore::open(path, Options::default()).await.unwrap());
    let stage = stage_with(store, 0).await;
    let told = stage.get("/v1/audit/verify").await.json();
    assert_eq!((&told["ok"], &told["sequence"]), (&json!(false), &json!(1)), "{told}");
    assert!(told["problem"].as_str().unwrap().contains("no record to verify"), "{told}");
}

/// Opens a durable store with some records, changes the file behind its back, and asks.
async fn verified_after(change: &str) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rollback.db");
    let store = Arc::new(SqliteStore::open(path.clone(), Options::default()).await.unwrap());
    let stage = stage_with(store, 50).await;
    let db = rusqlite::Connection::open(&path).unwrap();
    assert!(db.execute(change, []).unwrap() > 0, "{change}");
    drop(db);
    stage.get("/v1/audit/verify").await.json()
}

#[tokio::test]
async fn a_log_that_was_tampered_with_names_the_first_bad_record() {
    let edited = "UPDATE audit SET record = replace(record, '\"drill\":false', '\"drill\":true') WHERE sequence = 270";
    let swapped = "UPDATE audit SET record = (SELECT record FROM audit WHERE sequence = 7) WHERE sequence = 9";
    let removed = "DELETE FROM audit WHERE sequence = 33";
    let garbled = "UPDATE audit SET record = '{' WHERE sequence = 12";
    let cut = "DELETE FROM audit WHERE sequence >= 300";
    for (change, sequence) in
        [(edited, 270), (swapped, 9), (removed, 33), (garbled, 12), (cut, 300)]
    {
        let told = verified_after(change).await;
        assert_eq!(told["ok"], false, "{change}: {told}");
        assert_eq!(told["sequence"], sequence, "{change}: {told}");
        assert!(!told["problem"].as_str().unwrap().is_empty(), "{told}");
    }
}

#[tokio::test]
async fn a_log_that_breaks_off_is_never_taken_for_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rollback.db");
    let store = Arc::new(SqliteStore::open(path.clone(), Options::default()).await.unwrap());
    let stage = stage_with(store, 120).await;
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute("UPDATE audit SET record = '{' WHERE sequence = 450", []).unwrap();
    let response = stage.call("GET", "/v1/audit").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err(), "the answer ended as if it were whole");
    db.execute("UPDATE audit SET record = '{' WHERE sequence = 1", []).unwrap();
    stage.get("/v1/audit").await.problem(500);
}

fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap()
}

/// Writes the log anew from this record on, with good hashes, as whoever owns the database can.
fn rewrite(path: &std::path::Path, from: u64) {
    let mut db = rusqlite::Connection::open(path).unwrap();
    let db = db.transaction_with_behavior(Immediate).unwrap();
    let mut head = Head::genesis("default");
    let lines: Vec<String> = db
        .prepare("SELECT record FROM audit ORDER BY sequence")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for (number, line) in (1..).zip(lines) {
        let mut draft = Record::parse(&line, number).unwrap().draft;
        if number == from {
            draft.explanation = Some("it was somebody else".into());
        }
        let record = head.append(draft).unwrap();
        let bytes = record.canonical().unwrap();
        db.execute("UPDATE audit SET record = ?1 WHERE sequence = ?2", (bytes, int(number)))
            .unwrap();
        head = Head::after(&record);
    }
    db.execute("UPDATE head SET hash = ?1", [head.hash.to_string()]).unwrap();
    db.commit().unwrap();
}

/// Cuts the end off and lets the store believe that it was always so.
fn cut(path: &std::path::Path, last: u64) {
    let mut db = rusqlite::Connection::open(path).unwrap();
    let db = db.transaction_with_behavior(Immediate).unwrap();
    let line: String = db
        .query_row("SELECT record FROM audit WHERE sequence = ?1", [int(last)], |row| row.get(0))
        .unwrap();
    let hash = Record::parse(&line, last).unwrap().hash.to_string();
    db.execute("DELETE FROM audit WHERE sequence > ?1", [int(last)]).unwrap();
    db.execute("UPDATE head SET sequence = ?1, hash = ?2", (int(last), hash)).unwrap();
    db.commit().unwrap();
}

#[tokio::test]
async fn a_log_rewritten_or_cut_with_good_hashes_is_found_by_the_last_checkpoint() {
    let key = SigningKey::new("rollback.example.com/audit", &[1; 32].into()).unwrap();
    let signer = Arc::new(Signer::new(key));
    for is_cut in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rollback.db");
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(path.clone(), Options::default()).await.unwrap());
        fill(&store, 20).await;
        let end = store.head().await.unwrap();
        let by: Arc<dyn CheckpointSigner> = Arc::<Signer>::clone(&signer);
        let checkpoints = Some(Checkpoints::new(by));
        let stage = Stage::with(Setup { store, checkpoints, ..Setup::default() }).await;
        let whole = loop {
            let told = stage.get("/v1/audit/verify").await.json();
            if told["checkpoint"].is_object() {
                break told;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!((&whole["ok"], &whole["records"]), (&json!(true), &json!(end.sequence)));
        let note = signer.open(whole["checkpoint"]["note"].as_str().unwrap()).unwrap();
        assert_eq!(note.checkpoint.head, end, "whoever asks can keep it, and need not trust us");
        assert_eq!(whole["checkpoint"]["hash"], end.hash.to_string());

        let (sequence, why) = if is_cut {
            cut(&path, end.sequence - 3);
            (end.sequence - 2, "cut off")
        } else {
            rewrite(&path, end.sequence - 3);
            (end.sequence, "rewritten")
        };
        let told = stage.get("/v1/audit/verify").await.json();
        assert_eq!((&told["ok"], &told["sequence"]), (&json!(false), &json!(sequence)), "{told}");
        assert!(told["problem"].as_str().unwrap().contains(why), "{told}");
    }
}
