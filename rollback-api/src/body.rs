//! Takes a body off the wire: bounded in size and in time, and of a kind that is understood.

use crate::limits::ApiLimits;
use crate::problem::{Fault, Problem};
use axum::body::{Body, to_bytes};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use http::{StatusCode, header};
use http_body_util::LengthLimitError;
use serde_json::Value;
use std::error::Error;

/// The whole body as JSON.
pub(crate) async fn json(
    headers: &HeaderMap,
    body: Body,
    limits: &ApiLimits,
) -> Result<Value, Problem> {
    let told = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if told.and_then(|told| told.parse().ok()).is_some_and(|told: usize| told > limits.body_max) {
        return Err(too_large(limits));
    }
    let bytes = match tokio::time::timeout(limits.body_wait, to_bytes(body, limits.body_max)).await
    {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) if is_too_large(&error) => return Err(too_large(limits)),
        Ok(Err(_broken_off)) => {
            return Err(Problem::not_json(
                "the body broke off; nothing was changed; send it again",
            ));
        }
        Err(_elapsed) => {
            let detail = "the body did not arrive in time; nothing was changed; send it again";
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail));
        }
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        // The category and the place, never the content.
        let (line, column) = (error.line(), error.column());
        let detail = format!(
            "the body is not JSON: the fault is at line {line}, column {column}; nothing was changed"
        );
        Problem::not_json(detail)
    })
}

/// What kind of body the headers announce: the type without its parameters, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> Result<String, Problem> {
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        let fault = Fault::in_header("content-encoding", "it is not taken; send the body as it is");
        return Err(unsupported("a compressed body is not taken").with(vec![fault]));
    }
    let mut all = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (all.next(), all.next()) else {
        return Err(unsupported("the body's type is not told, or twice; send `content-type` once"));
    };
    let text = value.to_str().map_err(|_not_ascii| unsupported("`content-type` is not text"))?;
    let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Ok(kind)
}

/// A body that must be plain JSON.
pub(crate) fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    match media_type(headers)?.as_str() {
        "application/json" => Ok(()),
        other => Err(other_type(other, "`application/json`")),
    }
}

pub(crate) fn other_type(found: &str, taken: &str) -> Problem {
    let found: String = found.chars().take(80).collect();
    unsupported(format!("a body of type {found:?} is not taken here; send {taken}"))
}

fn unsupported(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
}

fn too_large(limits: &ApiLimits) -> Problem {
    let detail = format!("the body has more than {} bytes; nothing was changed", limits.body_max);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
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
