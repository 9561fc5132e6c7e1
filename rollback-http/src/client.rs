//! One request, one answer: nothing here is sent twice, followed elsewhere, or read without bound.

use crate::classify::{Answer, Body, Seen};
use crate::config::Config;
use crate::error::SetupError;
use crate::redact::redacted;
use bytes::BytesMut;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, Response, Url, redirect, retry};
use rollback_core::{RollbackId, in_words};
use secrecy::{ExposeSecret as _, SecretString};
use std::fmt;
use std::time::Duration;

/// The largest answer that is read: a history of a thousand revisions with their migrations.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// The longest time to connect, whatever a request may take.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// Speaks to one CD system.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: SecretString,
    timeout: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base.as_str())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// One request, written.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    method: Method,
    path: &'a [&'a str],
    order: Option<(&'a RollbackId, Vec<u8>)>,
}

impl<'a> Ask<'a> {
    pub(crate) const fn get(path: &'a [&'a str]) -> Self {
        Self { method: Method::GET, path, order: None }
    }

    pub(crate) const fn delete(path: &'a [&'a str]) -> Self {
        Self { method: Method::DELETE, path, order: None }
    }

    pub(crate) const fn post(path: &'a [&'a str]) -> Self {
        Self { method: Method::POST, path, order: None }
    }

    /// With an order, under its idempotency key.
    pub(crate) fn carrying(self, key: &'a RollbackId, order: Vec<u8>) -> Self {
        Self { order: Some((key, order)), ..self }
    }
}

impl Client {
    pub(crate) fn new(config: &Config) -> Result<Self, SetupError> {
        let base = config.base()?;
        let token = config.checked_token()?.clone();
        let http = reqwest::Client::builder()
            .user_agent(concat!("rollback-http/", env!("CARGO_PKG_VERSION")))
            // What fails before there is a connection is known not to have been sent, so it has
            // to fail before the whole request does.
            .connect_timeout(CONNECT_MAX.min(config.timeout / 2))
            .timeout(config.timeout)
            // The token goes to the CD system: not elsewhere, and to nobody in between.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            // A connection is used once. No answer is taken for another request's, and no request
            // is written to a connection that has died meanwhile and then silently sent again.
            .pool_max_idle_per_host(0)
            .retry(retry::never())
            .http1_only()
            .build()
            .map_err(|error| {
                tracing::error!(error = %error.without_url(), "no HTTP client");
                SetupError::HttpClient
            })?;
        Ok(Self { http, base, token, timeout: config.timeout })
    }

    /// Sends it once.
    pub(crate) async fn ask(&self, ask: Ask<'_>) -> Seen {
        let Some(url) = self.url(ask.path) else {
            return Seen::Unsent("the address cannot have a path".to_owned());
        };
        let mut request = self
            .http
            .request(ask.method, url)
            .bearer_auth(self.token.expose_secret())
            .header(ACCEPT, "application/json, application/problem+json");
        if let Some((key, body)) = ask.order {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .header("idempotency-key", key.as_str())
                .body(body);
        }
        match request.send().await {
            Ok(response) => Seen::Answered(self.read(response).await),
            Err(error) => self.broken(&error),
        }
    }

    /// Names are percent-encoded one by one: none can leave its place.
    fn url(&self, path: &[&str]) -> Option<Url> {
        let mut url = self.base.clone();
        url.path_segments_mut().ok()?.pop_if_empty().push("v1").extend(path);
        Some(url)
    }

    /// What a broken request proves. Only a connection that was never made proves that nothing
    /// was sent.
    fn broken(&self, error: &reqwest::Error) -> Seen {
        if error.is_connect() {
            let why =
                if error.is_timeout() { "it did not answer in time" } else { "no connection" };
            Seen::Unsent(why.to_owned())
        } else if error.is_builder() {
            Seen::Unsent("the request could not be written".to_owned())
        } else {
            Seen::Lost(self.lost(error))
        }
    }

    fn lost(&self, error: &reqwest::Error) -> String {
        if error.is_timeout() {
            format!("no answer within {}", in_words(self.timeout))
        } else {
            "the connection was lost".to_owned()
        }
    }

    async fn read(&self, response: Response) -> Answer {
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let media = Media::of(response.headers());
        let body = match self.bounded(response).await {
            Err(why) => Body::Unreadable(why),
            Ok(bytes) => understood(media, &bytes, self.token.expose_secret()),
        };
        Answer { status, retry_after, body }
    }

    async fn bounded(&self, mut response: Response) -> Result<BytesMut, String> {
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(None) => return Ok(body),
                Ok(Some(chunk)) if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX => {
                    return Err(format!("it is longer than {ANSWER_BYTES_MAX} bytes"));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Err(error) => return Err(self.lost(&error)),
            }
        }
    }
}

/// What a body says, without what nobody may read in it.
pub(crate) fn understood(media: Media, bytes: &[u8], token: &str) -> Body {
    if bytes.is_empty() {
        return Body::Empty;
    }
    match media {
        Media::Json | Media::Unsaid => match serde_json::from_slice(bytes) {
            Ok(value) => Body::Json(redacted(value, token)),
            Err(_no_detail) => Body::Unreadable("it is not well-formed JSON".to_owned()),
        },
        Media::Html => Body::Page,
        Media::Other => Body::Unreadable("it does not say that it is JSON".to_owned()),
    }
}

/// What an answer says it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Media {
    Json,
    /// It does not say: what reads as JSON is JSON.
    Unsaid,
    Html,
    Other,
}

impl Media {
    fn of(headers: &HeaderMap) -> Self {
        let Some(said) = headers.get(CONTENT_TYPE) else { return Self::Unsaid };
        let said = said.to_str().unwrap_or_default();
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

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn client(base: &str) -> Client {
        Client::new(&Config::new(base, "canary-token")).unwrap()
    }

    #[test]
    fn a_name_never_leaves_its_place_in_the_path() {
        let hostile = "a/../b?c#d%2f é";
        for base in ["https://cd.example.com/api", "https://cd.example.com/api/"] {
            let url = client(base).url(&["services", hostile, "environments", "x"]).unwrap();
            let place = "https://cd.example.com/api/v1/services/a%2F..%2Fb%3Fc%23d%252f%20%C3%A9/environments/x";
            assert_eq!(url.as_str(), place);
        }
    }

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
            let value = HeaderValue::from_str(said).unwrap();
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value)]);
            assert_eq!(Media::of(&headers), media, "{said}");
        }
        assert_eq!(Media::of(&HeaderMap::new()), Media::Unsaid);
    }

    #[test]
    fn debug_shows_no_token() {
        assert!(!format!("{:?}", client("https://cd.example.com")).contains("canary"));
    }
}
