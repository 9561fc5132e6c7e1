//! `platform-service audit`, with nothing but an export and what was kept elsewhere: each way to
//! tamper with the log, what the command ends with, and where it says it is.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use rollback_audit::{PublicKey, Signer, SigningKey};
use rollback_core::audit::{Checkpoint, Draft, Head, Record};
use rollback_core::ports::{AuditLog as _, CheckpointSigner, Journals as _};
use rollback_store::{Options, SqliteStore};
use rollback_testkit::fixtures;
use rollback_testkit::script::{Ending, Script};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder of whoever doubts the log: an export, anchors, and the key that `audit key` made.
struct Desk {
    folder: tempfile::TempDir,
    signer: Signer,
    public: String,
}

fn run(folder: &std::path::Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_platform-service"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("CD_TOKEN", "a-cd-token")
        .output()
        .expect("a process")
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = "rollback.example.com/audit";
        let made = run(folder.path(), &["audit", "key", "--name", name, "--out", "audit.key"]);
        assert!(made.status.success(), "{made:?}");
        let public = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let private = std::fs::read_to_string(folder.path().join("audit.key")).unwrap();
        let key = SigningKey::parse(&private).unwrap();
        assert_eq!(*key.public(), PublicKey::parse(&public).unwrap());
        Self { folder, signer: Signer::new(key), public }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn export(&self, lines: &[String]) {
        let text: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(self.path("export.jsonl"), text.concat()).unwrap();
    }

    fn anchor(&self, file: &str, heads: &[Head]) {
        let at = fixtures::at(0);
        let note = |head: &Head| {
            let checkpoint = Checkpoint::new(head.clone(), at, at);
            format!("{}\n", self.signer.sign(checkpoint).unwrap().note)
        };
        let text: Vec<String> = heads.iter().map(note).collect();
        std::fs::write(self.path(file), text.concat()).unwrap();
    }

    /// What the command ends with, and what it prints.
    fn verify(&self, more: &[&str]) -> (i32, Value) {
        let arguments = [&["audit", "verify", "--export", "export.jsonl"], more].concat();
        let output = run(self.folder.path(), &arguments);
        let told: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let code = output.status.code().unwrap();
        assert_eq!(told["code"], code, "{told}");
        assert_eq!(told["ok"], matches!(code, 0 | 4), "{told}");
        (code, told)
    }

    fn with_all(&self) -> (i32, Value) {
        self.verify(&["--public-key", &self.public, "--anchor", "anchors"])
    }
}

fn records(rollbacks: usize) -> Vec<Record> {
    let drafts = (0..rollbacks).flat_map(|n| {
        Script::new(&format!("rb-{n}"))
            .commits(Ending::Succeeded)
            .into_iter()
            .flat_map(|c| c.drafts)
    });
    chained(drafts)
}

fn chained(drafts: impl IntoIterator<Item = Draft>) -> Vec<Record> {
    let mut head = Head::genesis("default");
    let append = |draft| {
        let record = head.append(draft).unwrap();
        head = Head::after(&record);
        record
    };
    drafts.into_iter().map(append).collect()
}

fn lines(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| record.canonical().unwrap()).collect()
}

fn rewritten(records: &[Record], place: usize) -> Vec<Record> {
    let mut drafts: Vec<Draft> = records.iter().map(|record| record.draft.clone()).collect();
    drafts[place - 1].explanation = Some("it was somebody else".into());
    chained(drafts)
}

#[test]
fn a_log_that_nobody_touched_is_whole_and_counted() {
    let (desk, log) = (Desk::new(), records(4));
    desk.export(&lines(&log));
    let end = Head::after(log.last().unwrap());
    desk.anchor("anchors", &[Head::after(&log[4]), end.clone()]);
    let (code, told) = desk.with_all();
    assert_eq!(code, 0, "{told}");
    assert_eq!((&told["records"], &told["first"]), (&log.len().into(), &1.into()));
    assert_eq!(told["head"], end.hash.to_string());
    assert_eq!(told["anchors"], serde_json::json!({"given": 2, "signed": 2, "agreeing": 2}));
}

