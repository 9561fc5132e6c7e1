//! The Web API as a client sees it.

use crate::common;
use std::time::{Duration, Instant};

use crate::common::{
    App, DEPLOYS, call, deploy_message, form, modal, open, options, post, raw, start, trigger,
    try_call,
};
use local_slack::{Fault, LocalSlack, Options};
use serde_json::{Value, json};

#[tokio::test]
async fn a_call_needs_the_right_token() {
    let slack = start().await;
    for (token, error) in [(None, "not_authed"), (Some("xoxb-other"), "invalid_auth")] {
        let answer =
            raw(&slack, "auth.test", "application/json", token, "{}".into()).await.unwrap();
        assert_eq!((answer.status, answer.error()), (200, error));
        assert_eq!(answer.body["ok"], false);
    }
    let answer = form(&slack, "auth.test", &[]).await;
    assert_eq!(answer.body["team_id"], "T0LOCAL");
    let scopes = answer.headers["x-oauth-scopes"].to_str().unwrap();
    assert!(scopes.contains("chat:write") && scopes.contains("usergroups:read"), "{scopes}");
    assert_eq!(call(&slack, "chat.shout", json!({})).await.error(), "unknown_method");
}

#[tokio::test]
async fn no_token_is_in_the_call_log() {
    let slack = start().await;
    let body = format!("token={}&channel={DEPLOYS}&text=hi", common::TOKEN);
    let kind = "application/x-www-form-urlencoded";
    let answer = raw(&slack, "chat.postMessage", kind, None, body).await.unwrap();
    assert_eq!(answer.body["ok"], true);
    let log = serde_json::to_string(&slack.calls()).unwrap();
    assert!(log.contains("\"text\":\"hi\"") && !log.contains(common::TOKEN), "{log}");
    assert!(!format!("{:?}", options()).contains(common::TOKEN));
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let mut options = options();
    options.scopes = vec!["chat:write".into()];
    let slack = LocalSlack::start(options).await.unwrap();
    let answer = form(&slack, "usergroups.users.list", &[("usergroup", "S0PAYMENTS")]).await;
    assert_eq!(answer.error(), "missing_scope");
    assert_eq!(answer.body["needed"], "usergroups:read");
    assert_eq!(answer.body["provided"], "chat:write");
    let uninvited = json!({"channel": "C0QUIET", "text": "x"});
    assert_eq!(call(&slack, "chat.postMessage", uninvited).await.error(), "not_in_channel");
}

#[tokio::test]
async fn posting_refuses_what_slack_refuses() {
    let slack = start().await;
    let long = "x".repeat(41_000);
    let cases = [
        (json!({"channel": "C0NONE", "text": "x"}), "channel_not_found"),
        (json!({"text": "x"}), "channel_not_found"),
        (json!({"channel": "C0PAST", "text": "x"}), "is_archived"),
        (json!({"channel": "G0VAULT", "text": "x"}), "channel_not_found"),
        (json!({"channel": DEPLOYS}), "no_text"),
        (json!({"channel": DEPLOYS, "text": "x", "blocks": {}}), "invalid_blocks_format"),
        (json!({"channel": DEPLOYS, "text": "x", "blocks": [{"type": "x"}]}), "invalid_blocks"),
        (json!({"channel": DEPLOYS, "text": "x", "thread_ts": "1.2"}), "thread_not_found"),
        (
            json!({"channel": DEPLOYS, "text": "x", "metadata": {"event_type": "x"}}),
            "invalid_metadata_format",
        ),
        (
            json!({"channel": DEPLOYS, "text": "x", "metadata": {"event_type": "x", "event_payload": {"a": {"b": {"c": 1}}}}}),
            "invalid_metadata_schema",
        ),
        (json!({"channel": DEPLOYS, "text": "x", "markdown_text": "x"}), "markdown_text_conflict"),
        (json!({"channel": DEPLOYS, "text": long}), "no error"),
        (json!({"channel": "C0QUIET", "text": "x"}), "no error"),
        (json!({"channel": "#deploys", "text": "x"}), "no error"),
    ];
    for (args, error) in cases {
        let answer = call(&slack, "chat.postMessage", args.clone()).await;
        assert_eq!((answer.status, answer.error()), (200, error), "{args:.60}");
    }
    assert_eq!(slack.messages(DEPLOYS)[0].text.chars().count(), 40_000);
    let refused = call(
        &slack,
        "chat.postMessage",
        json!({"channel": DEPLOYS, "blocks": [{"type": "section"}]}),
    )
    .await;
    let message = refused.body["response_metadata"]["messages"][0].as_str().unwrap();
    assert!(message.ends_with("[json-pointer:/blocks/0]"), "{message}");
}

