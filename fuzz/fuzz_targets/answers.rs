//! What a CD system answers: whatever it says, it proves only what its status can prove, and nothing
//! that it says shows our token.
//!
//! Input: two bytes for the status, one for the kind of body, and the body. `@@` in it stands for
//! our own token.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollback_http::fuzzing::{Proof, answer};

const TOKEN: &str = "canary-token-of-the-fuzzer";

fuzz_target!(|data: &[u8]| {
    let [low, high, kind, body @ ..] = data else { return };
    let status = u16::from_le_bytes([*low, *high]) % 500 + 100;
    let body = String::from_utf8_lossy(body).replace("@@", TOKEN);
    let (proof, words) = answer(status, *kind, body.as_bytes(), TOKEN);
    match proof {
        Proof::Taken => assert_eq!(status, 202),
        Proof::NothingHappened => {
            assert!((400..500).contains(&status) && ![408, 425, 429].contains(&status), "{status}");
        }
        Proof::Nothing => {}
    }
    assert!(!words.contains(TOKEN), "{words}");
    assert_eq!(answer(status, *kind, body.as_bytes(), TOKEN), (proof, words), "the same again");
});
