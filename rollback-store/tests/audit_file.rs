//! The audit log as files: what is acknowledged is there, once, in order, and provably whole.
#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a test fails by panicking")]

use async_trait::async_trait;
use rollback_core::audit::{Checkpoint, Head, Record, SignedCheckpoint};
use rollback_core::journal::{Entry, replay_whole};
use rollback_core::ports::{AuditSink, ErrorKind};
use rollback_core::{Event, RollbackId};
use rollback_store::{
    AuditFile, AuditFileOptions, AuditFileProblem, AuditLines, verify_audit_files,
};
use rollback_testkit::audit_sink::{Harness, run_all};
use rollback_testkit::{Simulated, fixtures};
use std::path::{Path, PathBuf};

/// `count` records of one chain.
fn records(count: usize) -> Vec<Record> {
    let mut head = Head::genesis("default");
    let mut records = Vec::new();
    for number in 0..count {
        let (at, ana) = (fixtures::at(0), fixtures::ana());
        let mut opening = fixtures::clicked_by(&ana, fixtures::policy());
        opening.id = RollbackId::parse(format!("r{number}")).unwrap();
        let events = [Event::StandingObserved(Box::new(ana.standing(at)))];
        let entries = events.map(|event| Entry::new(at, event));
        let draft = replay_whole(opening, entries).drafts.into_iter().next().unwrap();
        let record = head.append(draft).unwrap();
        head = Head::after(&record);
        records.push(record);
    }
    records
}

fn small() -> AuditFileOptions {
    let mut options = AuditFileOptions::default();
    options.rotate_bytes = 4_000;
    options
}

fn path(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("audit.jsonl")
}

async fn keep(path: &Path, options: AuditFileOptions, records: &[Record]) {
    let sink = AuditFile::new(path, options);
    for record in records {
        sink.record(record).await.unwrap();
    }
}

fn names(folder: &tempfile::TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

struct Folder {
    kept_in: PathBuf,
    moved_to: PathBuf,
    sink: AuditFile,
    _whole: tempfile::TempDir,
}

#[async_trait]
impl Harness for Folder {
    fn sink(&self) -> &dyn AuditSink {
        &self.sink
    }

    async fn kept(&self) -> Vec<Record> {
        let text = std::fs::read_to_string(self.kept_in.join("audit.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn break_down(&self) -> Simulated {
        std::fs::rename(&self.kept_in, &self.moved_to).unwrap();
        Simulated::Done
    }

    async fn heal(&self) {
        std::fs::rename(&self.moved_to, &self.kept_in).unwrap();
    }
}

#[tokio::test]
async fn the_audit_file_conforms() {
    let make = async || {
        let whole = tempfile::tempdir().unwrap();
        let (kept_in, moved_to) = (whole.path().join("log"), whole.path().join("moved"));
        std::fs::create_dir(&kept_in).unwrap();
        let sink = AuditFile::new(kept_in.join("audit.jsonl"), AuditFileOptions::default())
            .anchored_in(kept_in.join("audit.checkpoints"));
        Folder { kept_in, moved_to, sink, _whole: whole }
    };
    run_all(make).await.skips_only(&[]);
}

#[tokio::test]
async fn a_full_file_is_put_aside_and_the_chain_goes_on_in_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (path, records) = (path(&folder), records(20));
    keep(&path, small(), &records).await;
    let names = names(&folder);
    assert!(names.len() > 3 && names.contains(&"audit.000000000001.jsonl".into()), "{names:?}");
    for name in &names {
        assert!(std::fs::metadata(folder.path().join(name)).unwrap().len() <= 4_000, "{name}");
    }
    let verified = verify_audit_files(&path).unwrap();
    assert_eq!((verified.records, verified.first), (20, Some(1)));
    assert_eq!(verified.head.unwrap().hash, records.last().unwrap().hash);
}

#[tokio::test]
async fn another_process_goes_on_where_the_last_one_stopped_at_every_point() {
    let records = records(9);
    for stop in 0..records.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(&folder);
        keep(&path, small(), &records[..stop]).await;
        // The last one again, as after a crash before its acknowledgement was noted.
        keep(&path, small(), &records[stop.saturating_sub(1)..]).await;
        assert_eq!(verify_audit_files(&path).unwrap().records, 9, "stopped after {stop}");
    }
}

#[tokio::test]
async fn a_torn_last_line_is_taken_away_wherever_it_was_torn() {
    let records = records(3);
    let last = format!("{}\n", records[2].canonical().unwrap());
    for torn in (0..last.len()).step_by(7) {
        let folder = tempfile::tempdir().unwrap();
        let path = path(&folder);
        keep(&path, AuditFileOptions::default(), &records[..2]).await;
        let mut file = std::fs::read(&path).unwrap();
        file.extend_from_slice(&last.as_bytes()[..torn]);
        std::fs::write(&path, file).unwrap();
        assert_eq!(verify_audit_files(&path).unwrap().is_torn, torn > 0, "torn at {torn}");
        keep(&path, AuditFileOptions::default(), &records[2..]).await;
        let verified = verify_audit_files(&path).unwrap();
        assert_eq!((verified.records, verified.is_torn), (3, false), "torn at {torn}");
    }
}

#[tokio::test]
async fn a_record_that_continues_nothing_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (path, records) = (path(&folder), records(5));
    keep(&path, AuditFileOptions::default(), &records[..2]).await;
    let before = std::fs::read(&path).unwrap();
    let sink = AuditFile::new(&path, AuditFileOptions::default());
    let refused = sink.record(&records[4]).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Misconfigured);
    assert!(refused.to_string().contains("ends with record 2 and record 5 came"), "{refused}");
    let mut other = records[1].clone();
    other.hash = records[3].hash;
    let refused = sink.record(&other).await.unwrap_err();
    assert!(refused.to_string().contains("another record 2"), "{refused}");
    let mut early = records[0].clone();
    early.hash = records[3].hash;
    assert!(sink.record(&early).await.is_err(), "an older one is looked up");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    sink.record(&records[2]).await.unwrap();
}

