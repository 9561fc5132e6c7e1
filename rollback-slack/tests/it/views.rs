//! Every view in every state as it was reviewed, and what holds for all of them whatever others
//! wrote into them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::catalogue::{all, hostile_card, hostile_view, lines, long, posted};
use crate::fixtures::{card, now, view};
use proptest::prelude::*;
use rollback_core::notice::DeployCard;
use rollback_core::{Line, StateName};
use rollback_slack::views::{
    Backdrop, Breach, DeployButton, Memo, RollbackButton, approval_message, checking_modal,
    confirm_modal, deploy_message, deployer_message, on_call_message, private_message,
    thread_message,
};
use serde_json::{Value, json};

#[test]
fn every_view_in_every_state_is_as_it_was_reviewed() {
    for (name, view) in all() {
        insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_json_snapshot!(name, view);
        });
    }
}

/// Every object in it.
fn objects(value: &Value) -> Vec<&serde_json::Map<String, Value>> {
    match value {
        Value::Object(object) => {
            let mut found = vec![object];
            found.extend(object.values().flat_map(objects));
            found
        }
        Value::Array(array) => array.iter().flat_map(objects).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn actions(value: &Value) -> Vec<&str> {
    objects(value).iter().filter_map(|it| it.get("action_id")?.as_str()).collect()
}

fn has_button(card: &DeployCard) -> bool {
    let message = posted(&deploy_message(card, 1).unwrap());
    actions(&message).contains(&"rollback_open")
}

#[test]
fn the_button_is_there_exactly_when_another_rollback_could_start() {
    for state in StateName::ALL {
        let taken = state.is_in_flight()
            || matches!(state, StateName::Succeeded | StateName::OutcomeUnknown);
        let rollback = serde_json::to_value(view(state.as_str(), &json!({}))).unwrap();
        let fields = json!({"rollback": rollback});
        assert_eq!(has_button(&card(&fields)), !taken, "{state}");
        let mut superseded = fields.clone();
        superseded["superseded_by"] = json!("2.15.0");
        assert!(!has_button(&card(&superseded)), "{state}, superseded");
        let mut nowhere = fields.clone();
        nowhere["choice"] = json!({"target": null});
        assert!(!has_button(&card(&nowhere)), "{state}, without a target");
    }
    let drill = serde_json::to_value(view("succeeded", &json!({"purpose": "drill"}))).unwrap();
    assert!(has_button(&card(&json!({"rollback": drill}))), "a drill changed nothing");
}

#[test]
fn the_button_that_stops_is_there_exactly_while_stopping_is_possible() {
    for state in StateName::ALL {
        for cancellable in [true, false] {
            let rollback = view(state.as_str(), &json!({"cancellable": cancellable}));
            let card = card(&json!({"rollback": serde_json::to_value(rollback).unwrap()}));
            let message = posted(&deploy_message(&card, 1).unwrap());
            assert_eq!(actions(&message).contains(&"rollback_cancel"), cancellable, "{state}");
        }
    }
}

#[test]
fn what_is_put_aside_says_so_whatever_its_state_with_the_button_that_lets_it_go_on() {
    for state in StateName::ALL {
        for aside in [true, false] {
            let put_aside = aside.then(|| json!({"attempts": 3, "since": "2026-11-22T09:44:00Z"}));
            let fields =
                json!({"put_aside": put_aside, "explanation": "read the log, then release"});
            let rollback = serde_json::to_value(view(state.as_str(), &fields)).unwrap();
            let card = card(&json!({"rollback": rollback}));
            let message = posted(&deploy_message(&card, 1).unwrap());
            assert_eq!(actions(&message).contains(&"rollback_release"), aside, "{state}");
            let text = message.to_string();
            assert_eq!(text.contains("quarantined: it crashed the service"), aside, "{state}");
            assert!(!aside || text.contains("read the log"), "{state}");
            assert!(!aside || !has_button(&card), "{state}: another one could start");
        }
    }
}

#[test]
fn only_a_modal_that_waits_for_the_confirmation_can_be_submitted_or_withdrawn_from() {
    for state in StateName::ALL {
        let backdrop = Backdrop::new(None, now());
        let modal = confirm_modal(&view(state.as_str(), &json!({})), backdrop).unwrap();
        let modal: Value = serde_json::from_str(modal.as_str()).unwrap();
        assert_eq!(modal.get("submit").is_some(), state == StateName::Confirming, "{state}");
        assert_eq!(actions(&modal).contains(&"reason"), state == StateName::Confirming, "{state}");
        let waits =
            matches!(state, StateName::Proposed | StateName::Authorizing | StateName::Confirming);
        assert_eq!(modal["notify_on_close"], json!(waits), "{state}");
        assert_eq!(modal["callback_id"], "rollback_confirm");
        let memo = Memo::parse(modal["private_metadata"].as_str()).unwrap();
        assert_eq!(memo.rollback.as_str(), "rb-1");
    }
}

#[test]
fn the_approvers_have_buttons_exactly_while_they_are_waited_for() {
    for state in StateName::ALL {
        let message = posted(&approval_message(&view(state.as_str(), &json!({})), 1).unwrap());
        let buttons = ["rollback_approve", "rollback_reject"];
        for button in buttons {
            let there = actions(&message).contains(&button);
            assert_eq!(there, state == StateName::Approving, "{button}, {state}");
        }
    }
}

#[test]
fn a_button_says_where_to_look_and_nothing_else() {
    let running = serde_json::to_value(view("approving", &json!({"cancellable": true}))).unwrap();
    for message in [
        posted(&deploy_message(&card(&json!({})), 7).unwrap()),
        posted(&deploy_message(&card(&json!({"rollback": running})), 7).unwrap()),
        posted(&approval_message(&view("approving", &json!({})), 7).unwrap()),
    ] {
        for button in objects(&message) {
            let Some(value) = button.get("value").map(|value| value.as_str()) else { continue };
            let version = match button["action_id"].as_str().unwrap() {
                "rollback_open" => DeployButton::parse(value).unwrap().version,
                _ => RollbackButton::parse(value).unwrap().version,
            };
            assert_eq!(version, 7);
            let fields: Value = serde_json::from_str(value.unwrap()).unwrap();
            assert_eq!(fields.as_object().unwrap().len(), 2);
        }
    }
}

#[test]
fn every_block_has_another_name_in_the_next_version_of_a_message() {
    let ids = |version| {
        let message = posted(&deploy_message(&card(&json!({})), version).unwrap());
        objects(&message)
            .iter()
            .filter_map(|it| Some(it.get("block_id")?.as_str()?.to_owned()))
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert!(ids(1).len() > 3);
    assert!(ids(1).is_disjoint(&ids(2)));
}

/// Slack keeps what somebody has typed when a modal is redrawn, if the input keeps its names.
#[test]
fn the_input_keeps_its_names_in_every_modal_that_can_be_submitted() {
    let modals: Vec<Value> =
        all().into_iter().map(|(_, view)| view).filter(|view| !view["submit"].is_null()).collect();
    assert!(modals.len() > 2);
    for modal in modals {
        let settles = modal["callback_id"] == "rollback_settle";
        let (menus, inputs): (Vec<_>, Vec<_>) = objects(&modal)
            .into_iter()
            .filter(|object| object.get("type") == Some(&json!("input")))
            .partition(|input| input["element"]["type"] == "static_select");
        assert_eq!(menus.len(), usize::from(settles), "{modal}");
        for menu in menus {
            let names = (&menu["block_id"], &menu["element"]["action_id"]);
            assert_eq!(names, (&json!("outcome"), &json!("outcome")));
        }
        let (boxes, inputs): (Vec<_>, Vec<_>) =
            inputs.into_iter().partition(|input| input["element"]["type"] == "checkboxes");
        for boxes in boxes {
            let names = (&boxes["block_id"], &boxes["element"]["action_id"]);
            assert_eq!(names, (&json!("acknowledge"), &json!("acknowledge")));
        }
        let [input] = inputs.as_slice() else { panic!("{modal}") };
        assert_eq!(
            (&input["block_id"], &input["element"]["action_id"]),
            (&json!("reason"), &json!("reason"))
        );
        if settles {
            // Closing it says nothing.
            assert_eq!(modal["notify_on_close"], false);
            continue;
        }
        assert_eq!(modal["callback_id"], "rollback_confirm");
        assert_eq!(
            modal["notify_on_close"], true,
            "without it Slack does not tell that it was closed"
        );
    }
}

#[test]
fn the_same_state_is_the_same_bytes() {
    assert_eq!(all(), all());
}

/// What attackers write.
const HOSTILE: [&str; 14] = [
    "<!channel> <!here> <!everyone>",
    "<@U0EVIL> <!subteam^S0EVIL|@all> <#C0EVIL>",
    "<https://evil.example|https://git.example.com>",
    "https://evil.example @here @channel",
    "`<!channel>` ``` ` <!here>",
    "*bold* _it_ ~no~ > quote\n> quote\n* list",
    "\u{202e}gnp.exe\u{2066}\u{200b}\u{feff}",
    "a\u{0}b\u{7}\u{1b}[31mc\r\n\n\nd",
    "&lt;!channel&gt; &amp; & <",
    "{\"type\":\"mrkdwn\"} \\\" '",
    "",
    "   \n\t ",
    "😀👩‍👩‍👧‍👦é́",
    "<!date^1^{date}^https://evil.example|x>",
];

/// Every view that could be made with such a text.
fn everything_with(text: &str) -> Vec<Value> {
    let mut made = Vec::new();
    for state in StateName::ALL {
        let view = hostile_view(state.as_str(), text);
        let card = hostile_card(text, Some(&view), "S0EVIL");
        made.push(posted(&deploy_message(&card, u64::MAX).unwrap()));
        made.push(posted(&approval_message(&view, u64::MAX).unwrap()));
        made.push(posted(&deployer_message(&view, u64::MAX).unwrap()));
        made.push(posted(&on_call_message(&view, u64::MAX).unwrap()));
        made.push(posted(&private_message(text, &view).unwrap()));
        let backdrop = Backdrop::new(Some(&card), now());
        for modal in [confirm_modal(&view, backdrop), checking_modal(&view)] {
            made.push(serde_json::from_str(modal.unwrap().as_str()).unwrap());
        }
    }
    for (_, state, line, _) in lines() {
        let line: Line = serde_json::from_value(line).unwrap();
        made.push(posted(&thread_message(&hostile_view(state, text), &line).unwrap()));
    }
    let card = hostile_card(text, None, "U03BOB");
    made.push(posted(&deploy_message(&card, 1).unwrap()));
    made
}

/// What holds for every view, read from the JSON itself and not from the code that made it.
fn assert_harmless(view: &Value) {
    let mut total = 0;
    for object in objects(view) {
        let kind = object.get("type").and_then(Value::as_str);
        let text = object.get("text").and_then(Value::as_str);
        if let (Some("mrkdwn"), Some(text)) = (kind, text) {
            assert_only_our_markup(text);
            assert_eq!(object["verbatim"], json!(true), "{text}");
        }
        if let Some(url) = object.get("url").and_then(Value::as_str) {
            assert!(url.starts_with("https://"), "{url}");
        }
        for id in ["user_id", "usergroup_id"] {
            assert!(object.get(id).is_none_or(|id| id != "U0EVIL" && id != "S0EVIL"));
        }
        if let Some(text) = text {
            total += text.encode_utf16().count();
            assert!(!text.is_empty());
            let unseen = |char: char| {
                (char.is_control() && char != '\n')
                    || matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                        | '\u{2066}'..='\u{2069}' | '\u{feff}')
            };
            assert!(!text.contains(unseen), "{text:?}");
        }
    }
    assert!(total <= 14_000, "{total} characters: Slack refuses near 13,200 in blocks");
    if view.get("type").is_none() {
        assert_only_our_markup(view["text"].as_str().unwrap());
    }
}

/// Whatever stands in angle brackets is one of ours: a date, or one of the people of the fixture.
fn assert_only_our_markup(text: &str) {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('<') {
        let (inside, after) = after.split_once('>').unwrap();
        let date = inside.strip_prefix("!date^").is_some_and(|date| {
            let (seconds, form) = date.split_once('^').unwrap();
            seconds.parse::<u64>().is_ok() && form.starts_with("{date_short_pretty} {time}|20")
        });
        let ours = ["@U02ANA", "@U03BOB", "!subteam^S0PAYMENTS"].contains(&inside);
        assert!(date || ours, "<{inside}> in {text}");
        rest = after;
    }
    assert!(!rest.contains('>'), "{text}");
}

#[test]
fn nothing_that_others_write_mentions_links_hides_or_breaks_a_limit() {
    for text in HOSTILE {
        for text in [text.to_owned(), long(text, 10_000)] {
            for view in everything_with(&text) {
                assert_harmless(&view);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]
    #[test]
    fn whatever_others_write_stays_words(
        pieces in proptest::collection::vec(
            prop_oneof![proptest::sample::select(HOSTILE.to_vec()).prop_map(str::to_owned), "\\PC{0,40}", any::<String>()],
            0..6,
        ),
        times in 1_usize..40,
    ) {
        for view in everything_with(&pieces.concat().repeat(times)) {
            assert_harmless(&view);
        }
    }
}

#[test]
fn a_link_that_is_not_https_is_left_out() {
    for url in
        ["http://git.example.com/", "javascript:alert(1)", "https://a:b@git.example.com/", ""]
    {
        let message =
            posted(&deploy_message(&card(&json!({"deploy": {"changelog_url": url}})), 1).unwrap());
        assert!(!actions(&message).contains(&"rollback_changes"), "{url}");
    }
}

#[test]
fn a_breach_says_what_was_too_long_and_that_nothing_was_sent() {
    let breach = Breach::TooLong { what: "header", units: 151, units_max: 150 };
    let said = "the header has 151 characters, Slack takes 150; it was not sent";
    assert_eq!(breach.to_string(), said);
}