#[tokio::test]
async fn an_update_keeps_and_removes_what_slack_keeps_and_removes() {
    let slack = start().await;
    let ts = post(&slack).await;
    let update = |mut args: Value| {
        args["channel"] = DEPLOYS.into();
        args["ts"] = ts.clone().into();
        call(&slack, "chat.update", args)
    };
    let now = || slack.message(DEPLOYS, &ts).unwrap();
    let divider = json!([{"type": "divider"}]);

    update(json!({"text": "a", "blocks": divider.clone()})).await;
    assert_eq!((now().text.as_str(), now().blocks.len(), now().edited), ("a", 1, false));
    assert!(now().metadata.is_some(), "metadata is kept when it is omitted");

    update(json!({"text": "b"})).await;
    assert_eq!((now().text.as_str(), now().blocks.len(), now().edited), ("b", 0, true));

    update(json!({"text": "c", "blocks": divider, "metadata": {}})).await;
    assert!(now().metadata.is_none(), "an empty metadata clears");
    update(json!({"text": "d", "blocks": []})).await;
    assert!(now().blocks.is_empty());
    assert_eq!(now().revision, 4);

    let long = json!({"text": "x".repeat(4001)});
    assert_eq!(update(long).await.error(), "msg_too_long");
    assert_eq!(now().text, "d", "a refused update changes nothing");
}

#[tokio::test]
async fn only_the_apps_own_messages_can_be_changed() {
    let slack = start().await;
    let ts = slack.say("U02ANA", DEPLOYS, "hello").unwrap();
    let args = json!({"channel": DEPLOYS, "ts": ts, "text": "x"});
    assert_eq!(call(&slack, "chat.update", args.clone()).await.error(), "cant_update_message");
    assert_eq!(call(&slack, "chat.delete", args).await.error(), "cant_delete_message");
    let own = post(&slack).await;
    assert!(slack.delete_message(DEPLOYS, &own));
    let args = json!({"channel": DEPLOYS, "ts": own, "text": "x"});
    assert_eq!(call(&slack, "chat.update", args).await.error(), "message_not_found");
}

#[tokio::test]
async fn a_message_is_found_again_by_its_metadata_page_by_page() {
    let slack = start().await;
    let first = post(&slack).await;
    let second = post(&slack).await;
    let reply = json!({"channel": DEPLOYS, "text": "r", "thread_ts": first});
    call(&slack, "chat.postMessage", reply).await;

    let page = form(
        &slack,
        "conversations.history",
        &[("channel", DEPLOYS), ("limit", "1"), ("include_all_metadata", "true")],
    )
    .await
    .body;
    assert_eq!(page["messages"][0]["ts"], second.as_str(), "the newest is first");
    assert_eq!(page["messages"][0]["metadata"]["event_payload"]["id"], "d-142");
    assert_eq!(page["has_more"], true);
    let cursor = page["response_metadata"]["next_cursor"].as_str().unwrap();
    let page = form(&slack, "conversations.history", &[("channel", DEPLOYS), ("cursor", cursor)])
        .await
        .body;
    assert_eq!(page["messages"].as_array().unwrap().len(), 1);
    assert_eq!(page["messages"][0]["ts"], first.as_str());
    assert_eq!(page["messages"][0]["reply_count"], 1);
    assert_eq!(page["messages"][0]["metadata"], json!({"event_type": "deploy"}));

    let thread =
        form(&slack, "conversations.replies", &[("channel", DEPLOYS), ("ts", &first)]).await.body;
    assert_eq!(thread["messages"][0]["ts"], first.as_str());
    assert_eq!(thread["messages"][1]["text"], "r");
    let none = form(&slack, "conversations.replies", &[("channel", DEPLOYS), ("ts", "1.2")]).await;
    assert_eq!(none.error(), "thread_not_found");
}

