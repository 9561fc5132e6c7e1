//! Answers: JSON, or a problem of RFC 9457. Nothing else leaves the server.

use super::body::BadField;
use super::log::{Because, Refusal};
use super::orders::Unanswered;
use crate::wire::Revision;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};

/// What went wrong, for machines and for people.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Problem {
    /// What kind of problem; the status tells all there is to tell.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The status in words.
    pub(super) title: String,
    /// The status.
    pub(super) status: u16,
    /// What happened, whether anything was changed, and what to do next.
    pub(super) detail: String,
    /// Each bad field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<BadField>,
    /// What is live instead of what was expected, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) live: Option<Revision>,
}

/// An answer that is not good news.
#[derive(Debug)]
pub(super) struct Refuse {
    status: StatusCode,
    problem: Problem,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refuse {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let problem = Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            live: None,
        };
        Self { status, problem, header: None }
    }

    pub(super) fn fields(errors: Vec<BadField>) -> Self {
        let detail = "the order has fields that are not as they should be; nothing was changed";
        let mut refuse = Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
        refuse.problem.errors = errors;
        refuse
    }

    pub(super) fn unauthorized() -> Self {
        let detail = "a bearer token is needed, and this is none of ours; nothing was changed";
        let mut refuse = Self::new(StatusCode::UNAUTHORIZED, detail);
        let challenge = HeaderValue::from_static("Bearer realm=\"rollback\"");
        refuse.header = Some((header::WWW_AUTHENTICATE, challenge));
        refuse
    }

    pub(super) fn response(self) -> Response {
        let json = HeaderValue::from_static("application/problem+json");
        let mut response = written(self.status, json, &self.problem);
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<Refusal> for Refuse {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.because {
            Because::Missing => StatusCode::NOT_FOUND,
            Because::LiveHasMoved => StatusCode::CONFLICT,
            Because::Refused => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let mut refuse = Self::new(status, format!("{}; nothing was changed", refusal.why));
        refuse.problem.live = refusal.live.map(Revision::from);
        refuse
    }
}

impl From<Unanswered> for Refuse {
    fn from(unanswered: Unanswered) -> Self {
        let mut refuse = Self::new(StatusCode::SERVICE_UNAVAILABLE, unanswered.why);
        let seconds = unanswered.retry_after.map(|wait| wait.as_secs().max(1));
        refuse.header = seconds.map(|wait| (header::RETRY_AFTER, HeaderValue::from(wait)));
        refuse
    }
}

/// Good news.
pub(super) fn good(status: StatusCode, body: &impl Serialize) -> Response {
    written(status, HeaderValue::from_static("application/json"), body)
}

fn written(status: StatusCode, media: HeaderValue, body: &impl Serialize) -> Response {
    let (status, text) = match serde_json::to_vec(body) {
        Ok(text) => (status, text),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, b"{}".to_vec())
        }
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
