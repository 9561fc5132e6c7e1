//! Writes the seeds that can be made from what the workspace has: `cargo run --example seeds`, in
//! this folder. Seeds that a run found are added by hand.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use rollback_audit::{Signer, SigningKey};
use rollback_core::Timestamp;
use rollback_core::audit::{Checkpoint, Head};
use rollback_core::journal::{Entry, Opening, replay_whole};
use rollback_core::ports::CheckpointSigner;
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
    write("audit", name, &chain);
    let key = |seed: u8| SigningKey::new("rollback.example.com/audit", &[seed; 32].into());
    let old = Signer::new(key(1).expect("a key"));
    let both = Signer::new(key(2).expect("a key")).replacing(key(1).expect("a key"));
    let both = both.expect("keys of one name");
    let start = Timestamp::from_millis(1_795_000_000_000);
    let checkpoint = || Checkpoint::new(head.clone(), start, start);
    let hash = head.hash.to_string();
    let anchors = format!(
        "{}\n{}\n{} {}\n",
        old.sign(checkpoint()).expect("a checkpoint").note,
        both.sign(checkpoint()).expect("a checkpoint").note,
        head.sequence,
        &hash[..16]
    );
    write("auditor", name, format!("{chain}\n{anchors}"));
}

fn forms() {
    write("form", "plain", form(&payloads()[0].1));
    write("form", "between_others", "token=x&payload=%7B%22a%22%3A+1%7D&ssl_check=0");
    write("form", "probe", "a=b&ssl_check=1");
    write("form", "repeated", "payload=&payload=");
    write("form", "broken_at_a_block", [b"payload=".as_slice(), &[b'a'; 239], b"%7"].concat());
    write("form", "not_text", "payload=%ff%FE");
    write("form", "absent", "payloads=%7B%7D");
}

fn words() {
    let text = |limit: u16, text: &str| [&limit.to_le_bytes()[..], text.as_bytes()].concat();
    write("escape", "calls", text(60, "<!channel> <@U02ANA> <#C1> @here & `x` > quoted"));
    write(
        "escape",
        "unseen",
        text(12, "v1\u{202e}4.2\u{2066}\u{200b}\u{feff}\u{e0041}\r\n\u{2028}x"),
    );
    write("escape", "entities", text(3, "&&&&&amp;&lt;"));
    write("escape", "address", text(20, "https://git.example.com/a...b?x=1&y=<2>|`3`"));
    write("escape", "id", text(20, "S0PAYMENTS"));
    write("escape", "wide", text(2, "\u{1f525}\u{1f469}\u{200d}\u{1f692}e\u{301}"));
}

