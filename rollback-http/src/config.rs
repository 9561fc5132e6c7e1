//! What a site says about its CD system.

use crate::error::SetupError;
use reqwest::Url;
use rollback_core::ports::{CompareAndSet, Fence};
use secrecy::{ExposeSecret as _, SecretString};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// How long one request may take unless a site says otherwise: DESIGN's `cd_timeout`.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Whether the token may travel where it can be read on the way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "encrypted or not")]
pub enum Plaintext {
    /// `http://` is for this machine alone.
    LoopbackOnly,
    /// `http://` goes anywhere: something else encrypts, such as a service mesh.
    Anywhere,
}

/// Who says whether anything would undo a rollback by itself, such as a GitOps controller that
/// restores what Git has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the CD system or the site")]
pub enum UndoneBy {
    /// The CD system, in its answer about the service. One that does not say it is refused.
    AsReported,
    /// The site vouches that nothing does. What the CD system reports wins over it, and each
    /// rollback's guard says that it rests on this word.
    VouchedNothing,
}

/// Where a CD system is, how to speak to it, and what it can do.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The address below which `/v1/…` is.
    pub url: String,
    /// The bearer token.
    pub token: SecretString,
    /// How long one request may take, from the connection to the last byte of the answer. The
    /// connection alone may take half of it. Default 10 s.
    pub timeout: Duration,
    /// What the site says about comparing the live revision. The contract asks for it; a server
    /// that cannot says so in its service document, and then this must say so too. Default yes.
    pub compare_and_set: CompareAndSet,
    /// Whether the CD system can void an order that has not arrived. Checked in every preflight.
    /// Default no.
    pub fence: Fence,
    /// Who says whether anything would undo a rollback. Default the CD system.
    pub undone_by: UndoneBy,
    /// Whether the token may travel in plain text. Default on this machine alone.
    pub plaintext: Plaintext,
}

/// An address that cannot be used may hold a password, and is not shown.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.base();
        let url = base.as_ref().map_or("[not usable]", Url::as_str);
        f.debug_struct("Config")
            .field("url", &url)
            .field("timeout", &self.timeout)
            .field("compare_and_set", &self.compare_and_set)
            .field("fence", &self.fence)
            .field("undone_by", &self.undone_by)
            .field("plaintext", &self.plaintext)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// A CD system at this address, with the defaults.
    #[must_use]
    pub fn new(url: impl Into<String>, token: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            token: token.into(),
            timeout: TIMEOUT,
            compare_and_set: CompareAndSet::Yes,
            fence: Fence::No,
            undone_by: UndoneBy::AsReported,
            plaintext: Plaintext::LoopbackOnly,
        }
    }

    /// The address, parsed.
    pub(crate) fn base(&self) -> Result<Url, SetupError> {
        let base = Url::parse(&self.url).map_err(|_may_hold_a_secret| SetupError::UrlMalformed)?;
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
        let allowed = match self.plaintext {
            Plaintext::Anywhere => true,
            Plaintext::LoopbackOnly => base.scheme() == "https" || is_this_machine(&base),
        };
        if allowed { Ok(base) } else { Err(SetupError::UrlNotSecure) }
    }

    /// Checks the token without showing it.
    pub(crate) fn checked_token(&self) -> Result<&SecretString, SetupError> {
        let text = self.token.expose_secret();
        let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if good { Ok(&self.token) } else { Err(SetupError::TokenMalformed) }
    }
}

fn is_this_machine(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
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
            ("https://cd.example.com/?token=secret", Err(UrlNotPlain)),
            ("https://cd.example.com/#x", Err(UrlNotPlain)),
        ] {
            assert_eq!(Config::new(url, "t").base().map(|_url| ()), outcome, "{url}");
        }
        let mut meshed = Config::new("http://cd.svc", "t");
        meshed.plaintext = Plaintext::Anywhere;
        assert!(meshed.base().is_ok());
    }

    #[test]
    fn a_token_that_cannot_be_one_is_refused_and_never_shown() {
        for token in ["", "can ary", "canary\n", "canäry"] {
            let config = Config::new("https://cd.example.com", token);
            let error = config.checked_token().map(|_token| ()).unwrap_err();
            assert_eq!(error, SetupError::TokenMalformed, "{token:?}");
        }
        for url in ["https://cd.example.com", "https://ana:canary@cd.example.com", "canary"] {
            let config = Config::new(url, "canary");
            assert!(!format!("{config:?}").contains("canary"), "{url}");
        }
    }
}
