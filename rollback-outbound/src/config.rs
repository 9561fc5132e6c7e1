//! Where an API is, and how to speak to it.

use crate::credential::Credential;
use crate::error::SetupError;
use reqwest::Url;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// How long one request may take unless a site says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time to connect unless a site says otherwise.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// The largest answer that is read: a history of a thousand revisions with their migrations.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Whether a credential may travel where it can be read on the way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "encrypted or not")]
pub enum Plaintext {
    /// `http://` is for this machine alone.
    LoopbackOnly,
    /// `http://` goes anywhere: something else encrypts, such as a service mesh.
    Anywhere,
}

/// An address below which an API is: scheme, host, port and path. It holds no secret, so it may be
/// shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BaseUrl(Url);

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl BaseUrl {
    /// Reads an address. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`SetupError::UrlMalformed`], [`SetupError::UrlNotPlain`] for one with a user, a password, a
    /// query or a fragment, and [`SetupError::UrlNotSecure`] where `plaintext` does not allow
    /// `http://`.
    pub fn parse(url: &str, plaintext: Plaintext) -> Result<Self, SetupError> {
        let base = Url::parse(url).map_err(|_may_hold_a_secret| SetupError::UrlMalformed)?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(SetupError::UrlMalformed);
        }
        let plain = !base.username().is_empty()
            || base.password().is_some()
            || base.query().is_some()
            || base.fragment().is_some();
        if plain {
            return Err(SetupError::UrlNotPlain);
        }
        let allowed = match plaintext {
            Plaintext::Anywhere => true,
            Plaintext::LoopbackOnly => base.scheme() == "https" || is_this_machine(&base),
        };
        if allowed { Ok(Self(base)) } else { Err(SetupError::UrlNotSecure) }
    }

    /// With a path and a query below it that are encoded.
    pub(crate) fn join(&self, path: &str, query: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        url
    }
}

fn is_this_machine(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

/// Where an API is, who we are there, and the bounds of each request.
#[derive(Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// The address below which the API is: see [`BaseUrl::parse`].
    pub url: String,
    /// Who we are.
    pub credential: Credential,
    /// Whether the credential may travel in plain text. Default on this machine alone.
    pub plaintext: Plaintext,
    /// How long one request may take, from the connection to the last byte of the answer. Default
    /// 10 s.
    pub timeout: Duration,
    /// How long the connection may take, name look-up and TLS included; at most half of `timeout`,
    /// so that a request without a connection is known not to have been sent. Default 3 s.
    pub connect_max: Duration,
    /// How many bytes of an answer's body are read. A longer one is cut, and proves nothing.
    /// Default 1 MiB.
    pub answer_bytes_max: usize,
    /// The header `User-Agent`: name and version of the adapter.
    pub user_agent: String,
    /// The header `Accept`. Default JSON and problem details.
    pub accept: String,
    /// What each request carries besides, such as the API's version. No credentials: they would not
    /// be redacted.
    pub headers: Vec<(&'static str, String)>,
    /// Which headers of an answer are kept, in lower case: see
    /// [`Answer::header`](crate::Answer::header). Default none.
    pub kept_headers: Vec<&'static str>,
    /// Certificate authorities in PEM form that are trusted besides those of the machine. Default
    /// none.
    pub authorities: Option<Vec<u8>>,
}

/// An address that cannot be used may hold a password, and is not shown.
impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = BaseUrl::parse(&self.url, self.plaintext);
        let url = base.as_ref().map_or("[not usable]", |base| base.0.as_str());
        f.debug_struct("ClientConfig")
            .field("url", &url)
            .field("credential", &self.credential)
            .field("plaintext", &self.plaintext)
            .field("timeout", &self.timeout)
            .field("connect_max", &self.connect_max)
            .field("answer_bytes_max", &self.answer_bytes_max)
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}

impl ClientConfig {
    /// An API at this address, with the defaults.
    #[must_use]
    pub fn new(url: impl Into<String>, credential: Credential) -> Self {
        Self {
            url: url.into(),
            credential,
            plaintext: Plaintext::LoopbackOnly,
            timeout: TIMEOUT,
            connect_max: CONNECT_MAX,
            answer_bytes_max: ANSWER_BYTES_MAX,
            user_agent: concat!("rollback-outbound/", env!("CARGO_PKG_VERSION")).to_owned(),
            accept: "application/json, application/problem+json".to_owned(),
            headers: Vec::new(),
            kept_headers: Vec::new(),
            authorities: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_to_an_address_that_nobody_can_read_on_the_way() {
        use SetupError::{UrlMalformed, UrlNotPlain, UrlNotSecure};
        for (url, outcome) in [
            ("https://cd.example.com", Ok(())),
            ("https://cd.example.com/api/", Ok(())),
            ("http://127.0.0.1:9000", Ok(())),
            ("http://[::1]:9000", Ok(())),
            ("http://localhost:9000", Ok(())),
            ("http://cd.example.com", Err(UrlNotSecure)),
            ("http://localhost.example.com", Err(UrlNotSecure)),
            ("http://127.0.0.1.example.com", Err(UrlNotSecure)),
            ("ftp://cd.example.com", Err(UrlMalformed)),
            ("cd.example.com", Err(UrlMalformed)),
            ("", Err(UrlMalformed)),
            ("https://ana:secret@cd.example.com", Err(UrlNotPlain)),
            ("https://secret@cd.example.com", Err(UrlNotPlain)),
            ("https://cd.example.com/?token=secret", Err(UrlNotPlain)),
            ("https://cd.example.com/#x", Err(UrlNotPlain)),
        ] {
            let read = BaseUrl::parse(url, Plaintext::LoopbackOnly);
            assert_eq!(read.map(|_base| ()), outcome, "{url}");
        }
        assert!(BaseUrl::parse("http://cd.svc", Plaintext::Anywhere).is_ok());
    }

    #[test]
    fn a_path_is_below_the_address() {
        for (base, path, query, url) in [
            ("https://cd.example.com", "/v1/x", "", "https://cd.example.com/v1/x"),
            ("https://cd.example.com/api", "/v1/a%2Fb", "", "https://cd.example.com/api/v1/a%2Fb"),
            ("https://cd.example.com/api//", "/v1", "a=%26", "https://cd.example.com/api/v1?a=%26"),
        ] {
            let base = BaseUrl::parse(base, Plaintext::LoopbackOnly).unwrap();
            assert_eq!(base.join(path, query).as_str(), url);
        }
    }

    #[test]
    fn debug_shows_no_credential_wherever_somebody_put_it() {
        for url in ["https://cd.example.com", "https://ana:canary@cd.example.com", "canary"] {
            for credential in [Credential::bearer("canary"), Credential::basic("canary", "canary")]
            {
                let shown = format!("{:?}", ClientConfig::new(url, credential));
                assert!(!shown.contains("canary"), "{shown}");
            }
        }
    }
}
