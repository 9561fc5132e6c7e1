//! What a site says about its CD system.

use rollback_core::ports::{CompareAndSet, Fence};
use rollback_outbound::{BaseUrl, ClientConfig, Credential, Plaintext};
use secrecy::SecretString;
use std::fmt;
use std::time::Duration;

/// How long one request may take unless a site says otherwise: DESIGN's `cd_timeout`.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read: a history of a thousand revisions with their migrations.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

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
        let base = BaseUrl::parse(&self.url, self.plaintext);
        let url = base.map_or_else(|_why| "[not usable]".to_owned(), |base| base.to_string());
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

    /// As the client needs it.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new(&self.url, Credential::bearer(self.token.clone()));
        config.plaintext = self.plaintext;
        config.timeout = self.timeout;
        config.answer_bytes_max = ANSWER_BYTES_MAX;
        config.user_agent = concat!("rollback-http/", env!("CARGO_PKG_VERSION")).to_owned();
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_outbound::{Client, SetupError};

    #[test]
    fn a_site_decides_whether_the_token_may_travel_readable() {
        let mut config = Config::new("http://cd.svc", "t");
        assert_eq!(Client::new(&config.client()).unwrap_err(), SetupError::UrlNotSecure);
        config.plaintext = Plaintext::Anywhere;
        assert!(Client::new(&config.client()).is_ok());
    }

    #[test]
    fn a_token_that_cannot_be_one_is_refused_and_never_shown() {
        for token in ["", "can ary", "canary\n", "canäry"] {
            let config = Config::new("https://cd.example.com", token);
            let error = Client::new(&config.client()).unwrap_err();
            assert_eq!(error, SetupError::TokenMalformed, "{token:?}");
        }
        for url in ["https://cd.example.com", "https://ana:canary@cd.example.com", "canary"] {
            let config = Config::new(url, "canary");
            assert!(!format!("{config:?}").contains("canary"), "{url}");
        }
    }
}
