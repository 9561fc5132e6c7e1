//! Each rule broken once, and a corpus that keeps them all.

#![expect(clippy::needless_pass_by_value, reason = "literals read better without a reference")]
#![expect(clippy::redundant_clone, reason = "the last case of a table is like the others")]
#![expect(clippy::too_many_lines, reason = "a table is as long as its rules")]

use super::*;

fn ids() -> impl FnMut() -> String {
    let mut count = 0;
    move || {
        count += 1;
        format!("id{count}")
    }
}

fn check_message(blocks: &Value) -> Result<Vec<Value>, ApiError> {
    message(blocks, &mut ids())
}

fn check_modal(modal: &Value) -> Result<Map<String, Value>, ApiError> {
    view(modal, &mut ids())
}

fn long(length: usize) -> String {
    "x".repeat(length)
}

fn plain(text: &str) -> Value {
    json!({"type": "plain_text", "text": text})
}

fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text})
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": mrkdwn(text)})
}

fn button() -> Value {
    json!({"type": "button", "action_id": "go", "text": plain("Go")})
}

/// `value` with the fields of `with` put in or, when null, taken out.
fn but(mut value: Value, with: Value) -> Value {
    for (name, field) in object(with) {
        if field.is_null() {
            value.as_object_mut().unwrap().remove(&name);
        } else {
            value[name] = field;
        }
    }
    value
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn actions(element: Value) -> Value {
    json!({"type": "actions", "elements": [element]})
}

fn input(element: Value) -> Value {
    json!({"type": "input", "block_id": "in", "label": plain("L"), "element": element})
}

fn text_input() -> Value {
    json!({"type": "plain_text_input", "action_id": "t"})
}

fn select() -> Value {
    json!({"type": "static_select", "action_id": "s", "options": [option("a")]})
}

fn option(value: &str) -> Value {
    json!({"text": plain("A"), "value": value})
}

fn modal(blocks: Value) -> Value {
    json!({"type": "modal", "title": plain("T"), "submit": plain("S"), "blocks": blocks})
}

fn rich(leaf: Value) -> Value {
    let section = json!({"type": "rich_text_section", "elements": [leaf]});
    json!({"type": "rich_text", "elements": [section]})
}

#[test]
fn every_broken_rule_of_a_message_is_named_where_it_is_broken() {
    let confirm =
        json!({"title": plain("T"), "text": plain("?"), "confirm": plain("Y"), "deny": plain("N")});
    let header = json!({"type": "header", "text": plain("H")});
    let plan = json!({"type": "plan", "title": "P", "tasks": [
        {"type": "task_card", "task_id": "1", "title": "T", "status": "complete"}]});
    let image = json!({"type": "image", "alt_text": "a", "image_url": "https://example.com/a.png"});
    let cases = [
        (json!({"text": plain("x")}), ""),
        (json!({"type": "marquee"}), "/type"),
        (json!("header"), ""),
        (but(header.clone(), json!({"text": mrkdwn("H")})), "/text/type"),
        (but(header.clone(), json!({"text": plain(&long(151))})), "/text/text"),
        (but(header.clone(), json!({"text": plain("")})), "/text/text"),
        (but(header.clone(), json!({"text": null})), ""),
        (but(header.clone(), json!({"text": "H"})), "/text"),
        (but(header.clone(), json!({"color": "red"})), ""),
        (but(header.clone(), json!({"block_id": long(256)})), "/block_id"),
        (
            json!({"type": "header", "text": {"type": "plain_text", "text": "x", "verbatim": true}}),
            "/text",
        ),
        (json!({"type": "section"}), ""),
        (section(""), "/text/text"),
        (section(&long(3001)), "/text/text"),
        (
            json!({"type": "section", "text": {"type": "mrkdwn", "text": "x", "emoji": true}}),
            "/text",
        ),
        (json!({"type": "section", "fields": []}), "/fields"),
        (json!({"type": "section", "fields": vec![plain("x"); 11]}), "/fields"),
        (json!({"type": "section", "fields": [plain(&long(2001))]}), "/fields/0/text"),
        (but(section("x"), json!({"accessory": text_input()})), "/accessory/type"),
        (but(section("x"), json!({"expand": "yes"})), "/expand"),
        (json!({"type": "context", "elements": []}), "/elements"),
        (json!({"type": "context", "elements": vec![plain("x"); 11]}), "/elements"),
        (json!({"type": "context", "elements": [button()]}), "/elements/0"),
        (json!({"type": "actions", "elements": []}), "/elements"),
        (json!({"type": "actions"}), ""),
        (json!({"type": "actions", "elements": [button(), button()]}), "/elements/1/action_id"),
        (actions(but(button(), json!({"text": plain(&long(76))}))), "/elements/0/text/text"),
        (actions(but(button(), json!({"text": mrkdwn("x")}))), "/elements/0/text/type"),
        (actions(but(button(), json!({"text": null}))), "/elements/0"),
        (actions(but(button(), json!({"value": long(2001)}))), "/elements/0/value"),
        (actions(but(button(), json!({"url": long(3001)}))), "/elements/0/url"),
        (actions(but(button(), json!({"style": "default"}))), "/elements/0/style"),
        (actions(but(button(), json!({"disabled": true}))), "/elements/0"),
        (actions(but(button(), json!({"action_id": long(256)}))), "/elements/0/action_id"),
        (
            actions(but(button(), json!({"accessibility_label": long(76)}))),
            "/elements/0/accessibility_label",
        ),
        (
            actions(but(
                button(),
                json!({"confirm": but(confirm.clone(), json!({"title": plain(&long(101))}))}),
            )),
            "/elements/0/confirm/title/text",
        ),
        (
            actions(but(
                button(),
                json!({"confirm": but(confirm.clone(), json!({"text": plain(&long(301))}))}),
            )),
            "/elements/0/confirm/text/text",
        ),
        (
            actions(but(
                button(),
                json!({"confirm": but(confirm.clone(), json!({"deny": plain(&long(31))}))}),
            )),
            "/elements/0/confirm/deny/text",
        ),
        (
            actions(but(button(), json!({"confirm": but(confirm, json!({"confirm": null}))}))),
            "/elements/0/confirm",
        ),
        (actions(but(select(), json!({"options": vec![option("a"); 101]}))), "/elements/0/options"),
        (
            actions(but(select(), json!({"options": [option(&long(151))]}))),
            "/elements/0/options/0/value",
        ),
        (
            actions(but(
                select(),
                json!({"option_groups": [{"label": plain("G"), "options": [option("a")]}]}),
            )),
            "/elements/0",
        ),
        (actions(but(select(), json!({"initial_option": option("b")}))), "/elements/0"),
        (
            actions(but(select(), json!({"placeholder": plain(&long(151))}))),
            "/elements/0/placeholder/text",
        ),
        (
            actions(but(
                select(),
                json!({"type": "radio_buttons", "options": vec![option("a"); 11]}),
            )),
            "/elements/0/options",
        ),
        (
            actions(but(select(), json!({"type": "overflow", "options": vec![option("a"); 6]}))),
            "/elements/0/options",
        ),
        (but(plan.clone(), json!({"title": null})), ""),
        (but(plan.clone(), json!({"tasks": [header]})), "/tasks/0/type"),
        (json!({"type": "task_card", "task_id": "1", "title": "T", "status": "done"}), "/status"),
        (
            json!({"type": "task_card", "task_id": "1", "title": "T", "details": plain("x")}),
            "/details/type",
        ),
        (json!({"type": "alert", "text": plain("only modals have alerts")}), ""),
        (json!({"type": "markdown", "text": long(12_001)}), "/text"),
        (but(image.clone(), json!({"alt_text": null})), ""),
        (but(image, json!({"slack_file": {"id": "F1"}})), ""),
        (rich(json!({"type": "shout", "text": "x"})), "/elements/0/elements/0/type"),
        (rich(json!({"type": "text", "text": ""})), "/elements/0/elements/0/text"),
        (rich(json!({"type": "text", "text": "x", "color": "red"})), "/elements/0/elements/0"),
        (
            rich(json!({"type": "text", "text": "x", "style": {"loud": true}})),
            "/elements/0/elements/0/style",
        ),
        (
            json!({"type": "rich_text", "elements": [{"type": "text", "text": "x"}]}),
            "/elements/0/type",
        ),
    ];
    for (block, at) in cases {
        // The second place, so that a pointer that always says 0 is found out.
        let refused = check_message(&json!([{"type": "divider"}, block]));
        let Err(refused) = refused else { panic!("was accepted: {block}") };
        assert_eq!(refused.code(), "invalid_blocks", "{block}");
        let pointer = format!("[json-pointer:/blocks/1{at}]");
        let named = refused.problems().iter().any(|problem| problem.ends_with(&pointer));
        assert!(named, "{block}\n{pointer} is not in {:?}", refused.problems());
    }
}

#[test]
fn every_broken_rule_of_a_modal_is_named_where_it_is_broken() {
    let fine = modal(json!([input(text_input())]));
    let with = |element: Value| modal(json!([input(element)]));
    let focused = but(text_input(), json!({"focus_on_load": true}));
    let cases = [
        (json!([]), ""),
        (but(fine.clone(), json!({"type": "dialog"})), "/type"),
        (but(fine.clone(), json!({"title": plain(&long(25))})), "/title/text"),
        (but(fine.clone(), json!({"title": mrkdwn("T")})), "/title/type"),
        (but(fine.clone(), json!({"title": null})), ""),
        (but(fine.clone(), json!({"submit": plain(&long(25))})), "/submit/text"),
        (but(fine.clone(), json!({"close": plain(&long(25))})), "/close/text"),
        (but(fine.clone(), json!({"private_metadata": long(3001)})), "/private_metadata"),
        (but(fine.clone(), json!({"callback_id": long(256)})), "/callback_id"),
        (but(fine.clone(), json!({"external_id": long(256)})), "/external_id"),
        (but(fine.clone(), json!({"notify_on_close": "yes"})), "/notify_on_close"),
        (but(fine.clone(), json!({"submit_disabled": true})), ""),
        (but(fine.clone(), json!({"submit": null})), ""),
        (but(fine, json!({"blocks": null})), ""),
        (modal(json!(vec![json!({"type": "divider"}); 101])), "/blocks"),
        (modal(json!([{"type": "markdown", "text": "x"}])), "/blocks/0"),
        (modal(json!([{"type": "plan", "title": "x"}])), "/blocks/0"),
        (modal(json!([{"type": "alert", "text": plain(&long(201))}])), "/blocks/0/text/text"),
        (modal(json!([{"type": "alert", "text": plain("x"), "level": "loud"}])), "/blocks/0/level"),
        (with(button()), "/blocks/0/element/type"),
        (with(but(text_input(), json!({"min_length": 3001}))), "/blocks/0/element/min_length"),
        (with(but(text_input(), json!({"max_length": 0}))), "/blocks/0/element/max_length"),
        (
            with(but(text_input(), json!({"min_length": 5, "max_length": 4}))),
            "/blocks/0/element/min_length",
        ),
        (with(but(text_input(), json!({"multiline": 1}))), "/blocks/0/element/multiline"),
        (
            with(but(
                text_input(),
                json!({"dispatch_action_config": {"trigger_actions_on": ["on_wink"]}}),
            )),
            "/blocks/0/element/dispatch_action_config",
        ),
        (
            modal(json!([but(input(text_input()), json!({"label": mrkdwn("L")}))])),
            "/blocks/0/label/type",
        ),
        (
            modal(json!([but(input(text_input()), json!({"hint": plain(&long(2001))}))])),
            "/blocks/0/hint/text",
        ),
        (modal(json!([input(text_input()), input(text_input())])), "/blocks/1/block_id"),
        (
            modal(json!([input(focused.clone()), but(input(focused), json!({"block_id": "b"}))])),
            "/blocks/1/element/focus_on_load",
        ),
    ];
    for (view, at) in cases {
        let Err(refused) = check_modal(&view) else { panic!("was accepted: {view}") };
        assert_eq!(refused.code(), "invalid_arguments", "{view}");
        let pointer = format!("[json-pointer:/view{at}]");
        let named = refused.problems().iter().any(|problem| problem.ends_with(&pointer));
        assert!(named, "{view}\n{pointer} is not in {:?}", refused.problems());
    }
}

#[test]
fn whole_messages_and_views_have_limits_of_their_own() {
    let code = |result: Result<Vec<Value>, ApiError>| result.map_err(|refused| refused.code());
    assert_eq!(code(check_message(&json!({}))), Err("invalid_blocks_format"));
    let many = json!(vec![json!({"type": "divider"}); 51]);
    assert_eq!(code(check_message(&many)), Err("invalid_blocks"));
    let same = json!([{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "a"}]);
    assert_eq!(code(check_message(&same)), Err("invalid_blocks"));
    let text = json!(vec![section(&long(2641)); 5]);
    assert_eq!(code(check_message(&text)), Err("msg_blocks_too_long"));
    let markdown =
        json!([{"type": "markdown", "text": long(6001)}, {"type": "markdown", "text": long(6000)}]);
    assert_eq!(code(check_message(&markdown)), Err("msg_blocks_too_long"));
    let large = modal(json!(vec![section(&long(2600)); 100]));
    assert_eq!(check_modal(&large).unwrap_err().code(), "view_too_large");
}

#[test]
fn exactly_at_each_limit_is_accepted() {
    let blocks = json!([
        {"type": "header", "block_id": long(255), "text": plain(&long(150))},
        section(&long(3000)),
        {"type": "section", "fields": vec![plain("x"); 10]},
        {"type": "context", "elements": vec![plain("x"); 10]},
        actions(but(button(), json!({"text": plain(&long(75)), "value": long(2000)}))),
        actions(but(select(), json!({"options": vec![option(&long(150)); 100]}))),
    ]);
    check_message(&blocks).unwrap();
    check_message(&json!(vec![json!({"type": "divider"}); 50])).unwrap();
    check_message(&json!(vec![section(&long(2640)); 5])).unwrap();
    // Characters are counted, not bytes.
    check_message(&json!([{"type": "header", "text": plain(&"é".repeat(150))}])).unwrap();
    let widest = but(text_input(), json!({"min_length": 3000, "max_length": 3000}));
    check_modal(&modal(json!([input(widest)]))).unwrap();
}

#[test]
fn the_payloads_of_a_deploy_and_its_rollback_are_accepted() {
    let messages = json!([
        [
            {"type": "header", "block_id": "h.1", "text": {"type": "plain_text", "text": "api deployed", "emoji": false}},
            {"type": "section", "block_id": "meta.1", "fields": [
                {"type": "mrkdwn", "text": "*Revision*\n`abc1234`", "verbatim": true},
                {"type": "mrkdwn", "text": "*By*\n<@U111>", "verbatim": true}]},
            {"type": "rich_text", "block_id": "msg.1", "elements": [{"type": "rich_text_section", "elements": [
                {"type": "text", "text": "untrusted title <!channel> *x*"}]}]},
            {"type": "context", "block_id": "ctx.1", "elements": [
                {"type": "mrkdwn", "text": "<!date^1700000000^{date_short_pretty} {time}|2023-11-14 22:13Z>"}]},
            {"type": "actions", "block_id": "act.1", "elements": [
                {"type": "button", "action_id": "open", "style": "danger", "value": "{\"d\":\"d-142\"}", "text": plain("Roll back")},
                {"type": "button", "action_id": "logs", "url": "https://ci.example.test/d-142", "text": plain("Logs")}]}
        ],
        [{"type": "plan", "block_id": "plan.1", "title": "Rollback r142 to r141", "tasks": [
            {"type": "task_card", "task_id": "drain", "title": "Shift traffic", "status": "complete"},
            {"type": "task_card", "task_id": "verify", "title": "Verify health", "status": "in_progress"}]}],
        []
    ]);
    for blocks in messages.as_array().unwrap() {
        check_message(blocks).unwrap();
    }
    let confirm = json!({
        "type": "modal", "callback_id": "rollback.confirm", "notify_on_close": true,
        "private_metadata": "{}", "title": plain("Roll back api"), "submit": plain("Roll back"),
        "close": plain("Cancel"), "blocks": [
            {"type": "alert", "level": "warning", "text": plain("1 schema migration ran")},
            {"type": "input", "block_id": "reason", "label": plain("Reason"), "element": {
                "type": "plain_text_input", "action_id": "reason", "multiline": true,
                "min_length": 5, "max_length": 500, "focus_on_load": true}}]
    });
    check_modal(&confirm).unwrap();
}

#[test]
fn whatever_has_no_id_is_given_one() {
    let blocks =
        check_message(&json!([actions(but(button(), json!({"action_id": null})))])).unwrap();
    assert_eq!(blocks[0]["block_id"], "id1");
    assert_eq!(blocks[0]["elements"][0]["action_id"], "id2");
    assert_eq!(blocks[0]["elements"][0]["text"]["emoji"], true);
}
