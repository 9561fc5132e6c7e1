#![doc = include_str!("../README.md")]

mod api;
mod audit;
mod body;
mod deploys;
mod events;
mod fields;
mod limits;
mod metrics;
mod problem;
mod query;
mod rate;
mod report;
mod rollbacks;
mod serve;
mod services;
mod standing;
mod tokens;
mod wire;

pub use self::api::Api;
pub use self::limits::{ApiLimits, ServeLimits};
pub use self::metrics::Metrics;
pub use self::serve::serve;
pub use self::tokens::{TokenError, Tokens};