#[tokio::test]
async fn a_read_method_ignores_json() {
    let slack = start().await;
    let answer = call(&slack, "users.info", json!({"user": "U02ANA"})).await;
    assert_eq!(answer.error(), "user_not_found");
    assert_eq!(form(&slack, "users.info", &[("user", "U02ANA")]).await.body["user"]["name"], "ana");
}

#[tokio::test]
async fn people_are_told_apart() {
    let slack = start().await;
    let cases = [
        ("U02ANA", false, false, false, "T0LOCAL"),
        ("U04GUS", false, true, false, "T0LOCAL"),
        ("U05FAY", false, false, true, "T0OTHER"),
        ("U06DEE", true, false, false, "T0LOCAL"),
    ];
    for (id, deleted, restricted, stranger, team) in cases {
        let user = form(&slack, "users.info", &[("user", id)]).await.body["user"].clone();
        assert_eq!(user["deleted"], deleted, "{id}");
        assert_eq!(user["is_restricted"], restricted, "{id}");
        assert_eq!(user["is_stranger"], stranger, "{id}");
        assert_eq!(user["team_id"], team, "{id}");
    }
    assert!(slack.deactivate("U02ANA"));
    let user = form(&slack, "users.info", &[("user", "U02ANA")]).await.body["user"].clone();
    assert_eq!(user["deleted"], true);
    let gone = form(&slack, "users.lookupByEmail", &[("email", "ana@example.com")]).await;
    assert_eq!(gone.error(), "users_not_found");
    let bob = form(&slack, "users.lookupByEmail", &[("email", "Bob@example.com")]).await;
    assert_eq!(bob.body["user"]["id"], "U03BOB");
}

#[tokio::test]
async fn a_group_lists_its_members_and_a_disabled_one_nobody() {
    let slack = start().await;
    let users = |id: &'static str| {
        let slack = slack.clone();
        async move { form(&slack, "usergroups.users.list", &[("usergroup", id)]).await }
    };
    assert_eq!(users("S0PAYMENTS").await.body["users"], json!(["U02ANA", "U03BOB"]));
    assert_eq!(users("S0OLD").await.error(), "no_such_subteam");
    assert_eq!(users("S0NONE").await.error(), "no_such_subteam");
    assert!(slack.set_group_users("S0PAYMENTS", &[]));
    assert_eq!(users("S0PAYMENTS").await.body["users"], json!([]));
    let listed = form(&slack, "usergroups.list", &[("include_disabled", "true")]).await.body;
    assert_eq!(listed["usergroups"][1]["id"], "S0OLD");
    assert_eq!(listed["usergroups"][1]["date_delete"], 1);
}

#[tokio::test]
async fn an_ephemeral_is_shown_to_one_person_in_the_channel() {
    let slack = start().await;
    let args = json!({"channel": DEPLOYS, "user": "U03BOB", "text": "only you"});
    assert!(call(&slack, "chat.postEphemeral", args).await.body["message_ts"].is_string());
    assert_eq!(slack.ephemerals("U03BOB")[0].text, "only you");
    assert!(slack.ephemerals("U02ANA").is_empty() && slack.messages(DEPLOYS).is_empty());
    let ts = slack.ephemerals("U03BOB")[0].ts.clone();
    let update = json!({"channel": DEPLOYS, "ts": ts, "text": "x"});
    assert_eq!(call(&slack, "chat.update", update).await.error(), "message_not_found");
    let args = json!({"channel": DEPLOYS, "user": "U06DEE", "text": "x"});
    assert_eq!(call(&slack, "chat.postEphemeral", args).await.error(), "user_not_in_channel");
}

#[tokio::test]
async fn a_direct_message_goes_to_one_person() {
    let slack = start().await;
    let opened = call(&slack, "conversations.open", json!({"users": "U02ANA"})).await.body;
    let id = opened["channel"]["id"].as_str().unwrap();
    call(&slack, "chat.postMessage", json!({"channel": id, "text": "one"})).await;
    call(&slack, "chat.postMessage", json!({"channel": "U02ANA", "text": "two"})).await;
    let texts: Vec<String> = slack.dms("U02ANA").into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["one", "two"]);
    let gone = call(&slack, "conversations.open", json!({"users": "U06DEE"})).await;
    assert_eq!(gone.error(), "user_disabled");
}