#[tokio::test]
async fn a_log_may_begin_in_the_middle_of_a_chain() {
    let folder = tempfile::tempdir().unwrap();
    let (path, records) = (path(&folder), records(6));
    keep(&path, AuditFileOptions::default(), &records[3..]).await;
    let verified = verify_audit_files(&path).unwrap();
    assert_eq!((verified.records, verified.first), (3, Some(4)));
}

#[tokio::test]
async fn every_change_to_a_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (path, records) = (path(&folder), records(4));
    keep(&path, AuditFileOptions::default(), &records).await;
    let good = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let edited = good.replacen("checkout", "chekcout", 1);
    let removed = format!("{}\n{}\n{}\n", lines[0], lines[2], lines[3]);
    let moved = format!("{}\n{}\n{}\n{}\n", lines[1], lines[0], lines[2], lines[3]);
    let spaced = good.replacen(":", ": ", 1);
    let blank = good.replacen('\n', "\n\n", 1);
    for (name, text) in [
        ("edited", edited),
        ("removed", removed),
        ("moved", moved),
        ("spaced", spaced),
        ("blank", blank),
    ] {
        assert_ne!(text, good, "{name}");
        std::fs::write(&path, text).unwrap();
        let problem = verify_audit_files(&path).unwrap_err();
        assert!(matches!(problem, AuditFileProblem::Broken { .. }), "{name}: {problem}");
    }
    let not_text = [good.as_bytes(), b"\xff\xfe\n"].concat();
    std::fs::write(&path, not_text).unwrap();
    assert!(verify_audit_files(&path).unwrap_err().to_string().contains("not UTF-8"));
}

