//! The host that README shows, over the real wire. The stories that go well are played in this host and
//! in `platform-service` alike: `examples/platform-service/tests/it/same.rs`.

mod directions;
mod packages;
mod policy;
mod readme;
mod stage;
mod stop;
mod traps;
mod wired;
