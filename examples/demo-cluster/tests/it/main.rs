//! The demo on a real cluster: its scenes, without and with a browser.

mod browser;
mod common;
mod scenes;
