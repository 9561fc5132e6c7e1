//! What people do, and what the app receives.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common;
use std::time::Duration;

use crate::common::{App, DEPLOYS, Reply, call, modal, open, options, post, start, trigger};
use local_slack::{DriveError, LocalSlack, Outcome, sign};
use serde_json::{Value, json};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_signature_is_slacks() {
    let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signature = sign("8f742231b10e8888abcd99yyyzzz85a5", 1_531_420_618, body);
    assert_eq!(signature, "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503");
}

#[tokio::test]
async fn a_click_carries_every_field_that_slack_sends() {
    let slack = start().await;
    let app = App::start(&slack).await;
    let ts = post(&slack).await;
    let outcome = slack.click("U02ANA", DEPLOYS, &ts, "rollback_open").await.unwrap();
    assert_eq!(outcome, Outcome::Acknowledged);

    let received = app.last();
    let timestamp: u64 =
        received.headers["x-slack-request-timestamp"].to_str().unwrap().parse().unwrap();
    let expected = sign("local-slack-signing-secret", timestamp, &received.body);
    assert_eq!(received.headers["x-slack-signature"], expected.as_str());
    assert_eq!(received.headers["content-type"], "application/x-www-form-urlencoded");

    let payload = received.payload;
    assert_eq!(
        keys(&payload),
        [
            "actions",
            "api_app_id",
            "channel",
            "container",
            "enterprise",
            "is_enterprise_install",
            "message",
            "response_url",
            "state",
            "team",
            "token",
            "trigger_id",
            "type",
            "user"
        ]
    );
    assert_eq!(payload["type"], "block_actions");
    assert_eq!(
        payload["user"],
        json!({"id": "U02ANA", "name": "ana", "username": "ana", "team_id": "T0LOCAL"})
    );
    assert_eq!(
        payload["container"],
        json!({"type": "message", "message_ts": ts, "channel_id": DEPLOYS, "is_ephemeral": false})
    );
    assert_eq!(payload["message"]["ts"], ts.as_str());
    let action = &payload["actions"][0];
    assert_eq!(
        keys(action),
        ["action_id", "action_ts", "block_id", "style", "text", "type", "value"]
    );
    assert_eq!(
        (&action["action_id"], &action["value"]),
        (&json!("rollback_open"), &json!("d-142"))
    );
}

#[tokio::test]
async fn an_app_of_the_organisation_is_told_no_workspace() {
    let mut options = options();
    options.enterprise_id = Some("E0ORG".into());
    let slack = LocalSlack::start(options).await.unwrap();
    let app = App::start(&slack).await;
    trigger(&slack, &app).await;
    let payload = app.last().payload;
    assert_eq!(payload["team"], Value::Null);
    assert_eq!(payload["enterprise"]["id"], "E0ORG");
    assert_eq!(payload["is_enterprise_install"], true);
}

#[tokio::test]
async fn somebody_of_another_workspace_is_told_apart() {
    let slack = start().await;
    let app = App::start(&slack).await;
    let ts = post(&slack).await;
    slack.click("U05FAY", DEPLOYS, &ts, "rollback_open").await.unwrap();
    assert_eq!(app.last().payload["user"]["team_id"], "T0OTHER");
    assert_eq!(app.last().payload["team"]["id"], "T0LOCAL");
}

#[tokio::test]
async fn what_is_not_there_cannot_be_clicked() {
    let slack = start().await;
    let app = App::start(&slack).await;
    let ts = post(&slack).await;
    let click = |user: &'static str, ts: String, action: &'static str| {
        let slack = slack.clone();
        async move { slack.click(user, DEPLOYS, &ts, action).await.unwrap_err() }
    };
    assert!(matches!(click("U0NOBODY", ts.clone(), "x").await, DriveError::NoUser(_)));
    assert!(matches!(click("U06DEE", ts.clone(), "x").await, DriveError::NotThere { .. }));
    assert!(matches!(click("U02ANA", "1.2".into(), "x").await, DriveError::NoMessage { .. }));
    assert!(matches!(click("U02ANA", ts, "x").await, DriveError::NoAction(_)));
    assert!(app.received().is_empty());
}

