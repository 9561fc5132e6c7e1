//! Kills a writing process at any instant, opens what it left, and looks for half a step.
//!
//! Without the usual harness, so that the test can start itself as the process to be killed.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test tells what it does")]

use rollback_core::RollbackId;
use rollback_core::audit::Verifier;
use rollback_core::journal::replay;
use rollback_core::ports::{AuditLog as _, Journals as _, Outbox as _, Query};
use rollback_store::{OpenError, Options, SqliteStore};
use rollback_testkit::fixtures::parsed;
use rollback_testkit::script::{Ending, Script};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// How many processes are killed.
const KILLS: u64 = 8;

/// How many rollbacks a process drives at the same time.
const LANES: usize = 4;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match std::env::args().collect::<Vec<_>>().as_slice() {
        [_, word, path, round] if word == "write" => runtime.block_on(write(path, round)),
        [_, word] if word == "--list" => println!("a_killed_process_leaves_whole_steps: test"),
        _ => runtime.block_on(a_killed_process_leaves_whole_steps()),
    }
}

/// Writes steps until it is killed, and tells each one that was answered.
async fn write(path: &str, round: &str) {
    let store = Arc::new(SqliteStore::open(Path::new(path), Options::default()).await.unwrap());
    println!("open");
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let (store, round) = (Arc::clone(&store), round.to_string());
            tokio::spawn(async move {
                for number in 0.. {
                    let id = format!("rb-{round}-{lane}-{number}");
                    let script = Script::new(&id).of(&format!("s-{round}-{lane}"), "production");
                    for (steps, commit) in script.commits(Ending::Succeeded).into_iter().enumerate()
                    {
                        store.commit(commit).await.unwrap();
                        let mut out = std::io::stdout().lock();
                        writeln!(out, "{id} {steps}").unwrap();
                        out.flush().unwrap();
                    }
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
}

async fn a_killed_process_leaves_whole_steps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rollback.db");
    let mut answered: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..KILLS {
        kill_a_writer(&path, round, &mut answered).await;
        check(&path, &answered).await;
    }
    let steps: usize = answered.values().sum();
    assert!(steps > 100, "only {steps} steps were answered before the kills");
    println!(
        "{KILLS} processes killed, {} rollbacks, {steps} answered steps: all there",
        answered.len()
    );
}

/// Starts a writer, lets it answer some steps, kills it, and notes what it had answered.
async fn kill_a_writer(path: &Path, round: u64, answered: &mut BTreeMap<String, usize>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["write", path.to_str().unwrap(), &round.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "open");
    if round == 0 {
        let error = SqliteStore::open(path, Options::default()).await.unwrap_err();
        assert!(matches!(error, OpenError::InUse { .. }), "a second process got in: {error}");
    }
    // Another instant in every round: after a number of answers, and a little later.
    for line in lines.by_ref().take(20 + usize::try_from(round * 7).unwrap()) {
        note(&line.unwrap(), answered);
    }
    std::thread::sleep(Duration::from_micros(round * 137));
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines.map_while(Result::ok) {
        note(&line, answered);
    }
}

/// A line that was cut off by the kill says less than was answered, never more.
fn note(line: &str, answered: &mut BTreeMap<String, usize>) {
    let Some((id, steps)) = line.split_once(' ') else { return };
    let Ok(steps) = steps.parse::<usize>() else { return };
    let most = answered.entry(id.to_string()).or_default();
    *most = (*most).max(steps);
}

async fn check(path: &Path, answered: &BTreeMap<String, usize>) {
    let store = SqliteStore::open(path, Options::default()).await.unwrap();
    for (id, steps) in answered {
        let id: RollbackId = parsed(id);
        let journal = store.load(&id).await.unwrap().unwrap();
        assert!(journal.entries.len() >= *steps, "`{id}` has lost a step that was answered");
    }
    let mut drafts = 0;
    for listed in store.list(&Query::all(usize::MAX)).await.unwrap() {
        let journal = store.load(&listed.view.id).await.unwrap().unwrap();
        assert_eq!(u64::try_from(journal.entries.len()).unwrap(), listed.entries);
        let whole =
            rollback_core::journal::replay_whole(journal.opening.clone(), journal.entries.clone());
        drafts += whole.drafts.len();
        let rollback = replay(journal.opening, journal.entries);
        assert_eq!(rollback.view(), listed.view, "journal and view are of two moments");
        assert_eq!(rollback.holds_service(), listed.holds_service);
    }
    let mut verifier = Verifier::new("default");
    let mut query = Query::all(1_000);
    loop {
        let records = store.audit(&query).await.unwrap();
        let Some(last) = records.last() else { break };
        query.after = last.sequence.get();
        records.iter().for_each(|record| verifier.check(record).unwrap());
    }
    assert_eq!(*verifier.head(), store.head().await.unwrap());
    assert_eq!(usize::try_from(verifier.head().sequence).unwrap(), drafts, "records and journals");
    assert_eq!(store.waiting().await.unwrap(), 0);
    store.close().await;
}
