//! The page, and what it talks to.

mod state;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::Stream;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::drive::{self, DriveError, Outcome, Values};
use crate::faults::Fault;
use crate::inspect::{deactivate, set_group_users};
use crate::{Shared, socket, submit};

const INDEX: &str = include_str!("index.html");
const STYLE: &str = include_str!("style.css");
const SCRIPTS: [(&str, &str); 6] = [
    ("app.js", include_str!("app.js")),
    ("blocks.js", include_str!("blocks.js")),
    ("dom.js", include_str!("dom.js")),
    ("messages.js", include_str!("messages.js")),
    ("modal.js", include_str!("modal.js")),
    ("mrkdwn.js", include_str!("mrkdwn.js")),
];
/// A Socket Mode connection that was told to go may stay so long; Slack gives about as much.
const SOCKET_GRACE: Duration = Duration::from_secs(10);
/// Nothing but the page's own files; data is text, never markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn router(shared: Arc<Shared>, with_page: bool) -> axum::Router {
    let mut router = axum::Router::new()
        .route("/_state", get(state))
        .route("/_events", get(events))
        .route("/_act", post(act))
        .route("/_control", post(control));
    if with_page {
        router = router.route("/", get(index)).route("/_page/{file}", get(asset));
    }
    router.with_state(shared).layer(from_fn(only_from_here))
}

/// Keeps other sites that a person has open from clicking here: the host must be the loopback
/// interface (so a foreign name cannot be pointed at it), and the origin, if named, this one.
pub(crate) async fn only_from_here(request: Request, next: Next) -> Response {
    if is_from_here(request.headers()) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "only the page itself may ask").into_response()
}

fn is_from_here(headers: &HeaderMap) -> bool {
    let header = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let Some(host) = header(header::HOST) else { return false };
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
    });
    let local = ["localhost", "127.0.0.1", "[::1]"].contains(&name);
    let same = header(header::ORIGIN).is_none_or(|origin| origin == format!("http://{host}"));
    local && same
}

async fn index() -> Response {
    let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8");
    ([kind, (header::CONTENT_SECURITY_POLICY, POLICY)], INDEX).into_response()
}

async fn asset(Path(file): Path<String>) -> Response {
    if file == "style.css" {
        return ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response();
    }
    let script = SCRIPTS.iter().find(|(name, _text)| *name == file);
    script.map_or_else(
        || StatusCode::NOT_FOUND.into_response(),
        |(_name, text)| {
            ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], *text).into_response()
        },
    )
}

/// The whole screen of the person named by `as`; without one, of the first.
async fn state(State(shared): State<Arc<Shared>>, request: Request) -> Json<Value> {
    let query = request.uri().query().unwrap_or_default();
    let person = form_urlencoded::parse(query.as_bytes())
        .find(|(name, _value)| name == "as")
        .map(|(_name, value)| value.into_owned());
    Json(shared.look(|world| state::screen(world, person.as_deref())))
}

/// One event at once, and one after every change; the page then asks for the state.
async fn events(
    State(shared): State<Arc<Shared>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let changes = shared.watch();
    let stream = futures_util::stream::unfold((changes, true), |(mut changes, first)| async move {
        if !first {
            changes.changed().await.ok()?;
        }
        let count = *changes.borrow_and_update();
        Some((Ok(Event::default().data(count.to_string())), (changes, false)))
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}

/// What a person does.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Act {
    Click {
        user: String,
        channel: String,
        ts: String,
        action_id: String,
        chosen: Option<String>,
    },
    ClickInView {
        user: String,
        view_id: String,
        action_id: String,
        chosen: Option<String>,
    },
    Submit {
        user: String,
        view_id: String,
        values: Values,
    },
    Close {
        user: String,
        view_id: String,
        #[serde(default)]
        all: bool,
    },
}

async fn act(State(shared): State<Arc<Shared>>, Json(act): Json<Act>) -> Response {
    // A click goes on when the page that made it is closed.
    let acting = tokio::spawn(async move { perform(&shared, act).await });
    match acting.await {
        Ok(Ok(outcome)) => Json(outcome).into_response(),
        Ok(Err(nothing)) => {
            let told = json!({"outcome": "nothing", "detail": nothing.to_string()});
            (StatusCode::CONFLICT, Json(told)).into_response()
        }
        Err(_panicked) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn perform(shared: &Shared, act: Act) -> Result<Outcome, DriveError> {
    match act {
        Act::Click { user, channel, ts, action_id, chosen } => {
            let place = (channel.as_str(), ts.as_str());
            drive::click(shared, &user, place, &action_id, chosen.as_deref()).await
        }
        Act::ClickInView { user, view_id, action_id, chosen } => {
            drive::click_in_view(shared, &user, &view_id, &action_id, chosen.as_deref()).await
        }
        Act::Submit { user, view_id, values } => {
            submit::submit(shared, &user, &view_id, &values).await
        }
        Act::Close { user, view_id, all } => submit::close(shared, &user, &view_id, all).await,
    }
}

/// What happens behind the app's back.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Control {
    Fail(Fault),
    Outage { on: bool },
    LoseAcknowledgements { times: u32 },
    Clear,
    DeleteMessage { channel: String, ts: String },
    SetGroupUsers { group: String, users: Vec<String> },
    Deactivate { user: String },
    InteractivityUrl { url: String },
    RefreshSockets,
}

async fn control(State(shared): State<Arc<Shared>>, Json(control): Json<Control>) -> Response {
    if matches!(control, Control::RefreshSockets) {
        socket::refresh(&shared, SOCKET_GRACE);
    }
    let found = shared.change(|world| match control {
        Control::Fail(fault) => {
            world.faults.add(fault);
            true
        }
        Control::Outage { on } => {
            world.faults.set_outage(on);
            true
        }
        Control::LoseAcknowledgements { times } => {
            world.faults.lose_acks(times);
            true
        }
        Control::Clear => {
            world.faults.clear();
            shared.lifted.notify_waiters();
            true
        }
        Control::DeleteMessage { channel, ts } => {
            world.messages.get_mut(&channel).and_then(|all| all.remove(&ts)).is_some()
        }
        Control::SetGroupUsers { group, users } => {
            let users: Vec<&str> = users.iter().map(String::as_str).collect();
            set_group_users(world, &group, &users)
        }
        Control::Deactivate { user } => deactivate(world, &user),
        Control::InteractivityUrl { url } => {
            world.options.interactivity_url = Some(url);
            true
        }
        // It takes the lock itself.
        Control::RefreshSockets => true,
    });
    if found { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }.into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_page_itself_may_ask() {
        let cases = [
            (Some("127.0.0.1:4000"), Some("http://127.0.0.1:4000"), true),
            (Some("localhost:4000"), None, true),
            (Some("[::1]:4000"), None, true),
            (Some("[::1]"), None, true),
            (None, None, false),
            (Some("evil.example:4000"), None, false),
            (Some("127.0.0.1.evil.example"), None, false),
            (Some("127.0.0.1:4000"), Some("http://evil.example"), false),
            (Some("127.0.0.1:4000"), Some("http://127.0.0.1:5000"), false),
            (Some("127.0.0.1:4000"), Some("null"), false),
        ];
        for (host, origin, allowed) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::HOST, host), (header::ORIGIN, origin)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(is_from_here(&headers), allowed, "{host:?} {origin:?}");
        }
    }
}
