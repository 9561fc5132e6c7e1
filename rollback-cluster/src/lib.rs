#![doc = include_str!("../README.md")]

mod ask;
mod client;
mod config;
mod error;
mod objects;
mod text;
mod watch;

pub use ask::{Ask, Place, Tried};
pub use client::{Answer, Cluster, Unanswered, found};
pub use config::Connection;
pub use error::ClusterError;
pub use objects::{Bare, List, ListMeta, ManagedFields, Meta, Owner, Texts};
pub use text::{clip, short};
pub use watch::{KeptWatch, Told, Watch};