#[tokio::test]
async fn a_reaction_is_added_once_and_removed_once() {
    let slack = start().await;
    let ts = post(&slack).await;
    let args = json!({"channel": DEPLOYS, "timestamp": ts, "name": "eyes"});
    assert_eq!(call(&slack, "reactions.add", args.clone()).await.error(), "no error");
    assert_eq!(call(&slack, "reactions.add", args.clone()).await.error(), "already_reacted");
    assert_eq!(slack.message(DEPLOYS, &ts).unwrap().reactions, ["eyes"]);
    assert_eq!(call(&slack, "reactions.remove", args.clone()).await.error(), "no error");
    assert_eq!(call(&slack, "reactions.remove", args).await.error(), "no_reaction");
}

#[tokio::test]
async fn a_trigger_opens_one_view_only() {
    let slack = start().await;
    let app = App::start(&slack).await;
    let trigger = trigger(&slack, &app).await;
    let open = json!({"trigger_id": trigger, "view": modal()});
    let answer = call(&slack, "views.open", open.clone()).await;
    assert_eq!(answer.body["view"]["state"], json!({"values": {}}));
    assert_eq!(call(&slack, "views.open", open).await.error(), "exchanged_trigger_id");
    let none = json!({"trigger_id": "1.2.3", "view": modal()});
    assert_eq!(call(&slack, "views.open", none).await.error(), "invalid_trigger_id");
    assert_eq!(slack.views("U02ANA").len(), 1);
}

#[tokio::test]
async fn a_trigger_expires() {
    let mut options = options();
    assert_eq!(options.trigger_ttl, Duration::from_secs(3));
    options.trigger_ttl = Duration::from_millis(30);
    let slack = LocalSlack::start(options).await.unwrap();
    let app = App::start(&slack).await;
    let trigger = trigger(&slack, &app).await;
    tokio::time::sleep(Duration::from_millis(40)).await;
    let open = json!({"trigger_id": trigger, "view": modal()});
    assert_eq!(call(&slack, "views.open", open).await.error(), "expired_trigger_id");
    assert!(slack.views("U02ANA").is_empty());
}

#[tokio::test]
async fn a_stale_hash_updates_nothing() {
    let slack = start().await;
    let app = App::start(&slack).await;
    let id = open(&slack, &app).await;
    let stale = slack.views("U02ANA")[0].hash.clone();
    let update = |hash: Value| {
        call(&slack, "views.update", json!({"view_id": id, "hash": hash, "view": modal()}))
    };
    assert_eq!(update(json!(stale)).await.error(), "no error");
    assert_eq!(update(json!(stale)).await.error(), "hash_conflict");
    let fresh = slack.views("U02ANA")[0].hash.clone();
    assert_ne!(fresh, stale);
    assert_eq!(update(json!(fresh)).await.error(), "no error");
    assert_eq!(update(Value::Null).await.error(), "no error", "without a hash the last one wins");
    assert_eq!(slack.close("U02ANA", &id).await.unwrap(), local_slack::Outcome::Closed);
    assert_eq!(update(Value::Null).await.error(), "not_found");
}

#[tokio::test]
async fn an_external_id_names_one_open_view() {
    let slack = start().await;
    let app = App::start(&slack).await;
    let mut view = modal();
    view["external_id"] = "d-142".into();
    let first = json!({"trigger_id": trigger(&slack, &app).await, "view": view});
    let first = call(&slack, "views.open", first).await.body["view"]["id"].clone();
    let ts = post(&slack).await;
    slack.click("U03BOB", DEPLOYS, &ts, "rollback_open").await.unwrap();
    let second = json!({"trigger_id": app.last().payload["trigger_id"], "view": view});
    assert_eq!(call(&slack, "views.open", second).await.error(), "duplicate_external_id");
    let update = json!({"external_id": "d-142", "view": view});
    assert_eq!(call(&slack, "views.update", update).await.body["view"]["id"], first);
    let both = json!({"external_id": "d-142", "view_id": first, "view": view});
    assert_eq!(call(&slack, "views.update", both).await.error(), "invalid_arguments");
}

