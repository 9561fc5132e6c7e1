//! The page with one of everything on it, to look at and to click in.
//!
//! `cargo run -p local-slack --example gallery`, then open what it prints. The app behind the
//! buttons is the hundred lines below.

#![expect(clippy::print_stdout, reason = "it tells where to look")]

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use local_slack::{Channel, LocalSlack, Options, User, UserGroup};
use serde_json::{Value, json};
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().map_or(Ok(0), |port| port.parse())?;
    let mut options = Options::default()
        .user(User::new("U02ANA", "Ana").title("Owner"))
        .user(User::new("U03BOB", "Bob").title("Approver"))
        .user(User::new("U04SAM", "Sam").title("Stranger"))
        .user(User::new("U05GUS", "Gus").title("Guest").guest())
        .user(User::new("U06IRA", "Ira").title("Break-glass"))
        .group(UserGroup::new("S0PAYMENTS", "payments", ["U02ANA", "U03BOB"]))
        .channel(Channel::new("C0DEPLOYS", "deploys"))
        .channel(Channel::new("C0PAYMENTS", "payments"))
        .channel(Channel::new("G0INCIDENT", "incident").private())
        .with_page();
    options.port = port;
    if arguments.next().as_deref() == Some("panel") {
        options = options.with_panel(panel());
    }
    let slack = LocalSlack::start(options).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    slack.set_interactivity_url(format!("http://{}/", listener.local_addr()?));
    fill(&slack)?;
    println!("{}", slack.url());
    let app = axum::Router::new().route("/", post(interact)).with_state(slack);
    axum::serve(listener, app).await?;
    Ok(())
}

fn call(slack: &LocalSlack, method: &str, args: &Value) -> Result<Value, Failure> {
    let answer: Value = serde_json::from_str(&slack.call(method, &args.to_string()))?;
    if answer.get("ok") == Some(&Value::Bool(true)) {
        return Ok(answer);
    }
    Err(format!("{method} was refused: {answer}").into())
}

fn plain(text: &str) -> Value {
    json!({"type": "plain_text", "text": text})
}

fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

fn deploy(title: &str, buttons: &Value) -> Value {
    json!({"channel": "C0DEPLOYS", "text": title, "blocks": [
        {"type": "header", "text": plain(title)},
        {"type": "section", "fields": [
            mrkdwn("*Version*\n`2.14.0` (`9f3c2ab`)"), mrkdwn("*Deployed by*\n<@U02ANA>"),
            mrkdwn("*Before*\n`2.13.4` (`41aa0de`)"), mrkdwn("*Owners*\n<!subteam^S0PAYMENTS>")]},
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [
            {"type": "text", "text": "Faster checkout for <!channel> & *friends*"}]}]},
        {"type": "context", "elements": [
            mrkdwn("<!date^1763805000^{date_short_pretty} {time}|2025-11-22> · <https://example.com/compare|changes>")]},
        {"type": "actions", "elements": buttons}]})
}

fn fill(slack: &LocalSlack) -> Result<(), Failure> {
    slack.say("U03BOB", "C0DEPLOYS", "checkout looks *slow* since lunch, is it `2.14.0`?")?;
    let rollback = json!({"type": "button", "action_id": "open", "style": "danger", "text": plain("Rollback")});
    let confirmed = json!({"type": "button", "action_id": "sure", "text": plain("With a question"), "confirm": {
        "title": plain("Are you sure?"), "text": plain("It starts at once."), "style": "danger",
        "confirm": plain("Yes, start"), "deny": plain("No")}});
    let wrong = json!({"type": "button", "action_id": "fail", "text": plain("Fails")});
    let posted = call(
        slack,
        "chat.postMessage",
        &deploy("checkout 2.14.0 is live in production", &json!([rollback, confirmed, wrong])),
    )?;
    let ts = posted.get("ts").cloned().unwrap_or_default();
    call(
        slack,
        "reactions.add",
        &json!({"channel": "C0DEPLOYS", "timestamp": ts, "name": "eyes"}),
    )?;
    call(
        slack,
        "chat.postMessage",
        &json!({"channel": "C0DEPLOYS", "thread_ts": ts, "text": "Rollback running", "blocks": [
        {"type": "plan", "title": "Rollback 2.14.0 → 2.13.4", "tasks": [
            {"type": "task_card", "task_id": "1", "title": "Recorded in the audit trail", "status": "complete"},
            {"type": "task_card", "task_id": "2", "title": "Shift traffic", "status": "in_progress"},
            {"type": "task_card", "task_id": "3", "title": "Verify health", "status": "pending"},
            {"type": "task_card", "task_id": "4", "title": "Tell the deployer", "status": "error"}]}]}),
    )?;
    call(
        slack,
        "chat.postMessage",
        &json!({"channel": "C0DEPLOYS", "thread_ts": ts, "text": ":white_check_mark: live is `2.13.4`, healthy for 5 s"}),
    )?;
    call(
        slack,
        "chat.postEphemeral",
        &json!({"channel": "C0DEPLOYS", "user": "U02ANA", "text": ":no_entry: *You cannot roll back checkout.* Its owners can: <!subteam^S0PAYMENTS>.\n> rule `owners`, nothing was changed"}),
    )?;
    call(
        slack,
        "chat.postMessage",
        &json!({"channel": "C0PAYMENTS", "text": "payments is *fine*, _really_ ~not~ fine\n```\ncurl -s localhost\n```\n<https://example.com|a link>, <@U03BOB>, <#C0DEPLOYS>, <!here> and :rocket:"}),
    )?;
    call(
        slack,
        "chat.postMessage",
        &json!({"channel": "U02ANA", "text": "Your deploy of checkout was rolled back by <@U03BOB>."}),
    )?;
    Ok(())
}

