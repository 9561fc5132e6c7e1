//! The audit record's reader and the chain's verifier: whatever a file says, it is verified or the
//! place where it breaks is named, nothing that was verified can be changed unseen, and two
//! different records never have the same bytes.
//!
//! Input: records, one a line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollback_core::audit::{Head, Record, Sequence, Verifier};
use std::collections::BTreeMap;

const CHAIN: &str = "default";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut verifier = Verifier::new(CHAIN);
    let mut ours = Head::genesis(CHAIN);
    let mut written_as: BTreeMap<String, Record> = BTreeMap::new();
    for (line, sequence) in text.lines().zip(1..) {
        let Ok(record) = Record::parse(line, sequence) else { continue };
        assert_eq!(record.canonical().as_deref(), Ok(line), "it is the bytes that were hashed");

        let seen = written_as.entry(line.to_owned()).or_insert_with(|| record.clone());
        assert_eq!(*seen, record, "two records have the same bytes");
        let mut other = record.clone();
        other.draft.drill = !other.draft.drill;
        assert_ne!(other.canonical().as_deref(), Ok(line), "two records have the same bytes");

        let before = verifier.head().clone();
        match verifier.check(&record) {
            Ok(()) => {
                assert_eq!(*verifier.head(), Head::after(&record));
                assert_eq!(record.previous_hash, before.hash);
                let mut elsewhere = record.clone();
                let next = Sequence::new(record.sequence.get() + 1);
                elsewhere.sequence = next.expect("a chain that was read is not full");
                assert!(Verifier::from_head(before.clone()).check(&elsewhere).is_err());
                let mut edited = record.clone();
                edited.draft.drill = !edited.draft.drill;
                assert!(Verifier::from_head(before).check(&edited).is_err());
            }
            Err(_) => assert_eq!(*verifier.head(), before, "a refusal moves nothing"),
        }

        // What it is about can be recorded anew, read back and verified.
        let mine = ours.append(record.draft).expect("what was read can be written");
        let written = mine.canonical().expect("what was read can be written");
        let read = Record::parse(&written, mine.sequence.get()).expect("what we write we can read");
        assert_eq!(read, mine);
        Verifier::from_head(ours).check(&read).expect("and verify");
        ours = Head::after(&mine);
    }
});