#[tokio::test]
async fn a_screen_that_is_behind_still_shows_the_old_button() {
    let slack = start().await;
    let app = App::start(&slack).await;
    let ts = post(&slack).await;
    let seen = slack.message(DEPLOYS, &ts).unwrap();
    call(&slack, "chat.update", json!({"channel": DEPLOYS, "ts": ts, "text": "in flight"})).await;
    let now = slack.click("U02ANA", DEPLOYS, &ts, "rollback_open").await;
    assert!(matches!(now, Err(DriveError::NoAction(_))));
    slack.click_seen("U02ANA", &seen, "rollback_open").await.unwrap();
    assert_eq!(app.received().len(), 1);
}

#[tokio::test]
async fn a_late_or_failed_acknowledgement_is_trouble() {
    let mut options = options();
    assert_eq!(options.ack_within, Duration::from_secs(3));
    options.ack_within = Duration::from_millis(50);
    let slack = LocalSlack::start(options).await.unwrap();
    let ts = post(&slack).await;
    let click = || slack.click("U02ANA", DEPLOYS, &ts, "rollback_open");
    assert!(
        matches!(click().await.unwrap(), Outcome::Trouble(why) if why.contains("no interactivity url"))
    );
    let app = App::start(&slack).await;
    app.answer(Reply { after: Duration::from_millis(200), ..Reply::empty() });
    assert!(
        matches!(click().await.unwrap(), Outcome::Trouble(why) if why.contains("did not answer"))
    );
    app.answer(Reply { status: 401, ..Reply::empty() });
    assert!(matches!(click().await.unwrap(), Outcome::Trouble(why) if why.contains("401")));
    slack.set_interactivity_url("http://127.0.0.1:9/");
    assert!(
        matches!(click().await.unwrap(), Outcome::Trouble(why) if why.contains("cannot be reached"))
    );
}

#[tokio::test]
async fn a_lost_acknowledgement_is_trouble_though_the_app_took_the_callback() {
    let slack = start().await;
    let app = App::start(&slack).await;
    let ts = post(&slack).await;
    slack.lose_acknowledgements(1);
    let clicked = slack.click("U02ANA", DEPLOYS, &ts, "rollback_open").await.unwrap();
    assert!(matches!(clicked, Outcome::Trouble(why) if why.contains("lost")));
    assert_eq!(app.received().len(), 1);
    let clicked = slack.click("U02ANA", DEPLOYS, &ts, "rollback_open").await.unwrap();
    assert_eq!(clicked, Outcome::Acknowledged);
}

#[tokio::test]
async fn a_submission_carries_what_was_typed_and_closes_the_view() {
    let slack = start().await;
    let app = App::start(&slack).await;
    let id = open(&slack, &app).await;
    let outcome = slack.submit("U02ANA", &id, &[("reason", "errors up")]).await.unwrap();
    assert_eq!(outcome, Outcome::Closed);
    assert!(slack.views("U02ANA").is_empty());
    let payload = app.last().payload;
    assert_eq!(
        keys(&payload),
        [
            "api_app_id",
            "enterprise",
            "is_enterprise_install",
            "response_urls",
            "team",
            "token",
            "trigger_id",
            "type",
            "user",
            "view"
        ]
    );
    let view = &payload["view"];
    assert_eq!(
        view["state"]["values"]["reason"]["reason"],
        json!({"type": "plain_text_input", "value": "errors up"})
    );
    assert_eq!(
        (&view["private_metadata"], &view["callback_id"]),
        (&json!("d-142"), &json!("rollback_confirm"))
    );
    for field in [
        "id",
        "hash",
        "root_view_id",
        "previous_view_id",
        "app_id",
        "bot_id",
        "external_id",
        "title",
        "submit",
        "close",
        "blocks",
    ] {
        assert!(view.get(field).is_some(), "{field} is missing");
    }
}