#[tokio::test]
async fn a_broadcast_reply_is_in_the_channel_too() {
    let slack = start().await;
    let ts = post(&slack).await;
    for broadcast in [false, true] {
        let args =
            json!({"channel": DEPLOYS, "text": "r", "thread_ts": ts, "reply_broadcast": broadcast});
        call(&slack, "chat.postMessage", args).await;
    }
    assert_eq!((slack.messages(DEPLOYS).len(), slack.thread(DEPLOYS, &ts).len()), (2, 2));
    let page = form(&slack, "conversations.history", &[("channel", DEPLOYS)]).await.body;
    assert_eq!(page["messages"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn posts_to_a_channel_are_limited_when_asked() {
    let slack =
        LocalSlack::start(options().limit_posts(1, 2).limit_method("users.info", 1)).await.unwrap();
    post(&slack).await;
    post(&slack).await;
    let answer = call(&slack, "chat.postMessage", deploy_message()).await;
    assert_eq!((answer.status, answer.error()), (429, "ratelimited"));
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(slack.messages(DEPLOYS).len(), 2);
    assert_eq!(form(&slack, "users.info", &[("user", "U02ANA")]).await.status, 200);
    let answer = form(&slack, "users.info", &[("user", "U02ANA")]).await;
    assert_eq!((answer.status, &answer.headers["retry-after"]), (429, &"60".parse().unwrap()));
}

#[tokio::test]
async fn faults_strike_the_next_call_and_say_so_in_the_log() {
    let slack = start().await;
    let cases = [
        (Fault::rate_limited(7), Ok(429), 0, "fault: rate limited"),
        (Fault::server_error(), Ok(500), 0, "fault: server error"),
        (Fault::done_but_server_error(), Ok(500), 1, "fault: done but server error"),
        (Fault::reset(), Err(()), 0, "fault: reset"),
        (Fault::done_but_reset(), Err(()), 1, "fault: done but reset"),
        (Fault::slow(Duration::from_millis(30)), Ok(200), 1, "ok"),
    ];
    for (fault, status, posted, outcome) in cases {
        let before = slack.messages(DEPLOYS).len();
        let slow = outcome == "ok";
        slack.fail_next(fault.on("chat.postMessage"));
        let started = Instant::now();
        let answer = try_call(&slack, "chat.postMessage", deploy_message()).await;
        assert_eq!(answer.as_ref().map(|answer| answer.status).map_err(drop), status, "{outcome}");
        assert_eq!(slack.messages(DEPLOYS).len() - before, posted, "{outcome}");
        assert_eq!(slack.calls().pop().unwrap().outcome, outcome);
        assert!(!slow || started.elapsed() >= Duration::from_millis(30));
        let next = try_call(&slack, "chat.postMessage", deploy_message()).await.unwrap();
        assert_eq!(next.status, 200, "one fault strikes once");
    }
}

#[tokio::test]
async fn a_hanging_call_ends_when_the_faults_are_cleared() {
    let slack = start().await;
    slack.fail_next(Fault::hang());
    let calling = tokio::spawn({
        let slack = slack.clone();
        async move { call(&slack, "chat.postMessage", deploy_message()).await.status }
    });
    slack
        .wait_until(Duration::from_secs(5), |slack| {
            slack.calls().pop().filter(|call| call.outcome == "fault: hang")
        })
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!calling.is_finished());
    slack.clear_faults();
    assert_eq!(calling.await.unwrap(), 500);
    assert!(slack.messages(DEPLOYS).is_empty());
}

#[tokio::test]
async fn an_outage_lasts_until_it_is_lifted() {
    let slack = start().await;
    slack.set_outage(true);
    for _ in 0..3 {
        assert_eq!(call(&slack, "auth.test", json!({})).await.status, 503);
    }
    slack.set_outage(false);
    assert_eq!(call(&slack, "auth.test", json!({})).await.status, 200);
}

#[tokio::test]
async fn waiting_that_fails_tells_what_people_see() {
    let slack = start().await;
    post(&slack).await;
    let waited = slack.wait_until(Duration::from_millis(10), |_slack| None::<()>).await;
    let told = waited.unwrap_err().to_string();
    assert!(told.contains("api r142 deployed | Roll back"), "{told}");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let slack = start().await;
    let port: u16 = slack.url().trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
    let mut options = Options::default();
    options.port = port;
    let refused = LocalSlack::start(options).await.unwrap_err();
    assert!(refused.to_string().contains(&port.to_string()));
}
