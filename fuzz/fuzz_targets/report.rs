//! What a pipeline reports: our own JSON, or a CDEvent in either mode of CloudEvents. It is read and
//! keeps the bounds of a deploy, or it is refused.
//!
//! Input: one byte for the form, in the binary mode three lines for the attributes, and the body.
#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use rollback_api::fuzzing::report;
use rollback_core::{Deploy, Timestamp};

fn line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}

fuzz_target!(|data: &[u8]| {
    let [form, body @ ..] = data else { return };
    let mut headers = HeaderMap::new();
    let mut body = body;
    let json = HeaderValue::from_static("application/json");
    match form % 3 {
        0 => drop(headers.insert("content-type", json)),
        1 => {
            let kind = HeaderValue::from_static("application/cloudevents+json");
            headers.insert("content-type", kind);
        }
        _ => {
            headers.insert("content-type", json);
            headers.insert("ce-specversion", HeaderValue::from_static("1.0"));
            for name in ["ce-id", "ce-source", "ce-type"] {
                let (value, rest) = line(body);
                body = rest;
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    headers.append(name, value);
                }
            }
        }
    }
    let now = Timestamp::parse("2026-11-22T09:45:00Z").expect("a time");
    let read = report(&headers, body, now);
    assert_eq!(read, report(&headers, body, now), "the same again");
    let Ok(deploy) = read else { return };
    assert!(deploy.deployed_at.since(now).as_secs() <= 300, "it is of the future: {deploy:?}");
    // It can be kept, and read again.
    let kept = serde_json::to_string(&deploy).expect("a deploy can be written");
    let again: Deploy = serde_json::from_str(&kept).expect("and read");
    assert_eq!(again, deploy);
});
