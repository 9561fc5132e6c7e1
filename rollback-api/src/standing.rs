//! Whether the process lives and is ready, and what it has counted, without a token; and with one,
//! what blocks a rollback now.

use crate::api::Site;
use crate::metrics::Format;
use crate::problem::Problem;
use crate::wire::{Health, HealthReport};
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use rollback_engine::{Engine, NotReady};
use std::time::Duration;

/// How long the store may take to show that it can be written.
const STORE_WAIT: Duration = Duration::from_secs(5);

/// `GET /healthz`
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// `GET /readyz`
pub(crate) async fn readyz(State(shared): Site) -> Result<Json<Health>, Problem> {
    let ready = shared.readiness.get(ready(&shared.engine)).await;
    ready.map_err(|why| Problem::unavailable(why, Duration::from_secs(1)))?;
    Ok(Json(Health { status: "ready" }))
}

async fn ready(engine: &Engine) -> Result<(), String> {
    match tokio::time::timeout(STORE_WAIT, engine.ready()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            if let NotReady::Store(cause) = &error {
                tracing::warn!(error = %cause, "the store cannot be written");
            }
            Err(error.to_string())
        }
        Err(_elapsed) => Err("the store did not answer in time".into()),
    }
}

/// `GET /v1/status`
pub(crate) async fn status(State(shared): Site) -> Json<HealthReport> {
    // A store that hangs is what this is asked for: it is named, and not waited for.
    let looked = tokio::time::timeout(STORE_WAIT, shared.engine.health()).await;
    let status = looked.unwrap_or_else(|_elapsed| shared.engine.health_without_store(STORE_WAIT));
    Json(HealthReport::from(&status))
}

/// `GET /metrics`
pub(crate) async fn metrics(State(shared): Site, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::wanted(accept);
    shared.looked.get(shared.metrics.look(&shared.engine)).await;
    ([(CONTENT_TYPE, format.content_type())], shared.metrics.text(format))
}
