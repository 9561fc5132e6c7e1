//! A signed click from its bytes to its acknowledgement, and the stages of it.
//!
//! 64 variants of one click take turns, so that a branch predictor cannot learn a single body. The
//! payload carries a message of ten blocks, as Slack sends it back: about 4.8 kB of JSON and
//! 7.3 kB as a form.
#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up ends")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::HeaderMap;
use rollback_slack::form::payload_of;
use rollback_slack::payload::parse;
use rollback_slack::{
    Accepted, Click, ClickAck, Closing, ClosingAck, Intake, Interactions, Interactivity,
    SIGNATURE_HEADER, SigningSecrets, Submission, SubmissionAck, TIMESTAMP_HEADER, UnixSeconds,
};
use serde_json::json;

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
const VARIANTS: usize = 64;

struct Taker;

impl Interactions for Taker {
    fn clicked(&self, click: Click) -> ClickAck {
        black_box(click);
        ClickAck::Taken
    }

    fn submitted(&self, _: Submission) -> SubmissionAck {
        SubmissionAck::NotOurs
    }

    fn closed(&self, _: Closing) -> ClosingAck {
        ClosingAck::NotOurs
    }
}

/// A click that no other is equal to.
fn click(number: usize) -> String {
    let section = |block: usize| {
        json!({"type": "section", "block_id": format!("b{block}.{number}"), "fields": [
            {"type": "mrkdwn", "text": format!("*Revision*\n`r{}` of build {block}", number * 7),
                "verbatim": true},
            {"type": "mrkdwn", "text": format!("*By*\n<@U{number:04}> at {block}:00 & later"),
                "verbatim": true},
            {"type": "plain_text", "text": "Changes since the last deploy, with a title each",
                "emoji": true}]})
    };
    let blocks: Vec<_> = (0..10).map(section).collect();
    json!({"type": "block_actions",
        "user": {"id": format!("U{number:04}"), "username": "ann", "name": "ann",
            "team_id": "T111"},
        "api_app_id": "A111", "token": "x",
        "container": {"type": "message", "message_ts": "1700000000.000100",
            "channel_id": "C0DEPLOYS", "is_ephemeral": false},
        "trigger_id": format!("111.222.{number}"), "team": {"id": "T111", "domain": "acme"},
        "enterprise": null, "is_enterprise_install": false,
        "channel": {"id": "C0DEPLOYS", "name": "deploys"},
        "message": {"type": "message", "user": "UBOT", "bot_id": "B111", "app_id": "A111",
            "team": "T111", "ts": "1700000000.000100", "text": "api deployed", "blocks": blocks},
        "state": {"values": {}}, "response_url": "https://hooks.slack.com/actions/T111/1/abc",
        "actions": [{"type": "button", "action_id": "rollback_open", "block_id": "act",
            "style": "danger", "text": {"type": "plain_text", "text": "Roll back", "emoji": true},
            "value": format!("{{\"d\":\"d-{number}\",\"g\":1}}"),
            "action_ts": "1700000100.000200"}]})
    .to_string()
}

/// As Slack encodes it.
fn form(payload: &str) -> Vec<u8> {
    let mut form = b"payload=".to_vec();
    for byte in payload.bytes() {
        match byte {
            b' ' => form.push(b'+'),
            byte if byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte) => form.push(byte),
            byte => form.extend(format!("%{byte:02X}").bytes()),
        }
    }
    form
}

fn signed(secrets: &SigningSecrets, body: &[u8]) -> HeaderMap {
    let (timestamp, signature) = secrets.sign(body, NOW);
    HeaderMap::from_iter([
        (TIMESTAMP_HEADER.parse().unwrap(), timestamp.parse().unwrap()),
        (SIGNATURE_HEADER.parse().unwrap(), signature.parse().unwrap()),
    ])
}

fn benches(criterion: &mut Criterion) {
    let secrets = SigningSecrets::new(&"8f742231b10e8888abcd99yyyzzz85a5".into()).unwrap();
    let payloads: Vec<String> = (0..VARIANTS).map(click).collect();
    let forms: Vec<Vec<u8>> = payloads.iter().map(|payload| form(payload)).collect();
    let headers: Vec<HeaderMap> = forms.iter().map(|body| signed(&secrets, body)).collect();
    let bytes: usize = forms.iter().map(Vec::len).sum();
    let mut turns = (0..VARIANTS).cycle();
    let mut turn = move || turns.next().unwrap_or_default();

    let mut group = criterion.benchmark_group("click");
    group.throughput(Throughput::Bytes(u64::try_from(bytes / VARIANTS).unwrap()));
    group.bench_function("signature", |bench| {
        bench.iter(|| {
            let at = turn();
            secrets.verify(headers.get(at).unwrap(), forms.get(at).unwrap(), NOW).is_ok()
        });
    });
    group.bench_function("form", |bench| {
        bench.iter(|| payload_of(forms.get(turn()).unwrap()));
    });
    group.bench_function("payload", |bench| {
        bench.iter(|| parse(payloads.get(turn()).unwrap()));
    });
    group.bench_function("whole", |bench| {
        // A new memory for each round of variants: a repeat would be cheaper than a click.
        let fresh = || {
            let intake = Arc::new(Intake::new(Accepted::app("A111").team("T111"), Taker));
            Interactivity::new(secrets.clone(), intake)
        };
        bench.iter_custom(|clicks| {
            let mut spent = std::time::Duration::ZERO;
            let mut left = clicks;
            while left > 0 {
                let app = fresh();
                let began = std::time::Instant::now();
                for (headers, body) in headers.iter().zip(&forms) {
                    if left > 0 {
                        let reply = app.handle(black_box(headers), black_box(body), NOW);
                        assert_eq!(reply.status, 200);
                        left -= 1;
                    }
                }
                spent += began.elapsed();
            }
            spent
        });
    });
    group.finish();
}

criterion_group!(click_benches, benches);
criterion_main!(click_benches);
