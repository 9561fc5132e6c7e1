//! The axum route for Slack's callbacks.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::post;
use http_body_util::LengthLimitError;

use crate::UnixSeconds;
use crate::form::is_ssl_check;
use crate::intake::Interactions;
use crate::interactivity::{BODY_BYTES_MAX, Interactivity, Reply};

/// Where Slack posts interactions to.
pub const INTERACTIVITY_PATH: &str = "/slack/interactivity";
/// How long a body may take to arrive. Slack gives up after three seconds; a slow sender that is
/// not Slack must not hold a connection.
pub const BODY_WAIT_MAX: Duration = Duration::from_secs(3);

/// `POST /slack/interactivity`, to be merged into the host's own router. The path is outside of
/// whatever authentication the host has: the signature is the authentication.
///
/// Answers 200 (taken), 400 (signed, not readable), 401 (not Slack's), 403 (for another
/// installation), 408 (too slow), 413 (too large) or 503 (too much waits), and never says more.
pub fn router<H: Interactions>(interactivity: Arc<Interactivity<H>>) -> Router {
    Router::new()
        .route(INTERACTIVITY_PATH, post(interact::<H>).get(probe::<H>))
        .with_state(interactivity)
}

async fn interact<H: Interactions>(
    State(interactivity): State<Arc<Interactivity<H>>>,
    request: Request,
) -> Response {
    let counters = interactivity.intake().counters();
    let (head, body) = request.into_parts();
    let body = match tokio::time::timeout(BODY_WAIT_MAX, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) if is_too_large(&error) => {
            counters.too_large();
            return respond(Reply::empty(413));
        }
        Ok(Err(_broken_off)) => {
            counters.bad_forms();
            return respond(Reply::empty(400));
        }
        Err(_elapsed) => {
            counters.too_slow();
            return respond(Reply::empty(408));
        }
    };
    respond(interactivity.handle(&head.headers, &body, UnixSeconds::now()))
}

/// Slack may probe with GET as well; nothing else is answered.
async fn probe<H: Interactions>(
    State(interactivity): State<Arc<Interactivity<H>>>,
    RawQuery(query): RawQuery,
) -> StatusCode {
    if query.is_some_and(|query| is_ssl_check(query.as_bytes())) {
        interactivity.intake().counters().ssl_checks();
        StatusCode::OK
    } else {
        StatusCode::METHOD_NOT_ALLOWED
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<LengthLimitError>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

fn respond(reply: Reply) -> Response {
    let has_body = !reply.body.is_empty();
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if has_body {
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
    }
    response
}
