//! Logs to tamper with.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use rollback_audit::{Anchors, Auditor, Keys, Report, Scope, Signer, SigningKey};
use rollback_core::Timestamp;
use rollback_core::audit::{Checkpoint, Draft, Head, Record, SignedCheckpoint};
use rollback_core::ports::CheckpointSigner;
use rollback_testkit::script::{Ending, Script};
use std::time::Duration;

pub(crate) const NAME: &str = "rollback.example.com/audit";

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::new(NAME, &[number; 32].into()).expect("a key")
}

pub(crate) fn signer(number: u8) -> Signer {
    Signer::new(key(number))
}

pub(crate) fn start() -> Timestamp {
    Timestamp::parse("2026-11-26T08:00:00Z").expect("a time")
}

/// Minutes after every record, so that no order that lacks an outcome is old.
pub(crate) fn later() -> Timestamp {
    rollback_testkit::fixtures::at(0).after(Duration::from_secs(600))
}

pub(crate) fn checkpoint(signer: &Signer, head: &Head, seconds: u64) -> SignedCheckpoint {
    let at = start().after(Duration::from_secs(seconds));
    signer.sign(Checkpoint::new(head.clone(), at, start())).expect("a checkpoint")
}

#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) records: Vec<Record>,
}

impl Log {
    /// The records of so many rollbacks.
    pub(crate) fn new(rollbacks: usize) -> Self {
        let mut log = Self { records: Vec::new() };
        for number in 0..rollbacks {
            log.append(Self::of(&format!("rb-{number}"), Ending::Succeeded));
        }
        log
    }

    pub(crate) fn of(rollback: &str, ending: Ending) -> Vec<Draft> {
        let commits = Script::new(rollback).commits(ending);
        commits.into_iter().flat_map(|commit| commit.drafts).collect()
    }

    pub(crate) fn append(&mut self, drafts: Vec<Draft>) {
        for draft in drafts {
            self.records.push(self.head().append(draft).expect("a record"));
        }
    }

    /// The same log with another record at this place, from 1, and good hashes from there on.
    pub(crate) fn rewritten(log: &Self, place: usize) -> Self {
        let mut forged = Self { records: Vec::new() };
        let mut drafts: Vec<Draft> = log.records.iter().map(|r| r.draft.clone()).collect();
        drafts[place - 1].explanation = Some("it was somebody else".into());
        forged.append(drafts);
        forged
    }

    pub(crate) fn head(&self) -> Head {
        self.records.last().map_or_else(|| Head::genesis("default"), Head::after)
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.records.iter().map(|record| record.canonical().expect("a record")).collect()
    }
}

/// Checkpoints of these places, from 1, in a file called `anchors`.
pub(crate) fn anchored(log: &Log, places: &[usize]) -> Anchors {
    let mut anchors = Anchors::new(Keys::new([key(1).public().clone()]));
    let note = |place: &usize| {
        let head = Head::after(&log.records[*place - 1]);
        format!("{}\n", checkpoint(&signer(1), &head, 0).note)
    };
    let text: Vec<String> = places.iter().map(note).collect();
    anchors.read("anchors", &text.concat());
    anchors
}

pub(crate) fn audit(lines: &[String], anchors: Anchors) -> Report {
    let mut scope = Scope::default();
    scope.chain = Some("default".into());
    audit_at(lines, anchors, scope, later())
}

pub(crate) fn audit_at(lines: &[String], anchors: Anchors, scope: Scope, now: Timestamp) -> Report {
    let mut auditor = Auditor::new(scope, anchors);
    for (line, number) in lines.iter().zip(1..) {
        auditor.line(&format!("line {number}"), line);
    }
    auditor.finish(now)
}