#[tokio::test]
async fn what_was_changed_in_the_file_stops_the_sink_loudly() {
    let folder = tempfile::tempdir().unwrap();
    let (path, records) = (path(&folder), records(2));
    keep(&path, AuditFileOptions::default(), &records[..1]).await;
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("checkout", "chekcout ")).unwrap();
    let sink = AuditFile::new(&path, AuditFileOptions::default());
    assert!(sink.record(&records[1]).await.is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn a_disk_that_takes_nothing_is_an_error() {
    if !Path::new("/dev/full").exists() {
        return peer::skipped("a disk that is full", "this system has no /dev/full");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = path(&folder);
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let sink = AuditFile::new(&path, AuditFileOptions::default());
    assert!(sink.record(&records(1)[0]).await.is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn a_look_says_that_the_disk_is_full_and_records_are_kept_while_they_fit() {
    let folder = tempfile::tempdir().unwrap();
    let (path, records) = (path(&folder), records(1));
    let roomy = AuditFile::new(&path, AuditFileOptions::default());
    roomy.look().await.expect("there is room for a rollback");
    let mut options = AuditFileOptions::default();
    options.free_bytes_min = u64::MAX;
    let sink = AuditFile::new(&path, options);
    let error = sink.look().await.expect_err("no disk has so much room");
    assert!(error.what.contains("the disk of the file is full"), "{}", error.what);
    sink.record(&records[0]).await.expect("it fits");
    sink.kept().await.expect("a copy of the log");
}

#[cfg(unix)]
#[tokio::test]
async fn a_look_says_that_the_folder_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let sink = AuditFile::new(folder.path().join("gone/audit.jsonl"), AuditFileOptions::default());
    assert!(sink.look().await.is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_read_the_file_and_nobody_else_writes_it_at_once() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (path, records) = (path(&folder), records(2));
    keep(&path, AuditFileOptions::default(), &records[..1]).await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let other = std::fs::File::open(&path).expect("the file");
    other.lock().expect("a lock");
    let refused = AuditFile::new(&path, AuditFileOptions::default()).record(&records[1]).await;
    let error = refused.expect_err("it is locked").to_string();
    assert!(error.contains("another process"), "{error}");
}

/// A note as a signer writes it; what is in it is not this file's business.
fn checkpoint(number: usize) -> SignedCheckpoint {
    let at = fixtures::at(0);
    let note = format!("log.example.com\n{number}\n\n— log.example.com c2lnbmF0dXJl{number}\n");
    SignedCheckpoint::new(Checkpoint::new(Head::genesis("default"), at, at), note)
}

#[tokio::test]
async fn checkpoints_are_kept_one_after_the_other_and_the_last_one_is_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("audit.checkpoints");
    let sink = || AuditFile::new(path(&folder), small()).anchored_in(&kept);
    assert_eq!(sink().last_checkpoint().await.unwrap(), None);
    for number in 0..300 {
        sink().checkpoint(&checkpoint(number)).await.unwrap();
        // As after an answer that was lost.
        sink().checkpoint(&checkpoint(number)).await.unwrap();
        assert_eq!(sink().last_checkpoint().await.unwrap(), Some(checkpoint(number).note));
    }
    let expected: Vec<String> = (0..300).map(|n| format!("{}\n", checkpoint(n).note)).collect();
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), expected.concat());
    let plain = AuditFile::new(path(&folder), small());
    plain.checkpoint(&checkpoint(1)).await.unwrap();
    assert_eq!(plain.last_checkpoint().await.unwrap(), None, "it was told no place");
}

#[tokio::test]
async fn a_torn_checkpoint_is_taken_away_wherever_it_was_torn() {
    let (first, second) = (checkpoint(1).note, checkpoint(2).note);
    for whole in ["", &format!("{first}\n")] {
        for torn in 0..=second.len() {
            if !second.is_char_boundary(torn) {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let kept = folder.path().join("audit.checkpoints");
            std::fs::write(&kept, format!("{whole}{}", &second[..torn])).unwrap();
            let sink = AuditFile::new(path(&folder), small()).anchored_in(&kept);
            let before = (!whole.is_empty()).then(|| first.clone());
            assert_eq!(sink.last_checkpoint().await.unwrap(), before, "torn at {torn}");
            sink.checkpoint(&checkpoint(3)).await.unwrap();
            let text = std::fs::read_to_string(&kept).unwrap();
            assert_eq!(text, format!("{whole}{}\n", checkpoint(3).note), "torn at {torn}");
        }
    }
}

#[tokio::test]
async fn a_file_that_ends_with_no_checkpoint_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("audit.checkpoints");
    let garbage = "x".repeat(400_000);
    std::fs::write(&kept, &garbage).unwrap();
    let sink = AuditFile::new(path(&folder), small()).anchored_in(&kept);
    let refused = sink.checkpoint(&checkpoint(1)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Misconfigured);
    assert!(refused.to_string().contains("no checkpoint"), "{refused}");
    assert!(sink.last_checkpoint().await.is_err());
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), garbage);
}

#[tokio::test]
async fn the_lines_of_a_log_are_read_over_all_its_files_and_a_torn_one_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (path, records) = (path(&folder), records(20));
    assert!(AuditLines::open(&path).is_err(), "there is none yet");
    keep(&path, small(), &records).await;
    let mut file = std::fs::read(&path).unwrap();
    file.extend_from_slice(b"{\"half");
    std::fs::write(&path, file).unwrap();
    let mut lines = AuditLines::open(&path).unwrap();
    let read: Vec<String> = lines.by_ref().map(|line| line.text.unwrap()).collect();
    let expected: Vec<String> = records.iter().map(|r| r.canonical().unwrap()).collect();
    assert_eq!((read, lines.is_torn()), (expected, true));
    let first = AuditLines::open(&path).unwrap().next().unwrap();
    assert!(first.place.ends_with("audit.000000000001.jsonl`, line 1"), "{}", first.place);
    std::fs::write(&path, b"\xff\n").unwrap();
    let last = AuditLines::open(&path).unwrap().last().unwrap();
    assert_eq!(last.text, Err("it is not UTF-8".into()));
}
