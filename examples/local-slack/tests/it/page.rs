//! What the page talks to, and what the page must never do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common;
use crate::common::{Answer, App, DEPLOYS, call, open, options, post, send};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use local_slack::LocalSlack;
use serde_json::{Value, json};

async fn get(slack: &LocalSlack, path: &str) -> Answer {
    let request = Request::get(path).header("host", "localhost").body(Full::default()).unwrap();
    send(request, &slack.url()).await.unwrap()
}

async fn put(slack: &LocalSlack, path: &str, body: Value, origin: Option<&str>) -> Answer {
    let mut request =
        Request::post(path).header("host", "localhost").header("content-type", "application/json");
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    let body = Full::new(Bytes::from(body.to_string()));
    send(request.body(body).unwrap(), &slack.url()).await.unwrap()
}

#[tokio::test]
async fn the_page_is_served_when_it_is_asked_for_and_only_from_here() {
    let without = LocalSlack::start(options()).await.unwrap();
    assert_eq!(get(&without, "/").await.status, 404);
    let slack = LocalSlack::start(options().with_page()).await.unwrap();
    let page = get(&slack, "/").await;
    assert_eq!(page.status, 200);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for file in
        ["app.js", "blocks.js", "dom.js", "messages.js", "modal.js", "mrkdwn.js", "style.css"]
    {
        assert_eq!(get(&slack, &format!("/_page/{file}")).await.status, 200, "{file}");
    }
    assert_eq!(get(&slack, "/_page/../lib.rs").await.status, 404);
    let act = json!({"do": "outage", "on": true});
    let foreign = put(&slack, "/_control", act, Some("http://evil.example")).await;
    assert_eq!(foreign.status, 403);
    assert_eq!(call(&slack, "auth.test", json!({})).await.status, 200);
}

#[tokio::test]
async fn each_person_has_a_screen_of_their_own() {
    let slack = common::start().await;
    let ts = post(&slack).await;
    call(&slack, "chat.postMessage", json!({"channel": DEPLOYS, "thread_ts": ts, "text": "r"}))
        .await;
    let only = json!({"channel": DEPLOYS, "user": "U02ANA", "text": "only Ana"});
    call(&slack, "chat.postEphemeral", only).await;
    call(&slack, "chat.postMessage", json!({"channel": "U02ANA", "text": "direct"})).await;
    let ana = get(&slack, "/_state?as=U02ANA").await.body;
    let bob = get(&slack, "/_state?as=U03BOB").await.body;
    assert_eq!((&ana["me"], &bob["me"]), (&json!("U02ANA"), &json!("U03BOB")));
    assert_eq!(ana["channels"][0]["ephemerals"][0]["text"], "only Ana");
    assert_eq!(bob["channels"][0]["ephemerals"], json!([]));
    assert_eq!(ana["channels"][0]["messages"][0]["replies"], 1);
    let direct = |screen: &Value| {
        screen["channels"].as_array().unwrap().iter().filter(|one| one["kind"] == "direct").count()
    };
    assert_eq!((direct(&ana), direct(&bob)), (1, 0));
    assert_eq!(ana["people"][0]["news"], 2);
    let text = ana.to_string();
    assert!(!text.contains(common::TOKEN) && !text.contains("signing-secret"));
}

#[tokio::test]
async fn the_page_clicks_submits_and_closes() {
    let slack = common::start().await;
    let app = App::start(&slack).await;
    let ts = post(&slack).await;
    let click = json!({"do": "click", "user": "U02ANA", "channel": DEPLOYS, "ts": ts, "action_id": "rollback_open"});
    assert_eq!(
        put(&slack, "/_act", click.clone(), None).await.body,
        json!({"outcome": "acknowledged"})
    );
    assert_eq!(app.last().payload["actions"][0]["action_id"], "rollback_open");

    let id = open(&slack, &app).await;
    let submit = |reason: &str| json!({"do": "submit", "user": "U02ANA", "view_id": id, "values": {"reason": [reason]}});
    let short = put(&slack, "/_act", submit("x"), None).await.body;
    assert_eq!(
        (&short["outcome"], short["detail"]["reason"].is_string()),
        (&json!("incomplete"), true)
    );
    let done = put(&slack, "/_act", submit("errors up"), None).await.body;
    assert_eq!(done, json!({"outcome": "closed"}));
    let close = json!({"do": "close", "user": "U02ANA", "view_id": id});
    let nothing = put(&slack, "/_act", close, None).await;
    assert_eq!((nothing.status, &nothing.body["outcome"]), (409, &json!("nothing")));
}

#[tokio::test]
async fn every_knob_turns_from_outside() {
    let slack = common::start().await;
    let ts = post(&slack).await;
    for (body, status) in [
        (
            json!({"do": "fail", "fault": "rate_limited", "retry_after": 3, "method": "auth.test"}),
            204,
        ),
        (json!({"do": "fail", "fault": "slow", "milliseconds": 1, "times": 2}), 204),
        (json!({"do": "delete_message", "channel": DEPLOYS, "ts": ts}), 204),
        (json!({"do": "delete_message", "channel": DEPLOYS, "ts": ts}), 404),
        (json!({"do": "set_group_users", "group": "S0PAYMENTS", "users": []}), 204),
        (json!({"do": "deactivate", "user": "U03BOB"}), 204),
        (json!({"do": "lose_acknowledgements", "times": 1}), 204),
        (json!({"do": "deactivate", "user": "U0NOBODY"}), 404),
        (json!({"do": "explode"}), 422),
    ] {
        assert_eq!(put(&slack, "/_control", body.clone(), None).await.status, status, "{body}");
    }
    assert_eq!(call(&slack, "auth.test", json!({})).await.status, 429);
    assert!(slack.messages(DEPLOYS).is_empty());
    put(&slack, "/_control", json!({"do": "outage", "on": true}), None).await;
    assert_eq!(call(&slack, "auth.test", json!({})).await.status, 503);
    put(&slack, "/_control", json!({"do": "clear"}), None).await;
    assert_eq!(call(&slack, "auth.test", json!({})).await.status, 200);
}

#[test]
fn the_page_never_makes_markup_of_data_and_asks_nobody_else() {
    let folder = format!("{}/src/page", env!("CARGO_MANIFEST_DIR"));
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let web = ["js", "html", "css"];
        if !path.extension().is_some_and(|kind| web.iter().any(|web| kind == *web)) {
            continue;
        }
        read += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let banned = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "srcdoc",
            "@import",
            "src=\"http",
            "url(http",
            "fetch(\"http",
        ];
        for word in banned {
            assert!(!text.contains(word), "{} has {word}", path.display());
        }
    }
    assert_eq!(read, 8);
}
