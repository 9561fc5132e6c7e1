//! The routes, and what they need.

use crate::limits::ApiLimits;
use crate::metrics::Metrics;
use crate::problem::{self, Problem};
use crate::rate::Bucket;
use crate::recent::Recent;
use crate::tokens::{Caller, Tokens};
use crate::{audit, changes, deploys, events, rollbacks, services, standing};
use axum::Router;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use rollback_engine::Engine;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

/// How many audit chains are verified at once: each reads the whole log.
const VERIFICATIONS_MAX: usize = 2;

/// The HTTP API of a rollback service.
#[derive(Clone, Debug)]
pub struct Api {
    engine: Engine,
    tokens: Tokens,
    limits: ApiLimits,
    metrics: Metrics,
}

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) tokens: Tokens,
    pub(crate) limits: ApiLimits,
    pub(crate) metrics: Metrics,
    /// One for each token, in their order.
    buckets: Vec<Bucket>,
    strangers: Bucket,
    /// Turns for event streams: of everybody, and of each token.
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) streams_of: Vec<Arc<Semaphore>>,
    pub(crate) verifications: Semaphore,
    pub(crate) readiness: Recent<Result<(), String>>,
    pub(crate) looked: Recent<()>,
}

pub(crate) type Site = State<Arc<Shared>>;

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
    pub fn router(self) -> Router {
        self.with(Router::new())
    }

    /// The routes together with the host's own: Slack's callbacks, say. What none of them matches
    /// is answered with problem details, and all of them are counted.
    ///
    /// # Panics
    ///
    /// As [`Router::merge`] does, when `others` has one of these routes or a fallback.
    pub fn with(self, others: Router) -> Router {
        let metrics = self.metrics.clone();
        let shared = Arc::new(self.share());
        let open = Router::new()
            .route("/healthz", get(standing::healthz))
            .route("/readyz", get(standing::readyz))
            .route("/metrics", get(standing::metrics))
            .with_state(Arc::clone(&shared));
        let ours = open
            .merge(v1(&shared))
            .fallback(problem::nothing_here)
            .method_not_allowed_fallback(problem::method_not_allowed)
            .layer(map_response(|response: Response| async { problem::shaped(response) }));
        ours.merge(others).layer(from_fn_with_state(metrics, count))
    }

    fn share(self) -> Shared {
        let Self { engine, tokens, limits, metrics } = self;
        let now = Instant::now();
        let bucket = || Bucket::new(limits.burst, limits.per_second, now);
        let streams = || Arc::new(Semaphore::new(limits.streams_per_token));
        Shared {
            buckets: (0..tokens.count()).map(|_token| bucket()).collect(),
            strangers: Bucket::new(limits.strangers_burst, limits.strangers_per_second, now),
            streams: Arc::new(Semaphore::new(limits.streams_max)),
            streams_of: (0..tokens.count()).map(|_token| streams()).collect(),
            verifications: Semaphore::new(VERIFICATIONS_MAX),
            readiness: Recent::default(),
            looked: Recent::default(),
            engine,
            tokens,
            limits,
            metrics,
        }
    }
}

/// Everything that wants a token, what is not there included.
fn v1(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/deploys", post(deploys::report))
        .route("/v1/services/{service}/{environment}", get(services::show))
        .route(
            "/v1/services/{service}/{environment}/freezes/{name}",
            post(changes::freeze).delete(changes::unfreeze),
        )
        .route(
            "/v1/services/{service}/{environment}/bad-revisions/{revision}",
            post(changes::mark_bad).delete(changes::unmark_bad),
        )
        .route("/v1/drills", post(rollbacks::drill))
        .route("/v1/rollbacks", post(rollbacks::propose).get(rollbacks::list))
        .route("/v1/rollbacks/{id}", get(rollbacks::show))
        .route("/v1/rollbacks/{id}/events", get(events::follow))
        .route("/v1/status", get(standing::status))
        .route("/v1/audit", get(audit::list))
        .route("/v1/audit/verify", get(audit::verify))
        .route("/v1", any(problem::nothing_here))
        .route("/v1/", any(problem::nothing_here))
        .route("/v1/{*rest}", any(problem::nothing_here))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(shared), admit))
        .with_state(Arc::clone(shared))
}

/// Lets a request in whose token is one of ours, if it does not come too often.
async fn admit(State(shared): Site, mut request: Request, next: Next) -> Response {
    match shared.admit(request.headers(), Instant::now()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            // What is behind a token is nobody else's to keep.
            let headers = response.headers_mut();
            headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
            response
        }
        Err(problem) => problem.into_response(),
    }
}

impl Shared {
    fn admit(&self, headers: &HeaderMap, now: Instant) -> Result<Caller, Problem> {
        let presented = bearer(headers);
        let caller = presented.as_deref().and_then(|token| self.tokens.find(token));
        let Some(caller) = caller else {
            self.strangers.take(now).map_err(|after| {
                Problem::too_many("too many requests without a good token; wait", after)
            })?;
            return Err(Problem::unauthorized(headers.contains_key(AUTHORIZATION)));
        };
        let bucket = usize::try_from(caller.0).ok().and_then(|place| self.buckets.get(place));
        let taken = bucket.map_or(Ok(()), |bucket| bucket.take(now));
        taken.map_err(|after| {
            Problem::too_many("too many requests with this token; nothing was changed", after)
        })?;
        Ok(caller)
    }
}

/// The token of a request that presents exactly one.
fn bearer(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii().to_vec())
}

/// A handler that wants a caller cannot be reached without one.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().copied().ok_or_else(|| Problem::unauthorized(false))
    }
}

/// Counts a request by the route that matched it: an address is anybody's to invent, a route is
/// not.
async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let began = Instant::now();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let (status, took) = (response.status(), began.elapsed());
    tracing::debug!(%method, route, status = status.as_u16(), ?took, "answered");
    metrics.answered(&method, route, status, took);
    response
}