fn answers() {
    // As the target reads them: the status less a hundred, a kind of body, the body.
    let answer = |status: u16, kind: u8, body: &str| {
        [&(status - 100).to_le_bytes()[..], &[kind], body.as_bytes()].concat()
    };
    let revision = r#"{"id":"41","version":"2.13.4","status":"succeeded","restorable":true}"#;
    let service = format!(r#"{{"live":{revision},"in_progress":null,"revisions":[{revision}]}}"#);
    let execution = format!(
        r#"{{"execution_id":"run-7","phase":"complete","message":"@@","live":{revision}}}"#
    );
    write("answers", "taken", answer(202, 0, r#"{"execution_id":"run-7"}"#));
    write("answers", "taken_unsaid", answer(202, 1, r#"{"execution_id":"@@"}"#));
    write("answers", "execution", answer(200, 0, &execution));
    write("answers", "service", answer(200, 0, &service));
    write("answers", "voided", answer(200, 0, r#"{"voided":true}"#));
    write("answers", "moved", answer(409, 0, &format!(r#"{{"detail":"no","live":{revision}}}"#)));
    let secrets = r#"{"title":"no","detail":"Bearer @@, postgres://a:b@c, ghp_0123456789"}"#;
    write("answers", "refused", answer(422, 0, secrets));
    write("answers", "page", answer(502, 2, "<html>@@</html>"));
    write("answers", "later", answer(429, 0, "{}"));
    write("answers", "nested", answer(200, 0, &"[".repeat(600)));
}

fn packed(plain: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(plain).expect("memory");
    packer.finish().expect("memory")
}

fn releases() {
    let release = json!({
        "name": "shop", "version": 3, "namespace": "shop", "apply_method": "ssa",
        "info": {"status": "deployed", "description": "Rollback to 1", "rollback_revision": 1},
        "chart": {"metadata": {"name": "shop", "version": "1.2.3", "appVersion": "2.14.0",
            "annotations": {"rollback-rs.github.io/migrations": "[]"}}},
        "config": {"password": "hunter2"},
        "manifest": "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n",
        "hooks": [{"name": "migrate", "kind": "Job", "manifest": "kind: Job\n",
            "events": ["pre-rollback"]}],
    });
    write("release", "packed", packed(release.to_string().as_bytes()));
    write("release", "plain", release.to_string());
    write("release", "nulls", r#"{"info":{},"chart":null,"hooks":null,"version":1}"#);
    write("release", "broken", &packed(release.to_string().as_bytes())[..40]);
    // What unpacks without end is a unit test's: one run of it takes as long as a thousand others.
    let secret = json!({"metadata": {"name": "sh.helm.release.v1.shop.v3"}, "data": {}});
    write("release", "secret.json", secret.to_string());
    let schema = "Error: values don't meet the specifications of the schema(s)";
    write("release", "complaint", format!("{schema}:\n- password: Invalid value: \"hunter2\"\n"));
    write("release", "away", "Error: Kubernetes cluster unreachable: connection refused\n");
}

fn configurations() {
    let here = here();
    for (name, file) in [
        ("sample", "../examples/platform-service/rollback.yaml"),
        ("documented", "../examples/platform-service/tests/it/documented.yaml"),
    ] {
        write("config", name, fs::read(here.join(file)).expect("a configuration"));
    }
    write("config", "token", "slack: {channel: xoxb-1-2-three, token: \"Bearer ghp_012345\"}\n");
    write("config", "token_as_key", "slack:\n  xoxb-1-2-three: x\n");
    write("config", "aliases", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n");
    write("config", "merge", "a: {<<: {b: c}}\n? [x]\n: !!binary aGk=\n");
    write("config", "two_documents", "a: 1\n---\nb: 2\n");
    write("config", "surprises", "a: no\nb: 012\nc: 1e3\nd: .inf\na: yes\n");
}

fn reports() {
    let deploy = json!({
        "id": "ci-42", "service": "checkout", "environment": "production", "version": "2.14.0",
        "commit": "9f3c2ab", "revision": "42",
        "deployer": {"name": "Bo", "slack_user_id": "U03BO", "email": "bo@example.com"},
        "changelog_url": "https://git.example.com/compare/2.13.4...2.14.0",
        "deployed_at": "2026-11-22T09:30:00Z", "migrations": [{"id": "m1", "reversible": "no"}],
    });
    let event = json!({
        "context": {"specversion": "0.5.1", "id": "271069a8", "source": "/ci/acme",
            "type": "dev.cdevents.service.deployed.0.3.0", "timestamp": "2026-11-22T09:30:00Z"},
        "subject": {"id": "checkout", "source": "/cluster/eu", "content": {
            "environment": {"id": "production", "source": "/cluster/eu"},
            "artifactId": "pkg:oci/checkout@sha256%3A0b31b1c02f?tag=2.14.0"}},
        "customData": {"revision": "42", "migrations": []},
        "customDataContentType": "application/json",
    });
    let kind = &event["context"]["type"];
    let envelope = json!({"specversion": "1.0", "id": "271069a8", "source": "/ci/acme",
        "type": kind, "subject": "checkout", "time": "2026-11-22T09:30:00Z",
        "datacontenttype": "application/json", "data": event});
    let body = |form: u8, body: &str| [&[form][..], body.as_bytes()].concat();
    write("report", "native", body(0, &deploy.to_string()));
    write("report", "structured", body(1, &envelope.to_string()));
    let attributes = "271069a8\n/ci/acme%20x\ndev.cdevents.service.deployed.0.3.0\n";
    write("report", "binary", body(2, &format!("{attributes}{event}")));
    let later = deploy.to_string().replace("2026", "2999");
    write("report", "of_the_future", body(0, &later));
    write("report", "twice", body(0, r#"{"id":"a","id":"b"}"#));
    write("report", "nothing", body(1, "{}"));
}

fn main() {
    slack();
    forms();
    words();
    answers();
    releases();
    configurations();
    reports();
    journals();
}