/// What is done to the log, what the command ends with, where, and what it says.
type Case = (&'static str, Vec<String>, i32, usize, String);

/// What the chain itself shows.
fn breaks(log: &[Record]) -> Vec<Case> {
    let (good, end) = (lines(log), log.len());
    let head = Head::after(&log[end - 1]);
    let changed = |place: usize, from: &str, to: &str| {
        let mut lines = good.clone();
        lines[place] = lines[place].replace(from, to);
        lines
    };
    let with = |line: String| [good.clone(), vec![line]].concat();
    let mut dropped = good.clone();
    dropped.remove(5);
    let mut moved = good.clone();
    moved.swap(2, 3);
    let again = head.append(log[2].draft.clone()).unwrap().canonical().unwrap();
    let mut elsewhere = head;
    elsewhere.chain = "staging".into();
    let foreign = elsewhere.append(records(1)[0].draft.clone()).unwrap().canonical().unwrap();
    let edited =
        format!("line 5: record 5 was changed after it was written: its hash is {}", log[4].hash);
    let next = end + 1;
    vec![
        ("edited", changed(4, "\"drill\":false", "\"drill\":true"), 1, 5, edited),
        ("dropped", dropped, 1, 6, "line 6: record 6 was expected and 7 was found".into()),
        ("moved", moved, 1, 3, "line 3: record 3 was expected and 4 was found".into()),
        (
            "cut in front",
            good[3..].to_vec(),
            1,
            1,
            "record 1 was expected first and 4 was found".into(),
        ),
        ("replayed", with(again), 1, next, format!("record {next} is record 3 once more")),
        (
            "repeated",
            with(good[2].clone()),
            1,
            next,
            format!("record {next} was expected and 3 was found"),
        ),
        (
            "foreign",
            with(foreign),
            1,
            next,
            "belongs to the chain `staging`, and this is `default`".into(),
        ),
        ("spaced", changed(3, "\":", "\": "), 5, 4, "line 4: record 4 is not canonical".into()),
        (
            "a float",
            changed(3, "\"sequence\":4", "\"sequence\":4.0"),
            5,
            4,
            "the number 4 is not written as an integer".into(),
        ),
    ]
}

/// What only somebody who kept an anchor can know.
fn deceptions(log: &[Record]) -> Vec<Case> {
    let (good, end) = (lines(log), log.len());
    let forged = rewritten(log, 10);
    let cut = format!("there was a record {end}, and the log ends with record {}", end - 2);
    let anew = format!(
        "record {end} had the hash {} and has {}: the log was rewritten after record 8",
        log[end - 1].hash,
        forged[end - 1].hash
    );
    vec![
        ("cut", good[..end - 2].to_vec(), 3, end - 1, cut),
        ("rewritten", lines(&forged), 3, end, anew),
    ]
}

#[test]
fn each_way_to_tamper_ends_with_its_number_and_says_where() {
    let (desk, log) = (Desk::new(), records(4));
    let end = Head::after(log.last().unwrap());
    desk.anchor("anchors", &[Head::after(&log[7]), end]);
    for (name, log, expected, sequence, says) in [breaks(&log), deceptions(&log)].concat() {
        desk.export(&log);
        let (code, told) = desk.with_all();
        assert_eq!((code, &told["sequence"]), (expected, &sequence.into()), "{name}: {told}");
        let problem = told["problem"].as_str().unwrap();
        assert!(problem.contains(&says), "{name}: `{says}` is not in `{problem}`");
    }
    for (name, log, ..) in deceptions(&log) {
        desk.export(&log);
        let (_code, told) = desk.verify(&[]);
        assert_eq!(told["ok"], true, "{name}: without an anchor nobody can know: {told}");
    }
}

#[test]
fn two_heads_signed_for_one_record_are_a_fork_whichever_log_is_shown() {
    let (desk, log) = (Desk::new(), records(3));
    let forged = rewritten(&log, 2);
    desk.anchor("anas", &[Head::after(&log[6])]);
    desk.anchor("bobs", &[Head::after(&forged[6])]);
    for shown in [&log, &forged] {
        desk.export(&lines(shown));
        let (code, told) =
            desk.verify(&["--public-key", &desk.public, "--anchor", "anas", "--anchor", "bobs"]);
        assert_eq!((code, &told["sequence"]), (3, &7.into()), "{told}");
        let says = format!(
            "there were two logs: record 7 has the hash {} in `anas`, line 1 and {} in `bobs`, line 1",
            log[6].hash, forged[6].hash
        );
        assert!(told.to_string().contains(&says), "`{says}` is not in {told}");
    }
}

#[test]
fn what_was_not_signed_by_a_key_that_is_trusted_ends_with_2() {
    let (desk, stranger, log) = (Desk::new(), Desk::new(), records(2));
    desk.export(&lines(&log));
    desk.anchor("anchors", &[Head::after(&log[6])]);
    let (code, told) = desk.verify(&["--public-key", &stranger.public, "--anchor", "anchors"]);
    assert_eq!((code, &told["sequence"]), (2, &7.into()), "{told}");
    let changed =
        std::fs::read_to_string(desk.path("anchors")).unwrap().replacen("\n7\n", "\n8\n", 1);
    std::fs::write(desk.path("anchors"), changed).unwrap();
    let (code, told) = desk.with_all();
    assert_eq!((code, &told["sequence"]), (2, &8.into()), "{told}");
    assert!(told["problem"].as_str().unwrap().starts_with("`anchors`, line 1: "), "{told}");
    // What is no key is told by the command line, without a log being read.
    let output = run(desk.folder.path(), &["audit", "verify", "--public-key", "x"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn digits_from_a_chat_are_an_anchor_and_a_part_of_a_log_can_be_verified() {
    let (desk, log) = (Desk::new(), records(3));
    let good = lines(&log);
    let digits: String = log[6].hash.to_string().chars().take(16).collect();
    std::fs::write(desk.path("slack.txt"), format!("7 {digits}\n")).unwrap();
    desk.export(&good[3..]);
    let (code, told) = desk.verify(&["--from", "4", "--anchor", "slack.txt"]);
    assert_eq!((code, &told["first"], &told["anchors"]["agreeing"]), (0, &4.into(), &1.into()));
    desk.export(&lines(&rewritten(&log, 5)));
    let (code, told) = desk.verify(&["--anchor", "slack.txt"]);
    assert_eq!((code, &told["sequence"]), (3, &7.into()), "{told}");
}

#[test]
fn an_order_without_an_outcome_ends_with_4_and_the_log_is_whole() {
    let desk = Desk::new();
    let mut log = records(2);
    let ordered = log.iter().rposition(|record| record.draft.kind.as_str() == "triggered").unwrap();
    log.truncate(ordered + 1);
    desk.export(&lines(&log));
    let ever = ["--open-after", "100000000"];
    assert_eq!(desk.verify(&ever).0, 0);
    let (code, told) = desk.verify(&["--open-after", "0"]);
    assert_eq!((code, &told["ok"]), (4, &Value::Bool(true)), "{told}");
    assert_eq!(told["open"][0]["rollback"], "rb-1", "{told}");
    assert_eq!(told["open"][0]["sequence"], ordered + 1, "{told}");
}

#[test]
fn what_cannot_be_read_ends_with_5_and_says_what_it_is() {
    let desk = Desk::new();
    for arguments in [&["--anchor", "nowhere"][..], &[]] {
        let (code, told) = desk.verify(arguments);
        assert_eq!(code, 5, "{told}");
    }
    let output = run(desk.folder.path(), &["audit", "verify"]);
    assert_eq!(output.status.code(), Some(5), "without a configuration: {output:?}");
}

#[test]
fn an_explanation_comes_from_an_export_and_says_when_there_is_nothing() {
    let (desk, log) = (Desk::new(), records(2));
    desk.export(&lines(&log));
    let explain =
        |id: &str| run(desk.folder.path(), &["audit", "explain", id, "--export", "export.jsonl"]);
    let page = explain("rb-1");
    assert!(page.status.success(), "{page:?}");
    let page = String::from_utf8(page.stdout).unwrap();
    let end = Head::after(log.last().unwrap());
    for part in ["rollback  rb-1", "who       U", "why ", "succeeded", &end.hash.to_string()] {
        assert!(page.contains(part), "`{part}` is not in\n{page}");
    }
    assert!(!page.contains("rb-0"), "{page}");
    let none = explain("rb-9");
    assert_eq!(none.status.code(), Some(1), "{none:?}");
    assert!(String::from_utf8_lossy(&none.stderr).contains("no record of rollback `rb-9`"));
}

#[test]
fn a_key_is_made_once_and_nobody_else_can_read_it() {
    let desk = Desk::new();
    let before = std::fs::read_to_string(desk.path("audit.key")).unwrap();
    let again = run(desk.folder.path(), &["audit", "key", "--name", "x", "--out", "audit.key"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert_eq!(std::fs::read_to_string(desk.path("audit.key")).unwrap(), before);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(desk.path("audit.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let bad = run(desk.folder.path(), &["audit", "key", "--name", "a b", "--out", "other.key"]);
    assert!(!bad.status.success() && !desk.path("other.key").exists(), "{bad:?}");
}

/// A store that somebody cut and rewrote, with the configuration that knows where the anchors are.
#[tokio::test]
async fn a_store_is_verified_with_the_key_and_the_anchors_of_its_configuration() {
    let desk = Desk::new();
    let yaml = "slack: {channel: C0DEPLOYS, workspace: T0ACME}\n\
        store: sqlite://rollback.db\n\
        backends:\n  inhouse: {kind: http, url: \"http://127.0.0.1:9\", token_env: CD_TOKEN}\n\
        services:\n  checkout:\n    owners: {users: [U02ANA]}\n    environments:\n      \
        production: {backend: inhouse}\n\
        audit:\n  file: {path: audit.jsonl}\n  \
        checkpoints: {key_file: audit.key, file: anchors}\n";
    std::fs::write(desk.path("rollback.yaml"), yaml).unwrap();
    let path = desk.path("rollback.db");
    let store = SqliteStore::open(path.clone(), Options::default()).await.unwrap();
    for number in 0..3 {
        for commit in Script::new(&format!("rb-{number}")).commits(Ending::Succeeded) {
            store.commit(commit).await.unwrap();
        }
    }
    let end = store.head().await.unwrap();
    store.close().await;
    desk.anchor("anchors", std::slice::from_ref(&end));
    let verified = || {
        let output = run(desk.folder.path(), &["audit", "verify"]);
        let told: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        (output.status.code().unwrap(), told)
    };
    // No service has run with it, so that its audit file is not there, and that is said.
    let (code, told) = verified();
    assert_eq!((code, &told["records"]), (7, &end.sequence.into()), "{told}");
    assert!(told["not_compared"][0].as_str().unwrap().contains("audit.jsonl"), "{told}");
    assert_eq!(told["anchors"]["signed"], 1, "{told}");

    // The last records go, and the store's own note of its end goes with them.
    let db = rusqlite::Connection::open(&path).unwrap();
    let last = end.sequence - 2;
    let row = i64::try_from(last).unwrap();
    let line: String = db
        .query_row("SELECT record FROM audit WHERE sequence = ?1", [row], |row| row.get(0))
        .unwrap();
    let hash = Record::parse(&line, last).unwrap().hash.to_string();
    db.execute("DELETE FROM audit WHERE sequence > ?1", [row]).unwrap();
    let (code, told) = verified();
    assert_eq!((code, &told["sequence"]), (3, &(last + 1).into()), "{told}");
    db.execute("UPDATE head SET sequence = ?1, hash = ?2", (row, hash)).unwrap();
    let (code, told) = verified();
    assert_eq!((code, &told["sequence"]), (3, &(last + 1).into()), "{told}");
    assert!(told["problem"].as_str().unwrap().starts_with("`anchors`, line 1: "), "{told}");
    db.execute("UPDATE audit SET record = '{' WHERE sequence = 5", []).unwrap();
    let (code, told) = verified();
    assert_eq!((code, &told["sequence"]), (5, &5.into()), "{told}");
}
