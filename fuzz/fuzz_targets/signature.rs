//! The signature check: whatever the headers and the body are, it is an answer and never a panic,
//! and a yes means that the secret signed these bytes at about this time.
//!
//! Input: the timestamp header, a line end, the signature header, a line end, the body. The two
//! headers are left out when their line says `-`.
#![no_main]

use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use rollback_slack::form::is_ssl_check;
use rollback_slack::{
    Accepted, Click, ClickAck, Closing, ClosingAck, Intake, Interactions, Interactivity,
    SIGNATURE_HEADER, SKEW_MAX_SECONDS, SigningSecrets, Submission, SubmissionAck,
    TIMESTAMP_HEADER, UnixSeconds,
};

/// The moment of the example in Slack's documentation.
const NOW: UnixSeconds = UnixSeconds(1_531_420_618);

static SECRETS: LazyLock<SigningSecrets> = LazyLock::new(|| {
    SigningSecrets::new(&"8f742231b10e8888abcd99yyyzzz85a5".into()).expect("a secret")
});

struct Nobody;

impl Interactions for Nobody {
    fn clicked(&self, _: Click) -> ClickAck {
        ClickAck::NotOurs
    }

    fn submitted(&self, _: Submission) -> SubmissionAck {
        SubmissionAck::NotOurs
    }

    fn closed(&self, _: Closing) -> ClosingAck {
        ClosingAck::NotOurs
    }
}

fn line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}

fn headers(timestamp: &[u8], signature: &[u8]) -> HeaderMap {
    let given = [(TIMESTAMP_HEADER, timestamp), (SIGNATURE_HEADER, signature)];
    let mut headers = HeaderMap::new();
    for (name, value) in given.into_iter().filter(|(_, value)| *value != b"-") {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    headers
}

fuzz_target!(|data: &[u8]| {
    let (timestamp, rest) = line(data);
    let (signature, body) = line(rest);
    let sent = headers(timestamp, signature);
    let verified = SECRETS.verify(&sent, body, NOW);
    if let Ok(genuine) = verified {
        assert_eq!(genuine.body(), body, "what is proved is what was sent");
        let at: i64 = std::str::from_utf8(timestamp).expect("digits").parse().expect("digits");
        assert!(at.abs_diff(NOW.0) <= SKEW_MAX_SECONDS, "it is stale");
        // Leading zeros are signed as they were sent; without them it is what we sign ourselves.
        if at.to_string().as_bytes() == timestamp {
            assert_eq!(SECRETS.sign(body, UnixSeconds(at)).1.as_bytes(), signature);
        }
    }

    // What the secret signed is accepted, and not with one bit of it changed.
    let (at, by) = SECRETS.sign(body, NOW);
    let signed = headers(at.as_bytes(), by.as_bytes());
    assert!(SECRETS.verify(&signed, body, NOW).is_ok());
    if let Some(last) = body.len().checked_sub(1) {
        let mut changed = body.to_vec();
        changed[last] ^= 1;
        assert!(SECRETS.verify(&signed, &changed, NOW).is_err());
        assert!(SECRETS.verify(&signed, &body[..last], NOW).is_err());
    }
    let mut twice = signed.clone();
    twice.append(SIGNATURE_HEADER, HeaderValue::from_static("v0=0"));
    assert!(SECRETS.verify(&twice, body, NOW).is_err());

    // The way in says 401 to exactly those that are not proved, but for Slack's own probe.
    let intake = Arc::new(Intake::new(Accepted::any(), Nobody));
    let entrance = Interactivity::new(SECRETS.clone(), intake);
    let reply = entrance.handle(&sent, body, NOW);
    match (is_ssl_check(body), verified.is_ok()) {
        (true, _) => assert_eq!(reply.status, 200),
        (false, false) => assert_eq!(reply.status, 401),
        (false, true) => assert!([200, 400].contains(&reply.status), "{}", reply.status),
    }
    assert_ne!(entrance.handle(&signed, body, NOW).status, 401);
});