fn modal() -> Value {
    json!({"type": "modal", "callback_id": "confirm", "notify_on_close": true,
        "title": plain("Roll back checkout"), "submit": plain("Roll back"), "close": plain("Cancel"),
        "blocks": [
            {"type": "section", "fields": [mrkdwn("*Current*\n`2.14.0` `9f3c2ab`"), mrkdwn("*Target*\n`2.13.4` `41aa0de`")]},
            {"type": "alert", "level": "warning", "text": plain("The queue keeps messages of the new format.")},
            {"type": "alert", "level": "success", "text": plain("All 10 guards pass.")},
            {"type": "input", "block_id": "reason", "label": plain("Reason"), "hint": plain("It goes into the audit trail."),
             "element": {"type": "plain_text_input", "action_id": "reason", "multiline": true, "min_length": 5, "max_length": 500, "focus_on_load": true}},
            {"type": "input", "block_id": "scope", "optional": true, "label": plain("Scope"), "element": {"type": "radio_buttons", "action_id": "scope",
             "options": [{"text": plain("Everything"), "value": "all"}, {"text": plain("One region"), "value": "one"}]}}]})
}

/// The app: a click opens the modal, a submission with `no` in it is marked, another is told.
async fn interact(State(slack): State<LocalSlack>, body: Bytes) -> Response {
    let payload = form_urlencoded::parse(&body).find(|(name, _value)| name == "payload");
    let Some(payload) = payload.and_then(|(_name, json)| serde_json::from_str::<Value>(&json).ok())
    else {
        return http::StatusCode::BAD_REQUEST.into_response();
    };
    let at = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    match (at("/type"), at("/actions/0/action_id")) {
        ("block_actions", "fail") => http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        ("block_actions", "open") => {
            let open = json!({"trigger_id": at("/trigger_id"), "view": modal()});
            println!("{}", slack.call("views.open", &open.to_string()));
            ().into_response()
        }
        ("view_submission", _) => {
            let reason = at("/view/state/values/reason/reason/value");
            if reason.contains("no") {
                let errors = json!({"reason": "Say what is wrong, not `no`."});
                return Json(json!({"response_action": "errors", "errors": errors}))
                    .into_response();
            }
            let told = json!({"channel": "C0DEPLOYS", "text": format!("Rolled back: {reason}")});
            println!("{}", slack.call("chat.postMessage", &told.to_string()));
            ().into_response()
        }
        (_other, _action) => ().into_response(),
    }
}

/// A panel of the host's, as small as it can be.
fn panel() -> axum::Router {
    let script = "export const title = 'System';\nexport default (panel, page) => {\n  const text = document.createElement('pre');\n  panel.append(text);\n  page.onChange((state) => { text.textContent = `${state.channels.length} channels, seen by ${state.me}`; });\n};\n";
    axum::Router::new()
        .route("/_panel.js", get(([(CONTENT_TYPE, "text/javascript")], script)))
        .route("/_panel.css", get(([(CONTENT_TYPE, "text/css")], "#panel { padding: 1rem; }")))
}
