//! The adapter on a real cluster with the real helm.

mod cluster;
mod conformance;
mod journal;
mod lent;
mod others;
mod product;
mod stage;
mod status;
mod traps;
