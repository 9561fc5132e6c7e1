use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn click() -> Value {
    json!({"type": "block_actions",
        "user": {"id": "U111", "username": "ann", "name": "ann", "team_id": "T111"},
        "api_app_id": "A111", "token": "ignored",
        "container": {"type": "message", "message_ts": "1700000000.000100",
            "channel_id": "C0DEPLOYS", "is_ephemeral": false},
        "trigger_id": "111.222.abcdef", "team": {"id": "T111", "domain": "acme"},
        "enterprise": null, "is_enterprise_install": false,
        "channel": {"id": "C0DEPLOYS", "name": "deploys"},
        "message": {"type": "message", "user": "UBOT", "ts": "1700000000.000100",
            "text": "api r142 deployed", "blocks": [{"type": "actions", "elements": []}]},
        "state": {"values": {}}, "response_url": "https://hooks.example/actions",
        "actions": [{"type": "button", "action_id": "rollback_open", "block_id": "act.1",
            "style": "danger", "text": {"type": "plain_text", "text": "Roll back"},
            "value": "{\"d\":\"d-142\",\"g\":1}", "action_ts": "1700000100.000200"}]})
}

fn submission() -> Value {
    json!({"type": "view_submission", "team": {"id": "T111"}, "enterprise": null,
        "is_enterprise_install": false, "api_app_id": "A111", "trigger_id": "111.333.def",
        "user": {"id": "U111", "username": "ann", "team_id": "T111"},
        "view": {"id": "V111", "type": "modal", "callback_id": "rollback_confirm",
            "external_id": "", "private_metadata": "{\"op\":\"1\"}", "hash": "17.Ab",
            "root_view_id": "V111", "blocks": [{"type": "input", "block_id": "reason"}],
            "state": {"values": {
                "reason": {"reason": {"type": "plain_text_input", "value": "errors <!here> 4x"}},
                "who": {"pick": {"type": "users_select", "selected_user": "U2"}},
                "many": {"pick": {"type": "checkboxes", "selected_options":
                    [{"value": "a"}, {"value": "b"}]}},
                "empty": {"text": {"type": "plain_text_input", "value": null},
                    "menu": {"type": "static_select", "selected_option": null}},
                "new": {"x": {"type": "hologram", "value": {"deep": 1}}}}}},
        "response_urls": []})
}

/// `value` at `pointer`, with everything around it as it was.
fn with(mut payload: Value, pointer: &str, value: Value) -> Value {
    *payload.pointer_mut(pointer).unwrap() = value;
    payload
}

fn without(mut payload: Value, parent: &str, field: &str) -> Value {
    payload.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field).unwrap();
    payload
}

fn as_click(payload: &Value) -> Click {
    let interaction = parse(&payload.to_string()).unwrap();
    let Interaction::Click(click) = interaction else { panic!("{interaction:?}") };
    click
}

