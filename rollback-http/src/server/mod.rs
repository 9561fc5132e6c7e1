//! The contract served over any [`CdBackend`]. See the [crate's page](crate).

mod access;
mod body;
mod file_log;
mod log;
mod orders;
mod reply;
mod routes;

use self::access::Tokens;
use self::orders::{Orders, Turns};
use rollback_core::ServiceKey;
use rollback_core::ports::CdBackend;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::file_log::FileLog;
pub use self::log::{
    Because, LogError, LogRecord, Logged, MemoryLog, OrderLog, Outcome, Received, Refusal,
};

/// How long a caller waits unless a site says otherwise. The client of this crate waits 10 s, and
/// hears a clear "not known" before it gives up.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// Why a server cannot be set up.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Empty, or with a character that cannot be sent.
    #[error("a token is empty or has a character that cannot be sent; set it again")]
    TokenMalformed,
}

/// Puts the contract over backends.
///
/// Whoever has one of its tokens can roll the services back: a server trusts that its callers made
/// every check. Put it where only they can reach it, behind TLS, and behind whatever bounds
/// connections and slow headers; bodies are bounded here.
#[derive(Debug)]
pub struct Server {
    tokens: Tokens,
    services: BTreeMap<ServiceKey, Arc<dyn CdBackend>>,
    log: Arc<dyn OrderLog>,
    answer_within: Duration,
}

impl Server {
    /// A server that accepts this token and remembers orders in this log.
    ///
    /// # Errors
    ///
    /// [`ServerError::TokenMalformed`].
    pub fn new(
        token: impl Into<SecretString>,
        log: Arc<dyn OrderLog>,
    ) -> Result<Self, ServerError> {
        let server = Self {
            tokens: Tokens::default(),
            services: BTreeMap::new(),
            log,
            answer_within: ANSWER_WITHIN,
        };
        server.token(token)
    }

    /// Accepts one more token: while an old one is replaced, both are good.
    ///
    /// # Errors
    ///
    /// [`ServerError::TokenMalformed`].
    pub fn token(mut self, token: impl Into<SecretString>) -> Result<Self, ServerError> {
        if self.tokens.accept(&token.into()) { Ok(self) } else { Err(ServerError::TokenMalformed) }
    }

    /// Serves one service in one environment by this backend.
    #[must_use]
    pub fn service(mut self, key: ServiceKey, backend: Arc<dyn CdBackend>) -> Self {
        self.services.insert(key, backend);
        self
    }

    /// How long a caller waits for an answer. Past it they hear that it is not known; what was
    /// begun goes on. Default 8 s.
    #[must_use]
    pub const fn answer_within(mut self, answer_within: Duration) -> Self {
        self.answer_within = answer_within;
        self
    }

    /// The routes, to be served as they are, or nested below a path of the host's own. They answer
    /// every path, and want a token for each.
    pub fn router(self) -> axum::Router {
        let Self { tokens, services, log, answer_within } = self;
        let orders = Orders { services, log, answer_within, turns: Turns::default() };
        routes::router(Arc::new(orders), tokens)
    }
}
