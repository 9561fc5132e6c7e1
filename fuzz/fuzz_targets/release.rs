//! What helm keeps of a release, and what it says when it fails: read or refused, in bounded memory
//! (a small payload can unpack to gigabytes), and told in few words.
//!
//! Input: a payload, packed or not; the same bytes are also tried as what helm is about to write,
//! and as its complaint.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollback_helm::fuzzing::{complaint, creation, release};

fuzz_target!(|data: &[u8]| {
    let _told = release(data);
    let _is_one = creation(data);
    let said = complaint(&String::from_utf8_lossy(data));
    assert!(said.len() < 4_096, "{said}");
});