#[test]
fn a_click_on_a_message_says_who_where_and_what() {
    let click = as_click(&click());
    assert_eq!(click.person.id, "U111");
    assert_eq!(click.person.membership_in("T111"), Membership::Ours);
    assert_eq!(click.trigger_id, "111.222.abcdef");
    assert_eq!(click.via.app_id.as_deref(), Some("A111"));
    assert_eq!(click.action.action_id, "rollback_open");
    assert_eq!(click.action.value.as_deref(), Some(r#"{"d":"d-142","g":1}"#));
    let place = Place::Message {
        channel_id: "C0DEPLOYS".into(),
        message_ts: "1700000000.000100".into(),
        thread_ts: None,
        is_ephemeral: false,
    };
    assert_eq!(click.place, place);
}

#[test]
fn an_organization_install_has_no_team() {
    let mut payload = with(click(), "/team", Value::Null);
    payload["enterprise"] = json!({"id": "E9", "name": "Acme"});
    payload["is_enterprise_install"] = json!(true);
    let via = as_click(&payload).via;
    assert_eq!(via.team_id, None);
    assert_eq!(via.enterprise_id.as_deref(), Some("E9"));
    assert!(via.org_install);
}

#[test]
fn a_person_of_another_workspace_is_foreign_and_one_of_none_is_unknown() {
    let foreign = as_click(&with(click(), "/user/team_id", json!("T999")));
    assert_eq!(foreign.person.membership_in("T111"), Membership::Foreign);
    for unsaid in
        [with(click(), "/user/team_id", Value::Null), without(click(), "/user", "team_id")]
    {
        assert_eq!(as_click(&unsaid).person.membership_in("T111"), Membership::Unknown);
    }
}

#[test]
fn only_what_a_click_cannot_do_without_is_required() {
    for (parent, field) in [
        ("", "api_app_id"),
        ("", "team"),
        ("", "enterprise"),
        ("", "is_enterprise_install"),
        ("", "channel"),
        ("", "message"),
        ("", "state"),
        ("/user", "name"),
        ("/user", "username"),
        ("/container", "is_ephemeral"),
        ("/actions/0", "value"),
        ("/actions/0", "block_id"),
        ("/actions/0", "type"),
        ("/message", "text"),
    ] {
        let lacking = without(click(), parent, field);
        assert!(parse(&lacking.to_string()).is_ok(), "{parent}/{field}");
        let null = with(click(), &format!("{parent}/{field}"), Value::Null);
        assert!(parse(&null.to_string()).is_ok(), "{parent}/{field} null");
    }
    for (parent, field, named) in [
        ("", "type", "type"),
        ("", "user", "user.id"),
        ("/user", "id", "user.id"),
        ("", "trigger_id", "trigger_id"),
        ("", "container", "container"),
        ("", "actions", "actions"),
        ("/actions/0", "action_id", "actions.action_id"),
    ] {
        let missing = Err(PayloadError::Missing(named));
        assert_eq!(
            parse(&without(click(), parent, field).to_string()),
            missing,
            "{parent}/{field}"
        );
    }
    assert_eq!(
        parse(&with(click(), "/actions", json!([])).to_string()),
        Err(PayloadError::Missing("actions"))
    );
}

#[test]
fn the_message_is_found_without_the_container_naming_it() {
    let payload = without(without(click(), "/container", "channel_id"), "/container", "message_ts");
    assert_eq!(as_click(&payload).place, as_click(&click()).place);
}

#[test]
fn a_click_in_a_modal_has_the_view_and_in_an_unknown_place_is_still_a_click() {
    let mut payload = with(click(), "/container", json!({"type": "view", "view_id": "V1"}));
    assert_eq!(parse(&payload.to_string()), Err(PayloadError::Missing("view.id")));
    payload["view"] = json!({"id": "V1", "hash": "h"});
    assert!(matches!(as_click(&payload).place, Place::View(view) if view.id == "V1"));
    let elsewhere = with(click(), "/container", json!({"type": "canvas"}));
    assert_eq!(as_click(&elsewhere).place, Place::Unknown { kind: "canvas".into() });
}

#[test]
fn a_deselected_menu_has_no_choice() {
    let payload = with(
        click(),
        "/actions/0",
        json!({"type": "static_select", "action_id": "a", "selected_option": null}),
    );
    assert_eq!(as_click(&payload).action.selected, None);
    let payload = with(
        click(),
        "/actions/0",
        json!({"type": "static_select", "action_id": "a", "selected_option": {"value": "x"}}),
    );
    assert_eq!(as_click(&payload).action.selected.as_deref(), Some("x"));
}

#[test]
fn a_submission_has_what_was_entered() {
    let Ok(Interaction::Submission(submission)) = parse(&submission().to_string()) else {
        panic!("not a submission")
    };
    let view = submission.view;
    assert_eq!(view.callback_id.as_deref(), Some("rollback_confirm"));
    assert_eq!(view.private_metadata.as_deref(), Some(r#"{"op":"1"}"#));
    assert_eq!(view.external_id, None);
    assert_eq!(view.inputs.text("reason", "reason"), Some("errors <!here> 4x"));
    assert_eq!(view.inputs.text("empty", "text"), None);
    assert_eq!(view.inputs.input("who", "pick"), Some(&Input::Chosen(vec!["U2".into()])));
    let many = Input::Chosen(vec!["a".into(), "b".into()]);
    assert_eq!(view.inputs.input("many", "pick"), Some(&many));
    assert_eq!(view.inputs.input("empty", "menu"), Some(&Input::Chosen(vec![])));
    assert_eq!(view.inputs.input("new", "x"), Some(&Input::Unknown));
    assert_eq!(view.inputs.input("new", "y"), None);
}

#[test]
fn a_closed_modal_says_whether_the_whole_stack_went() {
    for (cleared, whole_stack) in [(json!(true), true), (json!(false), false), (Value::Null, false)]
    {
        let payload = json!({"type": "view_closed", "user": {"id": "U1"}, "view": {"id": "V1",
            "state": {"values": {}}}, "is_cleared": cleared});
        let Ok(Interaction::Closing(closing)) = parse(&payload.to_string()) else {
            panic!("not a closing")
        };
        assert_eq!(closing.whole_stack, whole_stack);
    }
}

#[test]
fn an_unknown_kind_is_data() {
    let payload = json!({"type": "block_suggestion", "team": {"id": "T1"}, "user": 7_i32});
    assert!(parse(&payload.to_string()).is_err(), "a field of the wrong kind is still an error");
    let payload = json!({"type": "shortcut", "team": {"id": "T1"}});
    assert!(matches!(parse(&payload.to_string()),
        Ok(Interaction::Unknown(unknown)) if unknown.kind == "shortcut"));
}

#[test]
fn a_field_given_twice_is_refused() {
    let twice = click().to_string().replacen('{', r#"{"type":"view_closed","#, 1);
    assert!(matches!(parse(&twice), Err(PayloadError::Unreadable { .. })));
}

#[test]
fn an_error_carries_nothing_of_the_payload() {
    let error = parse(r#"{"type": "block_actions", "user": "canary"}"#).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
}

#[test]
fn a_thousand_levels_of_nesting_are_an_answer_and_not_a_crash() {
    for open in ["[", "{\"a\":"] {
        drop(parse(&format!("{{\"message\":{}", open.repeat(100_000))));
        drop(parse(&format!("{{\"x\":{}", open.repeat(100_000))));
    }
}

fn arbitrary_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-z_]{1,8}", inner, 0..4).prop_map(Value::from_iter),
        ]
    })
}

fn pointers(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| pointers(value, &format!("{at}/{name}"), into));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, v)| pointers(v, &format!("{at}/{i}"), into));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    #[test]
    fn any_field_may_be_anything_and_nothing_panics(
        is_click in any::<bool>(), which in any::<proptest::sample::Index>(), value in arbitrary_json(),
    ) {
        let payload = if is_click { click() } else { submission() };
        let mut all = Vec::new();
        pointers(&payload, "", &mut all);
        let changed = with(payload, &all[which.index(all.len())], value);
        drop(parse(&changed.to_string()));
    }

    #[test]
    fn a_cut_payload_is_unreadable(at in any::<proptest::sample::Index>()) {
        let text = submission().to_string();
        let cut = &text.as_bytes()[..at.index(text.len())];
        if let Ok(cut) = std::str::from_utf8(cut) {
            let unreadable = matches!(parse(cut), Err(PayloadError::Unreadable { .. }));
            prop_assert!(unreadable);
        }
    }

    #[test]
    fn text_of_any_content_comes_back(text in any::<String>()) {
        let payload = with(click(), "/actions/0/value", json!(text));
        prop_assert_eq!(as_click(&payload).action.value, Some(text));
    }
}
