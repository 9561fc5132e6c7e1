//! A caller of the Web API and an app that receives callbacks.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use local_slack::{Channel, LocalSlack, Options, User, UserGroup};
use serde_json::{Value, json};

pub(crate) const TOKEN: &str = "xoxb-local-slack";
pub(crate) const DEPLOYS: &str = "C0DEPLOYS";

pub(crate) fn options() -> Options {
    Options::default()
        .user(User::new("U02ANA", "Ana").title("Owner"))
        .user(User::new("U03BOB", "Bob").title("Approver"))
        .user(User::new("U04GUS", "Gus").guest())
        .user(User::new("U05FAY", "Fay").foreign("T0OTHER"))
        .user(User::new("U06DEE", "Dee").deactivated())
        .group(UserGroup::new("S0PAYMENTS", "payments", ["U02ANA", "U03BOB"]))
        .group(UserGroup::new("S0OLD", "old", ["U02ANA"]).disabled())
        .channel(Channel::new(DEPLOYS, "deploys"))
        .channel(Channel::new("C0QUIET", "quiet").without_app())
        .channel(Channel::new("C0PAST", "past").archived())
        .channel(Channel::new("G0VAULT", "vault").private().without_app())
}

pub(crate) async fn start() -> LocalSlack {
    LocalSlack::start(options()).await.unwrap()
}

/// What the Web API answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn error(&self) -> &str {
        self.body["error"].as_str().unwrap_or("no error")
    }
}

pub(crate) async fn send(request: Request<Full<Bytes>>, url: &str) -> Result<Answer, String> {
    let authority = url.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    let stream = tokio::net::TcpStream::connect(authority).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    driver.abort();
    let body = serde_json::from_slice(&body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
}

/// Calls a method with JSON.
pub(crate) async fn call(slack: &LocalSlack, method: &str, args: Value) -> Answer {
    try_call(slack, method, args).await.unwrap()
}

pub(crate) async fn try_call(
    slack: &LocalSlack,
    method: &str,
    args: Value,
) -> Result<Answer, String> {
    let kind = "application/json; charset=utf-8";
    raw(slack, method, kind, Some(TOKEN), args.to_string()).await
}

/// Calls a method with a form.
pub(crate) async fn form(slack: &LocalSlack, method: &str, args: &[(&str, &str)]) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(args).finish();
    raw(slack, method, "application/x-www-form-urlencoded", Some(TOKEN), body).await.unwrap()
}

pub(crate) async fn raw(
    slack: &LocalSlack,
    method: &str,
    kind: &str,
    token: Option<&str>,
    body: String,
) -> Result<Answer, String> {
    let url = slack.api_url();
    let mut request = Request::post(format!("/api/{method}"))
        .header("host", "127.0.0.1")
        .header("content-type", kind);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    send(request.body(Full::new(Bytes::from(body))).unwrap(), &url).await
}

/// A callback as the app received it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) payload: Value,
}

/// How the app answers a callback.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) json: Option<Value>,
    /// Declares the JSON as plain text.
    pub(crate) as_text: bool,
    pub(crate) after: Duration,
}

impl Reply {
    pub(crate) fn empty() -> Self {
        Self { status: 200, json: None, as_text: false, after: Duration::ZERO }
    }

    pub(crate) fn json(json: Value) -> Self {
        Self { json: Some(json), ..Self::empty() }
    }
}

/// An app that keeps what it receives and answers what it is told to.
#[derive(Clone, Debug)]
pub(crate) struct App {
    received: Arc<Mutex<Vec<Received>>>,
    reply: Arc<Mutex<Reply>>,
}

impl App {
    pub(crate) async fn start(slack: &LocalSlack) -> Self {
        let app = Self { received: Arc::default(), reply: Arc::new(Mutex::new(Reply::empty())) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        slack.set_interactivity_url(format!("http://{}/slack", listener.local_addr().unwrap()));
        let router = axum::Router::new()
            .route("/slack", axum::routing::post(receive))
            .with_state(app.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        app
    }

    pub(crate) fn answer(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Received {
        self.received().pop().unwrap()
    }
}

async fn receive(
    axum::extract::State(app): axum::extract::State<App>,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    use axum::response::IntoResponse as _;
    let payload = form_urlencoded::parse(&body)
        .find(|(name, _value)| name == "payload")
        .map(|(_name, value)| serde_json::from_str(&value).unwrap())
        .unwrap();
    app.received.lock().unwrap().push(Received { headers, body: body.to_vec(), payload });
    let reply = app.reply.lock().unwrap().clone();
    tokio::time::sleep(reply.after).await;
    let status = http::StatusCode::from_u16(reply.status).unwrap();
    match reply.json {
        Some(json) if reply.as_text => (status, json.to_string()).into_response(),
        Some(json) => (status, axum::Json(json)).into_response(),
        None => status.into_response(),
    }
}

/// A message with one button.
pub(crate) fn deploy_message() -> Value {
    json!({
        "channel": DEPLOYS, "text": "api r142 deployed",
        "metadata": {"event_type": "deploy", "event_payload": {"id": "d-142", "gen": 1}},
        "blocks": [{"type": "actions", "block_id": "act", "elements": [{
            "type": "button", "action_id": "rollback_open", "style": "danger", "value": "d-142",
            "text": {"type": "plain_text", "text": "Roll back"}}]}]
    })
}

pub(crate) async fn post(slack: &LocalSlack) -> String {
    let answer = call(slack, "chat.postMessage", deploy_message()).await;
    answer.body["ts"].as_str().unwrap().to_owned()
}

/// A modal with a mandatory reason.
pub(crate) fn modal() -> Value {
    json!({
        "type": "modal", "callback_id": "rollback_confirm", "notify_on_close": true,
        "private_metadata": "d-142", "title": {"type": "plain_text", "text": "Roll back"},
        "submit": {"type": "plain_text", "text": "Roll back"},
        "close": {"type": "plain_text", "text": "Cancel"},
        "blocks": [{
            "type": "input", "block_id": "reason", "label": {"type": "plain_text", "text": "Reason"},
            "element": {"type": "plain_text_input", "action_id": "reason", "multiline": true,
                        "min_length": 5, "max_length": 20}}]
    })
}

/// Clicks the button of a new message, and returns the trigger id that the app received.
pub(crate) async fn trigger(slack: &LocalSlack, app: &App) -> String {
    let ts = post(slack).await;
    let outcome = slack.click("U02ANA", DEPLOYS, &ts, "rollback_open").await.unwrap();
    assert_eq!(outcome, local_slack::Outcome::Acknowledged);
    app.last().payload["trigger_id"].as_str().unwrap().to_owned()
}

/// Opens the modal on Ana's screen and returns its id.
pub(crate) async fn open(slack: &LocalSlack, app: &App) -> String {
    let trigger = trigger(slack, app).await;
    let answer = call(slack, "views.open", json!({"trigger_id": trigger, "view": modal()})).await;
    answer.body["view"]["id"].as_str().unwrap().to_owned()
}
