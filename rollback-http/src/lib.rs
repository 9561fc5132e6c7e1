#![doc = include_str!("../README.md")]

mod backend;
mod classify;
mod config;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "openapi")]
mod openapi;
#[cfg(feature = "server")]
pub mod server;
mod wire;

pub use self::backend::HttpBackend;
pub use self::config::{Config, UndoneBy};
#[cfg(feature = "openapi")]
pub use self::openapi::openapi;
pub use rollback_outbound::{Plaintext, SetupError};
