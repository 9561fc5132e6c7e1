//! The HTTP contract: client, server, and the wire between them.

mod common;
mod conformance;
mod crash;
mod faults;
mod openapi;
mod peers;
mod secrets;
mod server;
