//! From a form's bytes to an interaction: never a panic, and what is read is what two readers that
//! are not ours see in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollback_slack::form::{is_ssl_check, payload_of};
use rollback_slack::payload::parse;
use rollback_slack::{Interaction, Submission};
use serde_json::Value;

/// As Slack encodes it.
fn form(payload: &str) -> Vec<u8> {
    let mut form = b"payload=".to_vec();
    form.extend(form_urlencoded::byte_serialize(payload.as_bytes()).flat_map(str::bytes));
    form
}

/// What another decoder makes of the one field that we read.
fn theirs(body: &[u8]) -> Vec<u8> {
    let is_ours = |field: &&[u8]| *field == b"payload" || field.starts_with(b"payload=");
    let field = body.split(|byte| *byte == b'&').find(is_ours).expect("we found one");
    let (_, value) = form_urlencoded::parse(field).next().expect("it is a field");
    value.into_owned().into_bytes()
}

fn text<'v>(value: &'v Value, path: &str) -> Option<&'v str> {
    value.pointer(path).and_then(Value::as_str)
}

/// Our reading against that of a complete JSON tree.
fn agrees(interaction: &Interaction, json: &str) {
    let Ok(tree) = serde_json::from_str::<Value>(json) else {
        panic!("an interaction was read from what is not JSON");
    };
    match interaction {
        Interaction::Click(click) => {
            assert_eq!(text(&tree, "/type"), Some("block_actions"));
            assert_eq!(text(&tree, "/user/id"), Some(click.person.id.as_str()));
            assert_eq!(text(&tree, "/trigger_id"), Some(click.trigger_id.as_str()));
            assert_eq!(text(&tree, "/actions/0/action_id"), Some(click.action.action_id.as_str()));
            assert_eq!(text(&tree, "/actions/0/value"), click.action.value.as_deref());
        }
        Interaction::Submission(Submission { person, view, .. }) => {
            assert_eq!(text(&tree, "/type"), Some("view_submission"));
            assert_eq!(text(&tree, "/user/id"), Some(person.id.as_str()));
            assert_eq!(text(&tree, "/view/id"), Some(view.id.as_str()));
        }
        Interaction::Closing(closing) => {
            assert_eq!(text(&tree, "/type"), Some("view_closed"));
            assert_eq!(text(&tree, "/user/id"), Some(closing.person.id.as_str()));
        }
        _ => {}
    }
    assert_eq!(text(&tree, "/api_app_id"), interaction.via().app_id.as_deref());
}

fn read(payload: &str) {
    let first = parse(payload);
    assert_eq!(first, parse(payload), "the same text, read twice");
    if let Ok(interaction) = first {
        agrees(&interaction, payload);
    }
}

fuzz_target!(|data: &[u8]| {
    let _probe = is_ssl_check(data);
    if let Ok(payload) = payload_of(data) {
        assert_eq!(payload.as_bytes(), theirs(data), "two decoders, one text");
        read(&payload);
    }
    if let Ok(payload) = std::str::from_utf8(data) {
        assert_eq!(payload_of(&form(payload)).as_deref(), Ok(payload), "there and back");
        read(payload);
    }
});
