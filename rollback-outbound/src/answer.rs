//! An answer: its status, and as much of its body as can be trusted to be read.

use crate::exchange::Lost;
use crate::redact::Redactor;
use rollback_core::Label;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// An answer to a request. Credentials have been taken out of its body and headers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long to wait before the next request, if it said so in seconds.
    pub retry_after: Option<Duration>,
    /// What it says.
    pub body: Body,
    headers: BTreeMap<&'static str, String>,
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a rule of an API decides on each")]
pub enum Body {
    /// No bytes at all.
    Empty,
    /// Well-formed JSON, from an answer that says that it is JSON, or does not say what it is.
    Json(Value),
    /// A page for people. Gateways, load balancers and login portals answer with one.
    Page,
    /// All of it came, and it is not JSON.
    Unreadable(Unreadable),
    /// Not all of it came.
    Cut(Cut),
}

/// Why a body that came whole is not read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// It says that it is JSON, and it is not.
    #[error("it is not well-formed JSON")]
    Malformed,
    /// It says that it is something else, such as plain text.
    #[error("it does not say that it is JSON")]
    NotJson,
}

/// Why a body did not come whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Cut {
    /// It has more bytes than this. Reading stopped there.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// It broke off.
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl Answer {
    /// An answer with this status and body, as tests of a rule need it.
    #[must_use]
    pub const fn new(status: u16, body: Body) -> Self {
        Self { status, retry_after: None, body, headers: BTreeMap::new() }
    }

    /// Reads an answer whose body came whole: pure, for any bytes. `content_type` is its header,
    /// absent where the answer has none.
    ///
    /// ```
    /// use rollback_outbound::{Answer, Body, Redactor};
    ///
    /// let none = Redactor::default();
    /// let gateway = Answer::parse(404, Some("text/html"), b"<html>", &none);
    /// assert_eq!(gateway.body, Body::Page);
    /// ```
    #[must_use]
    pub fn parse(
        status: u16,
        content_type: Option<&str>,
        body: &[u8],
        redactor: &Redactor,
    ) -> Self {
        Self::new(status, understood(Media::of(content_type), body, redactor))
    }

    /// The same answer with how long to wait.
    #[must_use]
    pub const fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    /// The same answer with a header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    /// A header that [`ClientConfig::kept_headers`](crate::ClientConfig::kept_headers) names, if the
    /// answer has it as readable text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The body as a type of the API.
    ///
    /// # Errors
    ///
    /// Why it cannot be read, in words for a chat. Whether the request was carried out is unknown.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        match &self.body {
            Body::Json(value) => T::deserialize(value).map_err(|error| error.to_string()),
            Body::Empty => Err("it has no body".to_owned()),
            Body::Page => Err("it is a page of HTML".to_owned()),
            Body::Unreadable(why) => Err(why.to_string()),
            Body::Cut(why) => Err(why.to_string()),
        }
    }

    /// A text field at the top of the body, if it is there and not empty.
    ///
    /// ```
    /// use rollback_outbound::{Answer, Redactor};
    ///
    /// let body = br#"{"message": "Not Found", "status": "404"}"#;
    /// let answer = Answer::parse(404, Some("application/json"), body, &Redactor::default());
    /// assert_eq!(answer.text("message"), Some("Not Found"));
    /// ```
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        let Body::Json(value) = &self.body else { return None };
        value.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// What a person is told of it: `words`, cut to what a chat shows; where there are none, its
    /// status.
    #[must_use]
    pub fn words(&self, words: Option<String>) -> String {
        let words = words.unwrap_or_else(|| format!("it answered {}", self.status));
        Label::new(words).as_str().to_owned()
    }
}

/// What a body says, without the credentials in it.
fn understood(media: Media, bytes: &[u8], redactor: &Redactor) -> Body {
    if bytes.is_empty() {
        return Body::Empty;
    }
    let is_markup = bytes.trim_ascii_start().first() == Some(&b'<');
    match media {
        Media::Html => Body::Page,
        Media::Json | Media::Unsaid | Media::Other if is_markup => Body::Page,
        Media::Json | Media::Unsaid => serde_json::from_slice(bytes)
            .map_or(Body::Unreadable(Unreadable::Malformed), |value| {
                Body::Json(redactor.json(value))
            }),
        Media::Other => Body::Unreadable(Unreadable::NotJson),
    }
}

/// What an answer says it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Media {
    Json,
    /// It does not say: what reads as JSON is JSON.
    Unsaid,
    Html,
    Other,
}

impl Media {
    fn of(content_type: Option<&str>) -> Self {
        let Some(said) = content_type else { return Self::Unsaid };
        let kind = said.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        if kind == "application/json" || kind.ends_with("+json") {
            Self::Json
        } else if kind.contains("html") {
            Self::Html
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rollback_core::LABEL_LENGTH_MAX;
    use serde_json::json;

    #[test]
    fn what_an_answer_says_it_is_decides_how_it_is_read() {
        for (said, media) in [
            ("application/json", Media::Json),
            ("Application/JSON; charset=utf-8", Media::Json),
            ("application/problem+json", Media::Json),
            ("text/html; charset=utf-8", Media::Html),
            ("application/xhtml+xml", Media::Html),
            ("text/plain", Media::Other),
            ("application/jsonp", Media::Other),
            ("", Media::Other),
        ] {
            assert_eq!(Media::of(Some(said)), media, "{said}");
        }
        assert_eq!(Media::of(None), Media::Unsaid);
    }

    #[test]
    fn a_page_is_a_page_whatever_it_says_it_is() {
        let page: &[u8] = b"\r\n <!doctype html><title>502</title>";
        for said in [None, Some("application/json"), Some("text/plain"), Some("text/html")] {
            assert_eq!(Answer::parse(404, said, page, &Redactor::default()).body, Body::Page);
        }
        for (said, bytes, body) in [
            (Some("text/html"), &b"{}"[..], Body::Page),
            (Some("text/html"), b"", Body::Empty),
            (None, b"{\"a\":1}", Body::Json(json!({"a": 1}))),
            (None, b"404 page not found", Body::Unreadable(Unreadable::Malformed)),
            (Some("text/plain"), b"{}", Body::Unreadable(Unreadable::NotJson)),
        ] {
            assert_eq!(Answer::parse(404, said, bytes, &Redactor::default()).body, body);
        }
    }

    #[test]
    fn a_kept_header_is_read_by_its_name() {
        let answer = Answer::new(201, Body::Empty).with_header("location", "/runs/7");
        assert_eq!(answer.header("location"), Some("/runs/7"));
        assert_eq!(answer.header("etag"), None);
    }

    #[test]
    fn a_person_is_told_the_words_cut_to_a_label_or_else_the_status() {
        let answer = Answer::new(503, Body::Empty);
        assert_eq!(answer.words(None), "it answered 503");
        assert_eq!(answer.words(Some("busy until noon".to_owned())), "busy until noon");
        let long = "x".repeat(LABEL_LENGTH_MAX + 1);
        assert_eq!(answer.words(Some(long.clone())), Label::new(long).as_str());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_nothing_but_json_is_read(
            said in proptest::option::of("[a-z/+; ]{0,20}"),
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let answer = Answer::parse(200, said.as_deref(), &bytes, &Redactor::default());
            let is_json = serde_json::from_slice::<Value>(&bytes).is_ok();
            prop_assert!(is_json || answer.json::<Value>().is_err());
        }
    }
}
