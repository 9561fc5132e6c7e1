//! What people and Slack do that nobody hopes for, through the host that README shows, over the real
//! wire. The stories that go well are played in this host and in `platform-service` alike:
//! `examples/platform-service/tests/same.rs`.
mod stage;
mod traps;
