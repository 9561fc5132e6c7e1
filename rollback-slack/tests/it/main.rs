//! What Slack sends and what it is sent.

mod catalogue;
mod conformance;
mod directory;
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
