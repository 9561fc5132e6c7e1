//! What the Web API answers.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

/// The answer of a method that worked, without `ok`.
pub(crate) type Answer = Result<Map<String, Value>, ApiError>;

/// A call that Slack answers with `"ok":false`.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    code: &'static str,
    messages: Vec<String>,
    scopes: Option<(String, String)>,
    retry_after: Option<u32>,
}

impl ApiError {
    pub(crate) fn new(code: &'static str) -> Self {
        Self { code, messages: Vec::new(), scopes: None, retry_after: None }
    }

    pub(crate) fn message(mut self, message: String) -> Self {
        self.messages.push(message);
        self
    }

    pub(crate) fn messages(mut self, messages: Vec<String>) -> Self {
        self.messages = messages;
        self
    }

    pub(crate) fn missing_scope(needed: &str, provided: String) -> Self {
        let scopes = Some((needed.to_owned(), provided));
        Self { scopes, ..Self::new("missing_scope") }
    }

    pub(crate) fn rate_limited(seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..Self::new("ratelimited") }
    }

    #[cfg(test)]
    pub(crate) fn problems(&self) -> &[String] {
        &self.messages
    }

    /// The body of the answer.
    pub(crate) fn body(&self) -> Value {
        let mut body = object(json!({"ok": false, "error": self.code}));
        if let Some((needed, provided)) = &self.scopes {
            body.insert("needed".to_owned(), json!(needed));
            body.insert("provided".to_owned(), json!(provided));
        }
        if !self.messages.is_empty() {
            body.insert("response_metadata".to_owned(), json!({"messages": self.messages}));
        }
        Value::Object(body)
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = self.body();
        let Some(seconds) = self.retry_after else { return Json(body).into_response() };
        let mut response = (StatusCode::TOO_MANY_REQUESTS, Json(body)).into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        response
    }
}

/// Makes a map of a JSON object literal.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}
