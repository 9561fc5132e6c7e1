//! Writes the seeds that can be made from what the workspace has: `cargo run --example seeds`, in
//! this folder. Seeds that a run found are added by hand.

use std::fs;
use std::path::{Path, PathBuf};

use rollback_core::audit::Head;
use rollback_core::journal::{Entry, Opening, replay_whole};
use rollback_slack::{SigningSecrets, UnixSeconds};
use serde_json::{Value, json};

const NOW: UnixSeconds = UnixSeconds(1_531_420_618);

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn write(target: &str, name: &str, bytes: impl AsRef<[u8]>) {
    let folder = here().join("corpus").join(target);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(name), bytes).expect("a seed");
}

/// One of each kind that Slack sends, with what our own views put into them.
fn payloads() -> Vec<(&'static str, Value)> {
    let user = json!({"id": "U02ANA", "username": "ana", "name": "ana", "team_id": "T0ACME"});
    let team = json!({"id": "T0ACME", "domain": "acme"});
    let button = |action: &str, value: Value| {
        json!({"type": "button", "action_id": action, "block_id": "act", "style": "danger",
            "text": {"type": "plain_text", "text": "Roll back", "emoji": true},
            "value": value.to_string(), "action_ts": "1531420617.000200"})
    };
    let click = |action: Value| {
        json!({"type": "block_actions", "user": user, "api_app_id": "A0ROLLBACK", "token": "x",
            "container": {"type": "message", "message_ts": "1531420600.000100",
                "channel_id": "C0DEPLOYS", "is_ephemeral": false},
            "trigger_id": "111.222.abc", "team": team, "enterprise": null,
            "is_enterprise_install": false,
            "channel": {"id": "C0DEPLOYS", "name": "deploys"},
            "message": {"type": "message", "user": "U0BOT", "ts": "1531420600.000100",
                "text": "checkout 2.14.0 & more <ü>", "blocks": [{"type": "section",
                    "text": {"type": "mrkdwn", "text": "*Version*\n`2.14.0`"}}]},
            "state": {"values": {}}, "response_url": "https://hooks.example.com/1",
            "actions": [action]})
    };
    let memo = json!({"r": "rb-1", "s": {"from": "42", "to": "41"}}).to_string();
    let view = json!({"id": "V1", "team_id": "T0ACME", "type": "modal",
        "callback_id": "rollback_confirm", "private_metadata": memo, "hash": "1531420618.abc",
        "external_id": "", "root_view_id": "V1", "previous_view_id": null,
        "state": {"values": {"reason": {"reason":
            {"type": "plain_text_input", "value": "errors up 4x, \"really\"\n🔥"}}}}});
    let menu = json!({"type": "static_select", "action_id": "pick", "block_id": "b",
        "selected_option": {"text": {"type": "plain_text", "text": "A"}, "value": "a"},
        "action_ts": "1531420617.000200"});
    let in_a_view = json!({"type": "block_actions", "user": user, "api_app_id": "A0ROLLBACK",
        "container": {"type": "view", "view_id": "V1"}, "trigger_id": "1.2.d", "team": team,
        "view": view, "actions": [menu]});
    vec![
        ("click", click(button("rollback_open", json!({"d": "ci-4711", "v": 3})))),
        ("approve", click(button("rollback_approve", json!({"r": "rb-1", "v": 3})))),
        ("click_in_a_view", in_a_view),
        (
            "submission",
            json!({"type": "view_submission", "user": user, "api_app_id": "A0ROLLBACK",
                "team": team, "trigger_id": "1.2.b", "view": view, "response_urls": []}),
        ),
        (
            "closing",
            json!({"type": "view_closed", "user": user, "api_app_id": "A0ROLLBACK",
                "team": null, "enterprise": {"id": "E0ACME", "name": "Acme"},
                "is_enterprise_install": true, "view": view, "is_cleared": true}),
        ),
        ("shortcut", json!({"type": "shortcut", "api_app_id": "A0ROLLBACK", "team": team})),
    ]
}

fn form(payload: &Value) -> Vec<u8> {
    let mut form = b"payload=".to_vec();
    let payload = payload.to_string();
    form.extend(form_urlencoded::byte_serialize(payload.as_bytes()).flat_map(str::bytes));
    form
}

fn slack() {
    let secrets = SigningSecrets::new(&"8f742231b10e8888abcd99yyyzzz85a5".into()).expect("one");
    for (name, payload) in payloads() {
        write("payload", &format!("{name}.form"), form(&payload));
        write("payload", &format!("{name}.json"), payload.to_string());
    }
    write("payload", "broken_escape.form", "payload=%7B%7");
    write("payload", "repeated.form", "payload=%7B%7D&payload=%7B%7D");
    write("payload", "probe.form", "ssl_check=1&token=x");

    let signed = |body: &[u8], at: UnixSeconds| {
        let (timestamp, signature) = secrets.sign(body, at);
        [timestamp.as_bytes(), b"\n", signature.as_bytes(), b"\n", body].concat()
    };
    let body = form(&payloads()[0].1);
    write("signature", "genuine", signed(&body, NOW));
    write("signature", "genuine_empty", signed(b"", NOW));
    write("signature", "genuine_not_a_form", signed(b"hello", NOW));
    write("signature", "stale", signed(b"payload=%7B%7D", UnixSeconds(NOW.0 - 301)));
    write("signature", "unsigned", b"-\n-\npayload=%7B%7D");
    write("signature", "probe", b"-\n-\nssl_check=1&token=x");
    write("signature", "malformed", b"1531420618\nv0=ABCDEF\npayload=%7B%7D");
}

fn journals() {
    let folder = here().join("../rollback-core/tests/journals");
    for file in fs::read_dir(folder).expect("the golden journals") {
        let path = file.expect("a file").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        journal(&path, &name);
    }
}

/// A golden journal without its last line, which says what came of it; and the audit records that
/// it gave.
fn journal(path: &Path, name: &str) {
    let text = fs::read_to_string(path).expect("a journal");
    let lines: Vec<&str> = text.lines().collect();
    let (_outcome, lines) = lines.split_last().expect("lines");
    write("journal", name, lines.join("\n"));
    let (opening, entries) = lines.split_first().expect("an opening");
    let opening: Opening = serde_json::from_str(opening).expect("an opening");
    let entries = entries.iter().map(|line| serde_json::from_str::<Entry>(line).expect("one"));
    let mut head = Head::genesis("default");
    let mut chain = String::new();
    for draft in replay_whole(opening, entries).drafts {
        let record = head.append(draft).expect("a record");
        head = Head::after(&record);
        chain.push_str(&record.canonical().expect("a record"));
        chain.push('\n');
    }
    write("audit", name, chain);
}

fn main() {
    slack();
    journals();
}
