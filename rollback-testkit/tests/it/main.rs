//! The fakes pass the suites that they are for.

mod conformance;
mod other_ports;
