//! The routes, and what they need.

use crate::limits::ApiLimits;
use crate::metrics::Metrics;
use crate::tokens::Tokens;
use axum::Router;
use rollback_engine::Engine;

/// The HTTP API of a rollback service.
#[derive(Clone, Debug)]
pub struct Api {
    engine: Engine,
    tokens: Tokens,
    limits: ApiLimits,
    metrics: Metrics,
}

impl Api {
    /// The API of `engine` for the holders of `tokens`, with the default limits.
    #[must_use]
    pub fn new(engine: Engine, tokens: Tokens) -> Self {
        Self { engine, tokens, limits: ApiLimits::default(), metrics: Metrics::default() }
    }

    /// Takes other limits.
    #[must_use]
    pub const fn limits(mut self, limits: ApiLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Shows these metrics, which the engine's sink and the backends count into.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// The routes: `/v1/…`, `/healthz`, `/readyz`, `/metrics`.
    #[must_use]
    pub fn router(self) -> Router {
        self.with(Router::new())
    }

    /// The routes together with the host's own: Slack's callbacks, say. What none of them matches
    /// is answered with problem details, and all of them are counted.
    #[must_use]
    pub fn with(self, others: Router) -> Router {
        drop((self.engine, self.tokens, self.limits, self.metrics));
        others
    }
}
