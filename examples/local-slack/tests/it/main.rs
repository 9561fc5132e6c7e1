//! The local Slack, as apps and people see it.

mod common;
mod drivers;
mod oracle;
mod page;
mod socket;
mod web_api;