#[tokio::test]
async fn the_screen_itself_refuses_an_incomplete_form() {
    let slack = start().await;
    let app = App::start(&slack).await;
    let id = open(&slack, &app).await;
    let before = app.received().len();
    for typed in
        [&[][..], &[("reason", "")], &[("reason", "abcd")], &[("reason", "123456789012345678901")]]
    {
        let outcome = slack.submit("U02ANA", &id, typed).await.unwrap();
        assert!(
            matches!(outcome, Outcome::Incomplete(marked) if marked.contains_key("reason")),
            "{typed:?}"
        );
    }
    let unknown = slack.submit("U02ANA", &id, &[("colour", "red")]).await;
    assert!(matches!(unknown, Err(DriveError::NoInput(_))));
    assert_eq!(app.received().len(), before);
}

#[tokio::test]
async fn an_answer_to_a_submission_is_carried_out() {
    let slack = start().await;
    let app = App::start(&slack).await;
    let typed = [("reason", "errors up")];

    let id = open(&slack, &app).await;
    app.answer(Reply::json(json!({"response_action": "errors", "errors": {"reason": "say more"}})));
    let outcome = slack.submit("U02ANA", &id, &typed).await.unwrap();
    assert!(matches!(outcome, Outcome::Errors(marked) if marked["reason"] == "say more"));

    app.answer(Reply::json(json!({"response_action": "push", "view": modal()})));
    assert_eq!(slack.submit("U02ANA", &id, &typed).await.unwrap(), Outcome::Pushed);
    let stack = slack.views("U02ANA");
    let top = stack[1].clone();
    assert_eq!((stack.len(), &top.root_id, top.previous_id.as_ref()), (2, &id, Some(&id)));
    let below = slack.submit("U02ANA", &id, &typed).await;
    assert!(matches!(below, Err(DriveError::NoView(_))));

    let refusal =
        json!({"type": "modal", "title": {"type": "plain_text", "text": "Refused"}, "blocks": []});
    app.answer(Reply::json(json!({"response_action": "update", "view": refusal})));
    assert_eq!(slack.submit("U02ANA", &top.id, &typed).await.unwrap(), Outcome::Updated);
    let updated = slack.views("U02ANA")[1].clone();
    assert!(updated.all_text().contains("Refused") && updated.hash != top.hash);
    let no_button = slack.submit("U02ANA", &top.id, &[]).await;
    assert!(matches!(no_button, Err(DriveError::NoSubmit(_))));

    app.answer(Reply::empty());
    let trigger = trigger(&slack, &app).await;
    let opened = call(&slack, "views.open", json!({"trigger_id": trigger, "view": modal()})).await;
    let id = opened.body["view"]["id"].as_str().unwrap().to_owned();
    app.answer(Reply::json(json!({"response_action": "clear"})));
    assert_eq!(slack.submit("U02ANA", &id, &typed).await.unwrap(), Outcome::Cleared);
    assert!(slack.views("U02ANA").is_empty());
}

#[tokio::test]
async fn a_wrong_answer_to_a_submission_is_trouble_and_keeps_the_view() {
    let slack = start().await;
    let app = App::start(&slack).await;
    let id = open(&slack, &app).await;
    for wrong in [
        json!({}),
        json!({"response_action": "explode"}),
        json!({"response_action": "errors", "errors": {}}),
        json!({"response_action": "errors", "errors": {"nowhere": "x"}}),
        json!({"response_action": "update"}),
        json!({"response_action": "update", "view": {"type": "modal"}}),
    ] {
        app.answer(Reply::json(wrong.clone()));
        let outcome = slack.submit("U02ANA", &id, &[("reason", "errors up")]).await.unwrap();
        assert!(matches!(outcome, Outcome::Trouble(_)), "{wrong}");
        assert_eq!(slack.views("U02ANA").len(), 1);
    }
    let clear = Reply::json(json!({"response_action": "clear"}));
    let undeclared = Reply { as_text: true, ..clear.clone() };
    let failed = Reply { status: 500, ..clear };
    for wrong in [undeclared, failed, Reply { status: 500, ..Reply::empty() }] {
        app.answer(wrong.clone());
        let outcome = slack.submit("U02ANA", &id, &[("reason", "errors up")]).await.unwrap();
        assert!(matches!(outcome, Outcome::Trouble(_)), "{wrong:?}");
        assert_eq!(slack.views("U02ANA").len(), 1);
    }
}

