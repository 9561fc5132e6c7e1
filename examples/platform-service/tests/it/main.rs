//! The process `platform-service`: configured, started, used, attacked and ended.

mod attacked;
mod audit;
mod check;
mod cluster;
mod config;
mod contained;
mod deploy;
mod first_button;
mod loss;
mod process;
mod replicas;
mod same;
mod security;
mod service;
mod stage;
