//! The client at one end of a real socket, and a server that does what it should not at the other.

mod exchanges;
mod peer;
mod proxy;
mod secrets;
mod tls;