#[tokio::test]
async fn three_views_fit_on_top_of_each_other() {
    let slack = start().await;
    let app = App::start(&slack).await;
    let id = open(&slack, &app).await;
    app.answer(Reply::json(json!({"response_action": "push", "view": modal()})));
    let typed = [("reason", "errors up")];
    slack.submit("U02ANA", &id, &typed).await.unwrap();
    let second = slack.views("U02ANA")[1].id.clone();
    slack.submit("U02ANA", &second, &typed).await.unwrap();
    let third = slack.views("U02ANA")[2].id.clone();
    let outcome = slack.submit("U02ANA", &third, &typed).await.unwrap();
    assert!(matches!(outcome, Outcome::Trouble(_)));
    assert_eq!(slack.views("U02ANA").len(), 3);

    app.answer(Reply::empty());
    assert_eq!(slack.close("U02ANA", &third).await.unwrap(), Outcome::Closed);
    let told = app.last().payload;
    assert_eq!(
        (&told["type"], &told["view"]["id"], &told["is_cleared"]),
        (&json!("view_closed"), &json!(third), &json!(false))
    );
    assert_eq!(slack.close_all("U02ANA", &second).await.unwrap(), Outcome::Closed);
    let told = app.last().payload;
    assert_eq!((&told["view"]["id"], &told["is_cleared"]), (&json!(id), &json!(true)));
    assert!(told.get("trigger_id").is_none());
    assert!(slack.views("U02ANA").is_empty());
}

#[tokio::test]
async fn a_view_that_clears_on_close_takes_the_stack_with_it() {
    let slack = start().await;
    let app = App::start(&slack).await;
    let id = open(&slack, &app).await;
    let mut clearing = modal();
    clearing["clear_on_close"] = true.into();
    app.answer(Reply::json(json!({"response_action": "push", "view": clearing})));
    slack.submit("U02ANA", &id, &[("reason", "errors up")]).await.unwrap();
    app.answer(Reply::empty());
    let top = slack.views("U02ANA")[1].id.clone();
    assert_eq!(slack.close("U02ANA", &top).await.unwrap(), Outcome::Closed);
    assert!(slack.views("U02ANA").is_empty());
    assert_eq!(app.last().payload["is_cleared"], true);
}

#[tokio::test]
async fn a_delivery_can_be_replayed_byte_for_byte() {
    let slack = start().await;
    let app = App::start(&slack).await;
    trigger(&slack, &app).await;
    let delivery = slack.deliveries().pop().unwrap();
    assert_eq!(slack.resend(&delivery).await.unwrap().status, 200);
    let received = app.received();
    assert_eq!(received[0].body, received[1].body);
    assert_eq!(received[0].headers["x-slack-signature"], received[1].headers["x-slack-signature"]);
}

#[tokio::test]
async fn a_response_url_answers_the_person_five_times() {
    let slack = start().await;
    let app = App::start(&slack).await;
    trigger(&slack, &app).await;
    let url = app.last().payload["response_url"].as_str().unwrap().to_owned();
    let path = url.replace(slack.url().trim_end_matches('/'), "");
    for turn in 0..6 {
        let body = json!({"text": "you may not"}).to_string();
        let request = http::Request::post(&path)
            .header("host", "127.0.0.1")
            .header("content-type", "application/json")
            .body(http_body_util::Full::new(bytes::Bytes::from(body)))
            .unwrap();
        let status = common::send(request, &url).await.unwrap().status;
        assert_eq!(status, if turn < 5 { 200 } else { 404 });
    }
    assert_eq!(slack.ephemerals("U02ANA").len(), 5);
}
