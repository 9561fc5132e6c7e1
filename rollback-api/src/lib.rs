#![doc = include_str!("../README.md")]

mod api;
mod audit;
mod body;
mod changes;
mod connections;
mod deploys;
mod events;
mod fields;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod http_health;
mod limits;
mod metrics;
mod problem;
mod query;
mod rate;
mod recent;
mod report;
mod rollbacks;
mod serve;
mod services;
mod standing;
mod tokens;
mod wire;

pub use self::api::Api;
pub use self::connections::Connections;
pub use self::http_health::{HealthSetupError, HttpHealth};
pub use self::limits::{ApiLimits, ServeLimits};
pub use self::metrics::Metrics;
pub use self::serve::{serve, serve_counted};
pub use self::tokens::{TokenError, Tokens};

#[cfg(test)]
mod openapi;

/// The OpenAPI 3.1 document of the API.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// The JSON Schema of an audit record: of each line of `GET /v1/audit`, and of each event's data.
pub const AUDIT_RECORD_SCHEMA: &str = include_str!("../audit-record.schema.json");
