//! What went wrong, as RFC 9457 problem details: the one shape of every answer that is an error.

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Method, StatusCode};
use rollback_core::ports::{CommandError, StoreError};
use serde::Serialize;
use std::time::Duration;

/// How many faults of one body are told. Whoever has more reads the documentation first.
const FAULTS_MAX: usize = 64;

/// One thing that is wrong with a request, and where.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Fault {
    /// Where in the body: a JSON pointer as a URI fragment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pointer: Option<String>,
    /// Which header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) header: Option<String>,
    /// Which parameter of the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parameter: Option<String>,
    /// What is wrong there, and what would be accepted.
    pub(crate) detail: String,
}

impl Fault {
    const fn new(detail: String) -> Self {
        Self { pointer: None, header: None, parameter: None, detail }
    }

    /// At this JSON pointer of the body.
    pub(crate) fn at(pointer: &str, detail: impl Into<String>) -> Self {
        Self { pointer: Some(format!("#{pointer}")), ..Self::new(detail.into()) }
    }

    /// In this header.
    pub(crate) fn in_header(name: &str, detail: impl Into<String>) -> Self {
        Self { header: Some(name.into()), ..Self::new(detail.into()) }
    }

    /// In this parameter of the query.
    pub(crate) fn in_query(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { parameter: Some(name.into()), ..Self::new(detail.into()) }
    }
}

/// An answer that is an error.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    faults: Vec<Fault>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The body of such an answer.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Problem"))]
pub(crate) struct ProblemBody<'a> {
    /// Always `about:blank`: the status says what kind of problem it is.
    r#type: &'static str,
    /// The status in words.
    title: &'a str,
    /// The status.
    status: u16,
    /// What happened, what changed (or that nothing did), and what to do next.
    detail: &'a str,
    /// Everything that is wrong with the request, each with its place.
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), faults: Vec::new(), headers: Vec::new() }
    }

    pub(crate) fn with(mut self, faults: Vec<Fault>) -> Self {
        self.faults = faults;
        self.faults.truncate(FAULTS_MAX);
        self
    }

    fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Names every bad field.
    pub(crate) fn unprocessable(faults: Vec<Fault>) -> Self {
        let detail = match faults.len() {
            1 => "a field is missing or wrong; nothing was changed".to_owned(),
            count => format!("{count} fields are missing or wrong; nothing was changed"),
        };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with(faults)
    }

    /// The query or a header cannot be read.
    pub(crate) fn bad_request(fault: Fault) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "the request cannot be read; nothing was changed")
            .with(vec![fault])
    }

    pub(crate) fn not_json(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The head of a request has more than it may have. What comes after it is not read.
    pub(crate) fn head_too_large(limit: &str) -> Self {
        let detail = format!("the head of the request has more than {limit}; nothing was changed");
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
            .header(CONNECTION, HeaderValue::from_static("close"))
    }

    pub(crate) fn unauthorized(presented: bool) -> Self {
        let (detail, challenge) = if presented {
            (
                "the bearer token is not one of ours",
                r#"Bearer realm="rollback", error="invalid_token""#,
            )
        } else {
            (
                "a bearer token is needed; send it in the header `Authorization`",
                r#"Bearer realm="rollback""#,
            )
        };
        Self::new(StatusCode::UNAUTHORIZED, detail)
            .header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }

    /// Too many of something; it may be tried again after this long.
    pub(crate) fn too_many(detail: impl Into<String>, after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(after)
    }

    pub(crate) fn unavailable(detail: impl Into<String>, after: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(after)
    }

    fn retry_after(self, after: Duration) -> Self {
        let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0)).max(1);
        self.header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The store's refusal. Its own words are for the log.
    pub(crate) fn store(error: &StoreError) -> Self {
        tracing::warn!(%error, "a request could not be answered from the store");
        let again = Duration::from_secs(5);
        match error {
            StoreError::Corrupt { .. } => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "what is stored cannot be read; the log names it; ask `/v1/audit/verify`",
            ),
            StoreError::NotFound(_)
            | StoreError::MovedOn(_)
            | StoreError::ServiceHeld(_)
            | StoreError::ClaimLost(_)
            | StoreError::Unavailable(_)
            | StoreError::InDoubt(_)
            | StoreError::Newer(_)
            | _ => Self::unavailable("the store did not answer; try again", again),
        }
    }

    /// Why the engine did not take a command.
    pub(crate) fn command(error: &CommandError) -> Self {
        let again = Duration::from_secs(30);
        match error {
            CommandError::NotFound(_) | CommandError::NotConfigured(_) => {
                Self::not_found(error.to_string())
            }
            CommandError::TooOften(seconds) => {
                Self::too_many(error.to_string(), Duration::from_secs(*seconds))
            }
            CommandError::NoTarget(_) | CommandError::Closed | CommandError::KeyUsed(_) => {
                Self::new(StatusCode::CONFLICT, error.to_string())
            }
            CommandError::NotRecorded(_) | CommandError::Stopping | _ => {
                Self::unavailable(error.to_string(), again)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.faults,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend(self.headers);
        response
    }
}

/// Nothing is here.
pub(crate) async fn nothing_here() -> Problem {
    Problem::not_found("there is nothing at this address")
}

/// Nothing takes this method here. What would be taken stands in `Allow`.
pub(crate) async fn method_not_allowed(method: Method) -> Problem {
    let detail = format!("`{method}` is not taken here; `Allow` names what is");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// Gives every error that is not a problem yet the shape of one: what axum or a host answers with a
/// bare status.
pub(crate) fn shaped(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let is_bare = response
        .headers()
        .get(CONTENT_TYPE)
        .is_none_or(|kind| kind.to_str().is_ok_and(|kind| kind.starts_with("text/plain")));
    if !is_error || !is_bare {
        return response;
    }
    let allow = response.headers().get(ALLOW).cloned();
    let mut problem = Problem::new(status, "the request was not taken; nothing was changed");
    if let Some(allow) = allow {
        problem = problem.header(ALLOW, allow);
    }
    problem.into_response().map(Body::new)
}
