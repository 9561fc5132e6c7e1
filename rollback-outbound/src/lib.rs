#![doc = include_str!("../README.md")]

mod answer;
mod certainty;
mod client;
mod config;
mod credential;
mod encode;
mod error;
mod exchange;
mod ports;
mod redact;
mod request;

pub use self::answer::{Answer, Body, Cut, Unreadable};
pub use self::certainty::{InDoubt, Proved, judge};
pub use self::client::Client;
pub use self::config::{BaseUrl, ClientConfig, Plaintext};
pub use self::credential::Credential;
pub use self::error::SetupError;
pub use self::exchange::{Exchange, Lost, Unsent};
pub use self::ports::{TurnedDown, answered, started, unexpected, unreadable};
pub use self::redact::Redactor;
pub use self::request::Request;
