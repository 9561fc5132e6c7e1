#![doc = include_str!("../README.md")]

mod backend;
mod classify;
mod client;
mod config;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "openapi")]
mod openapi;
mod redact;
#[cfg(feature = "server")]
pub mod server;
mod wire;

pub use self::backend::HttpBackend;
pub use self::config::{Config, Plaintext, UndoneBy};
pub use self::error::SetupError;
#[cfg(feature = "openapi")]
pub use self::openapi::openapi;
