//! One request: what is asked, and where below the address of the API.

use crate::encode::{encoded, segment};
use crate::exchange::Unsent;
use reqwest::Method;
use serde::Serialize;
use std::fmt;

/// One request. `Debug` shows its method and its path, and neither query, headers nor body.
///
/// A path is given as its parts, each a name: none can leave its place, whatever is in it. A name
/// that no encoding keeps in its place (empty, `.`, `..`, with control characters) makes the request
/// one that is not sent.
///
/// ```
/// use rollback_outbound::Request;
///
/// let request = Request::get(["apps", "a/../b?c"]).query("project", "shop & co");
/// assert_eq!(format!("{request:?}"), "GET /apps/a%2F..%2Fb%3Fc");
/// ```
#[must_use]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) path: Result<String, Unsent>,
    pub(crate) query: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Result<Vec<u8>, Unsent>>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_ref().map_or("[no path]", String::as_str);
        write!(f, "{} {path}", self.method)
    }
}

impl Request {
    /// Reads something.
    pub fn get<P: AsRef<str>>(path: impl IntoIterator<Item = P>) -> Self {
        Self::new(Method::GET, path)
    }

    /// Makes something, or starts it.
    pub fn post<P: AsRef<str>>(path: impl IntoIterator<Item = P>) -> Self {
        Self::new(Method::POST, path)
    }

    /// Writes something as a whole.
    pub fn put<P: AsRef<str>>(path: impl IntoIterator<Item = P>) -> Self {
        Self::new(Method::PUT, path)
    }

    /// Changes a part of something.
    pub fn patch<P: AsRef<str>>(path: impl IntoIterator<Item = P>) -> Self {
        Self::new(Method::PATCH, path)
    }

    /// Deletes something, or stops it.
    pub fn delete<P: AsRef<str>>(path: impl IntoIterator<Item = P>) -> Self {
        Self::new(Method::DELETE, path)
    }

    fn new<P: AsRef<str>>(method: Method, path: impl IntoIterator<Item = P>) -> Self {
        let parts = path.into_iter().map(|name| segment(name.as_ref()));
        let path =
            parts.map(|part| part.map(|part| format!("/{part}"))).collect::<Option<String>>();
        let path = path.ok_or(Unsent::BadSegment);
        Self { method, path, query: String::new(), headers: Vec::new(), body: None }
    }

    /// With a parameter in the query. Name and value are encoded.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        if !self.query.is_empty() {
            self.query.push('&');
        }
        self.query.push_str(&format!("{}={}", encoded(name), encoded(value)));
        self
    }

    /// With a header. One that cannot be written makes the request one that is not sent. No
    /// credentials: see [`Credential`](crate::Credential).
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With this value as JSON. One that cannot be written makes the request one that is not sent.
    pub fn json<T: Serialize + ?Sized>(self, body: &T) -> Self {
        let body = serde_json::to_vec(body).map_err(|_may_quote_the_value| Unsent::Unwritable);
        let body = Some(body);
        Self { body, ..self }.header("content-type", "application/json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_its_place_in_the_path() {
        let hostile = "a/../b?c#d%2f é";
        let request = Request::get(["services", hostile, "environments", "x"]);
        let place = "/services/a%2F..%2Fb%3Fc%23d%252f%20%C3%A9/environments/x";
        assert_eq!(request.path.as_deref(), Ok(place));
        for name in ["", ".", "..", "a\r\nb"] {
            assert_eq!(Request::get(["services", name, "x"]).path, Err(Unsent::BadSegment));
        }
    }

    #[test]
    fn a_value_never_leaves_its_place_in_the_query() {
        let request = Request::get(["apps"]).query("a", "b&c=d#e\n").query("f g", "");
        assert_eq!(request.query, "a=b%26c%3Dd%23e%0A&f%20g=");
    }

    #[test]
    fn debug_shows_where_and_nothing_of_what() {
        let request = Request::post(["apps"])
            .query("x", "canary")
            .header("idempotency-key", "canary")
            .json(&serde_json::json!({"canary": 1}));
        assert_eq!(format!("{request:?}"), "POST /apps");
    }
}
