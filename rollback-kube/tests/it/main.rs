//! The adapter on a real cluster.

mod cluster;
mod conformance;
mod killed;
mod lent;
mod others;
mod product;
mod stage;
mod status;
mod traps;
