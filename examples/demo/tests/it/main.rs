//! The demo: its CD system, and its scenes as a visitor plays them.

mod browser;
mod common;
mod conformance;
mod releases;
mod scenes;
