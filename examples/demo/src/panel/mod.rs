//! What stands beside the chat: scenes, the shop, the state machine, the audit trail.

use crate::director::Show;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

const SCRIPT: &str = include_str!("panel.js");
const STYLE: &str = include_str!("panel.css");
/// The shop's page is a guest here: it may show itself, and nothing else.
const SHOP_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox";
const NOBODY_ANSWERS: &str = "<!doctype html><meta charset=\"utf-8\"><title>No answer</title>\
    <style>body{font:15px system-ui,sans-serif;color:#777;text-align:center;padding:2em}</style>\
    <p>Nobody answers at the shop’s address.</p>";

/// Its routes, for the host that serves the chat. The host lets nobody in but its own page.
pub(crate) fn routes(show: Arc<Show>) -> Router {
    let file = |kind: &'static str, text: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, kind)], text) })
    };
    Router::new()
        .route("/_panel.js", file("text/javascript; charset=utf-8", SCRIPT))
        .route("/_panel.css", file("text/css; charset=utf-8", STYLE))
        .route("/_demo/state", get(state))
        .route("/_demo/scene", post(scene))
        .route("/_demo/shop", get(shop))
        .with_state(show)
}

async fn state(State(show): State<Arc<Show>>) -> Json<Value> {
    Json(show.state())
}

#[derive(Debug, Deserialize)]
struct Wanted {
    id: String,
}

async fn scene(State(show): State<Arc<Show>>, Json(wanted): Json<Wanted>) -> Response {
    match show.find(&wanted.id) {
        Some(scene) if show.wish(scene) => StatusCode::ACCEPTED.into_response(),
        Some(_) => StatusCode::TOO_MANY_REQUESTS.into_response(),
        None => (StatusCode::NOT_FOUND, "there is no such scene").into_response(),
    }
}

async fn shop(State(show): State<Arc<Show>>) -> Response {
    let html = show.shop_html().unwrap_or_else(|| NOBODY_ANSWERS.to_owned());
    let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8");
    ([kind, (header::CONTENT_SECURITY_POLICY, SHOP_POLICY)], html).into_response()
}
