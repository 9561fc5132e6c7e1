//! One request, one answer: nothing here is sent twice, followed elsewhere, or read without bound.

use crate::answer::{Answer, Body, Cut};
use crate::config::{BaseUrl, ClientConfig};
use crate::credential::Credential;
use crate::error::SetupError;
use crate::exchange::{Exchange, Lost, Unsent};
use crate::redact::Redactor;
use crate::request::Request;
use bytes::BytesMut;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use reqwest::{Certificate, Response, redirect, retry};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Speaks to one API. Clones share what they need and cost little.
///
/// A request is sent once, over a connection of its own. No redirect is followed, no proxy of the
/// environment is used, and nothing is tried again: whether to do that is for the caller to say, who
/// knows what the request does.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: BaseUrl,
    authorization: Option<HeaderValue>,
    redactor: Arc<Redactor>,
    timeout: Duration,
    answer_bytes_max: usize,
    kept_headers: Arc<[&'static str]>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base.to_string())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Sets a client up. Sends nothing.
    ///
    /// # Errors
    ///
    /// [`SetupError`] when the address, the credential, a header or a certificate cannot be used.
    pub fn new(config: &ClientConfig) -> Result<Self, SetupError> {
        let base = BaseUrl::parse(&config.url, config.plaintext)?;
        let authorization = config.credential.header()?;
        let http = reqwest::Client::builder()
            .user_agent(config.user_agent.as_str())
            .default_headers(headers(config)?)
            // What fails before there is a connection is known not to have been sent, so it has
            // to fail before the whole request does.
            .connect_timeout(config.connect_max.min(config.timeout / 2))
            .timeout(config.timeout)
            .tls_certs_merge(authorities(config)?)
            // The credential goes to the API: not elsewhere, and to nobody in between.
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
        Ok(Self {
            http,
            base,
            authorization,
            redactor: Arc::new(config.credential.redactor()),
            timeout: config.timeout,
            answer_bytes_max: config.answer_bytes_max,
            kept_headers: config.kept_headers.as_slice().into(),
        })
    }

    /// The same client with another credential, for one that expires.
    ///
    /// # Errors
    ///
    /// [`SetupError`] when the credential cannot be used.
    pub fn with_credential(&self, credential: &Credential) -> Result<Self, SetupError> {
        let authorization = credential.header()?;
        let redactor = Arc::new(credential.redactor());
        Ok(Self { authorization, redactor, ..self.clone() })
    }

    /// Sends a request once, and reads its answer within the bounds of the
    /// [`ClientConfig`].
    ///
    /// Dropped while it is awaited, the request may have been sent: what it does is in doubt.
    pub async fn send(&self, request: Request) -> Exchange {
        let Request { method, path, query, headers, body } = request;
        let (path, body) = match (path, body.transpose()) {
            (Ok(path), Ok(body)) => (path, body),
            (Err(why), _) | (_, Err(why)) => return Exchange::Unsent(why),
        };
        let mut request = self.http.request(method, self.base.join(&path, &query));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        match request.send().await {
            Ok(response) => Exchange::Answered(self.read(response).await),
            Err(error) => self.broken(&error),
        }
    }

    /// What a broken request proves. Only a connection that was never made proves that nothing
    /// was sent.
    fn broken(&self, error: &reqwest::Error) -> Exchange {
        if error.is_connect() {
            let is_late = error.is_timeout();
            Exchange::Unsent(if is_late { Unsent::ConnectTimeout } else { Unsent::NoConnection })
        } else if error.is_builder() {
            Exchange::Unsent(Unsent::Unwritable)
        } else {
            Exchange::Lost(self.lost(error))
        }
    }

    fn lost(&self, error: &reqwest::Error) -> Lost {
        if error.is_timeout() { Lost::Timeout(self.timeout) } else { Lost::Connection }
    }

    async fn read(&self, response: Response) -> Answer {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let answer = match self.bounded(response).await {
            Err(why) => Answer::new(status, Body::Cut(why)),
            Ok(bytes) => {
                // A header that is not text says something, and not that it is JSON.
                let said = headers.get(CONTENT_TYPE).map(|it| it.to_str().unwrap_or_default());
                Answer::parse(status, said, &bytes, &self.redactor)
            }
        };
        let answer = answer.with_retry_after(retry_after(&headers));
        self.kept_headers.iter().fold(answer, |answer, name| {
            match headers.get(*name).and_then(|value| value.to_str().ok()) {
                Some(value) => answer.with_header(name, self.redactor.text(value)),
                None => answer,
            }
        })
    }

    async fn bounded(&self, mut response: Response) -> Result<BytesMut, Cut> {
        let max = self.answer_bytes_max;
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(None) => return Ok(body),
                Ok(Some(chunk)) if body.len().saturating_add(chunk.len()) > max => {
                    return Err(Cut::TooLong(max));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Err(error) => return Err(Cut::Lost(self.lost(&error))),
            }
        }
    }
}

/// What each request carries.
fn headers(config: &ClientConfig) -> Result<HeaderMap, SetupError> {
    let malformed = SetupError::HeaderMalformed;
    let mut headers = HeaderMap::new();
    let accept = HeaderValue::from_str(&config.accept).map_err(|_no_detail| malformed)?;
    headers.insert(ACCEPT, accept);
    for (name, value) in &config.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_no_detail| malformed)?;
        let value = HeaderValue::from_str(value).map_err(|_no_detail| malformed)?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn authorities(config: &ClientConfig) -> Result<Vec<Certificate>, SetupError> {
    let Some(pem) = &config.authorities else { return Ok(Vec::new()) };
    match Certificate::from_pem_bundle(pem) {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(SetupError::CertificateMalformed),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ClientConfig {
        ClientConfig::new("https://cd.example.com", Credential::bearer("canary-token"))
    }

    #[test]
    fn debug_shows_no_token() {
        let client = Client::new(&config()).unwrap();
        assert!(!format!("{client:?}").contains("canary"));
    }

    #[test]
    fn what_cannot_be_used_is_refused_before_anything_is_sent() {
        let mut bad_header = config();
        bad_header.headers = vec![("x-version", "1\r\nx-more: 2".to_owned())];
        let mut bad_name = config();
        bad_name.headers = vec![("x version", "1".to_owned())];
        for config in [bad_header, bad_name] {
            assert_eq!(Client::new(&config).unwrap_err(), SetupError::HeaderMalformed);
        }
        for pem in
            [&b""[..], b"garbage", b"-----BEGIN CERTIFICATE-----\n%%\n-----END CERTIFICATE-----\n"]
        {
            let mut config = config();
            config.authorities = Some(pem.to_vec());
            assert_eq!(Client::new(&config).unwrap_err(), SetupError::CertificateMalformed);
        }
        let client = Client::new(&config()).unwrap();
        let error = client.with_credential(&Credential::bearer("")).unwrap_err();
        assert_eq!(error, SetupError::TokenMalformed);
    }
}
