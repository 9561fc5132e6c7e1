//! The verifier of a whole log beside its anchors: whatever a file says, it is judged in bounded
//! time, and nothing is whole that does not agree with every anchor of it.
//!
//! Input: a log, one record a line; an empty line; a file of anchors, which may be in it twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollback_audit::{Anchors, Auditor, Explanation, Keys, Note, Scope, SigningKey, Verdict};
use rollback_core::Timestamp;
use rollback_core::audit::{Head, Record};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (log, kept) = text.split_once("\n\n").unwrap_or((text, ""));
    if let Ok(note) = Note::parse(kept) {
        assert_eq!(note.to_string(), kept, "a note is written as it was read");
    }

    let key = SigningKey::new("rollback.example.com/audit", &[1; 32].into()).expect("a key");
    for keys in [Keys::default(), Keys::new([key.public().clone()])] {
        let mut anchors = Anchors::new(keys);
        anchors.read("anchors", kept);
        let mut auditor = Auditor::new(Scope::default(), anchors.clone());
        for line in log.lines() {
            auditor.line("log", line);
        }
        let report = auditor.finish(Timestamp::from_millis(u64::MAX));
        let whole = matches!(report.verdict(), Verdict::Whole | Verdict::Open);
        assert_eq!(whole, report.findings.is_empty());
        for finding in &report.findings {
            assert!(!finding.to_string().contains('\u{1b}'), "what is shown is harmless");
        }
        if !whole {
            continue;
        }

        // Everything in a log that is whole is a record, in its place, and the head is the last.
        let records: Vec<Record> = (1..)
            .zip(log.lines())
            .map(|(number, line)| Record::parse(line, number).expect("a whole log has records"))
            .collect();
        assert_eq!(u64::try_from(records.len()), Ok(report.records));
        assert_eq!(report.head, records.last().map(Head::after));
        // Without its last record it disagrees with an anchor of that one.
        if let Some((last, rest)) = records.split_last() {
            let mut anchors = anchors;
            anchors.remember("memory", &Head::after(last));
            let mut auditor = Auditor::new(Scope::default(), anchors);
            for record in rest {
                auditor.record("log", record);
            }
            let cut = auditor.finish(Timestamp::from_millis(0));
            assert_eq!(cut.verdict(), Verdict::Anchor);
        }
        if let Some(page) = Explanation::of(records) {
            assert!(!page.to_string().contains('\u{1b}'), "what is shown is harmless");
        }
    }
});
