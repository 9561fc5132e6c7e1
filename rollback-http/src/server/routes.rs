//! The routes of the contract: from a request to a question, from its answer to a response.

use super::access::Tokens;
use super::answers::{Found, Placed, Stopped, Unanswered, Void};
use super::body::{BadField, NoOrder, order};
use super::orders::Orders;
use super::reply::{Refuse, good};
use crate::wire::{Accepted, Execution, OrderBody, Revision, Voided, Waits};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use rollback_core::{RollbackId, ServiceKey};
use std::sync::Arc;
use std::time::Duration;

/// The largest order: a reason of 3,000 characters, each written as an escape of twelve bytes, and
/// room for what the contract will know one day.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long an order may take to arrive.
const BODY_WAIT_MAX: Duration = Duration::from_secs(10);
/// The header that makes a repeat harmless.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

type Shared = State<Arc<Orders>>;
type Named<T> = Result<Path<T>, PathRejection>;

pub(super) fn router(orders: Arc<Orders>, tokens: Tokens) -> Router {
    Router::new()
        .route("/v1/services/{service}/environments/{environment}", get(service))
        .route("/v1/rollbacks", post(place))
        .route("/v1/rollbacks/{operation_id}", get(look).delete(cancel))
        .route("/v1/rollbacks/{operation_id}/fence", post(fence))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_so)
        .with_state(orders)
        // Outside of everything: without a token not even a path is told from another.
        .layer(from_fn_with_state(Arc::new(tokens), admit))
}

async fn admit(State(tokens): State<Arc<Tokens>>, request: Request, next: Next) -> Response {
    if tokens.admit(request.headers()) {
        next.run(request).await
    } else {
        Refuse::unauthorized().response()
    }
}

async fn nothing_here() -> Response {
    Refuse::new(StatusCode::NOT_FOUND, "there is nothing at this path").response()
}

async fn not_so() -> Response {
    let detail = "this path does not take this method; nothing was changed";
    Refuse::new(StatusCode::METHOD_NOT_ALLOWED, detail).response()
}

async fn service(State(orders): Shared, named: Named<(String, String)>) -> Response {
    let missing = || {
        let detail = "no such service in such an environment is known here";
        Refuse::new(StatusCode::NOT_FOUND, detail).response()
    };
    let Ok(Path((service, environment))) = named else { return missing() };
    let (Ok(service), Ok(environment)) = (service.parse(), environment.parse()) else {
        return missing();
    };
    match orders.service(&ServiceKey::new(service, environment)).await {
        Ok(Some(service)) => good(StatusCode::OK, &service),
        Ok(None) => missing(),
        Err(unanswered) => Refuse::from(unanswered).response(),
    }
}

