#![doc = include_str!("../README.md")]

mod api;
mod limits;
mod metrics;
mod problem;
mod serve;
mod tokens;

pub use self::api::Api;
pub use self::limits::{ApiLimits, ServeLimits};
pub use self::metrics::Metrics;
pub use self::serve::serve;
pub use self::tokens::{TokenError, Tokens};
