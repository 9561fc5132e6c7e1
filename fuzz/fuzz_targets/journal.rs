//! The journal decoder: whatever is stored, it is read or refused, and what was read replays to the
//! same end after it was written again.
//!
//! Input: an opening and then entries, one JSON object a line. Lines that are not read are left
//! out, so that a change of one line keeps the others.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollback_core::journal::{Entry, Opening, replay, replay_whole};

/// Far more than any seed has: more only makes a run slower.
const ENTRIES_MAX: usize = 200;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let Some(Ok(opening)) = lines.next().map(serde_json::from_str::<Opening>) else { return };
    let entries: Vec<Entry> =
        lines.take(ENTRIES_MAX).filter_map(|line| serde_json::from_str(line).ok()).collect();

    let written = serde_json::to_string(&opening).expect("what was read can be written");
    let opening_again: Opening = serde_json::from_str(&written).expect("and read again");
    assert_eq!(opening, opening_again);
    let entries_again: Vec<Entry> = entries
        .iter()
        .map(|entry| {
            let written = serde_json::to_string(entry).expect("what was read can be written");
            let again: Entry = serde_json::from_str(&written).expect("and read again");
            assert_eq!(*entry, again);
            again
        })
        .collect();

    let short = replay(opening.clone(), entries.clone());
    let first = replay_whole(opening, entries);
    let again = replay_whole(opening_again, entries_again);
    assert_eq!(first.rollback.view(), again.rollback.view());
    assert_eq!(first.rollback.view(), short.view());
    assert_eq!(first.rollback.deadline(), again.rollback.deadline());
    assert_eq!(first.effects, again.effects);
    assert_eq!(first.drafts, again.drafts);
    assert_eq!(first.rollback.pending(), again.rollback.pending());
    // A record that could not be stored would stop the rollback for good.
    for draft in &first.drafts {
        serde_json::to_string(draft).expect("every record can be written");
    }
});