async fn place(State(orders): Shared, headers: HeaderMap, body: Body) -> Response {
    let order = match read(&headers, body).await {
        Ok(order) => order,
        Err(refuse) => return refuse.response(),
    };
    let refuse = match orders.place(order).await {
        Placed::Accepted(receipt) => {
            return good(StatusCode::ACCEPTED, &Accepted::from(&receipt));
        }
        Placed::Refused(refusal) => Refuse::from(refusal),
        Placed::Voided => {
            let detail = "the order was voided before it came; nothing was changed";
            Refuse::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
        Placed::Another => {
            let detail = "another order has this `operation_id`; nothing was changed; a new \
                          rollback needs a new one";
            Refuse::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
        Placed::Unknown(why) => {
            let detail = format!(
                "it is not known whether the order was taken: {why}; do not send it again, look \
                 for it"
            );
            Refuse::from(Unanswered { why: detail, retry_after: None })
        }
    };
    refuse.response()
}

async fn read(headers: &HeaderMap, body: Body) -> Result<OrderBody, Refuse> {
    if !is_json(headers) {
        let detail = "an order is `application/json`; nothing was changed";
        return Err(Refuse::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let order = match order(&whole(body).await?) {
        Ok(order) => order,
        Err(NoOrder::Fields(fields)) => return Err(Refuse::fields(fields)),
        Err(NoOrder::Malformed(why)) => {
            let detail = format!("the body is not an order in JSON: {why}; nothing was changed");
            return Err(Refuse::new(StatusCode::BAD_REQUEST, detail));
        }
    };
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) if key.as_bytes() == order.operation_id.as_str().as_bytes() => Ok(order),
        (None, _) => {
            let detail = "the header `Idempotency-Key` is missing; it must be the `operation_id`; \
                          nothing was changed";
            Err(Refuse::new(StatusCode::BAD_REQUEST, detail))
        }
        (Some(_), _) => {
            let detail = "it is not what the one header `Idempotency-Key` says".to_owned();
            let pointer = "#/operation_id".to_owned();
            Err(Refuse::fields(vec![BadField { pointer, detail }]))
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = said.and_then(|said| said.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

async fn whole(body: Body) -> Result<Bytes, Refuse> {
    match tokio::time::timeout(BODY_WAIT_MAX, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_long(&error) => {
            let detail =
                format!("an order has at most {BODY_BYTES_MAX} bytes; nothing was changed");
            Err(Refuse::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
        }
        Ok(Err(_broken_off)) => {
            let detail = "the body broke off; nothing was changed";
            Err(Refuse::new(StatusCode::BAD_REQUEST, detail))
        }
        Err(_elapsed) => {
            let detail = "the body took too long; nothing was changed";
            Err(Refuse::new(StatusCode::REQUEST_TIMEOUT, detail))
        }
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// The id in the path. One that no order can have was never accepted.
fn named(named: Named<String>) -> Result<RollbackId, Refuse> {
    let id = named.ok().and_then(|Path(id)| RollbackId::parse(id).ok());
    id.ok_or_else(|| Refuse::new(StatusCode::NOT_FOUND, "no order can have such an id"))
}

fn never(why: &str) -> Response {
    Refuse::new(StatusCode::NOT_FOUND, format!("the order was not accepted: {why}")).response()
}

async fn look(State(orders): Shared, id: Named<String>) -> Response {
    let id = match named(id) {
        Ok(id) => id,
        Err(refuse) => return refuse.response(),
    };
    match orders.look(id).await {
        Ok(Found::Execution(receipt, progress)) => {
            let execution = Execution {
                execution_id: receipt.execution.to_string(),
                execution_url: receipt.url,
                waits: progress.waits_for.map(Waits::from),
                phase: progress.phase,
                message: progress.message,
                live: progress.live.map(Revision::from),
            };
            good(StatusCode::OK, &execution)
        }
        Ok(Found::Never(why)) => never(&why),
        Err(unanswered) => Refuse::from(unanswered).response(),
    }
}

async fn cancel(State(orders): Shared, id: Named<String>) -> Response {
    let id = match named(id) {
        Ok(id) => id,
        Err(refuse) => return refuse.response(),
    };
    match orders.cancel(id).await {
        Ok(Stopped::Requested(receipt)) => good(StatusCode::ACCEPTED, &Accepted::from(&receipt)),
        Ok(Stopped::TooLate(receipt)) => {
            let detail = format!("it is too late to cancel `{}`", receipt.execution);
            Refuse::new(StatusCode::CONFLICT, detail).response()
        }
        Ok(Stopped::Never(why)) => never(&why),
        Err(unanswered) => Refuse::from(unanswered).response(),
    }
}

async fn fence(State(orders): Shared, id: Named<String>) -> Response {
    let id = match named(id) {
        Ok(id) => id,
        Err(refuse) => return refuse.response(),
    };
    match orders.void(id.clone()).await {
        Ok(Void::Done) => good(StatusCode::OK, &Voided { operation_id: id, voided: true }),
        Ok(Void::Accepted) => {
            let detail = format!("`{id}` was accepted; nothing was changed; look for it");
            Refuse::new(StatusCode::CONFLICT, detail).response()
        }
        Ok(Void::CannotProve) => {
            let detail = format!(
                "`{id}` was sent on, and the CD system behind this server cannot prove that it \
                 will not come"
            );
            Refuse::new(StatusCode::NOT_IMPLEMENTED, detail).response()
        }
        Err(unanswered) => Refuse::from(unanswered).response(),
    }
}
