//! What Slack sends and what it is sent.

#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod catalogue;
mod conformance;
mod directory;
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod fixtures;
mod interactivity;
mod local_slack;
mod notifier;
mod oracle;
mod refusals;
mod socket_mode;
mod surface;
mod traps;
mod views;
mod web_api;
