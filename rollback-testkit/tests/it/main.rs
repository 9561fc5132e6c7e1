//! The fakes pass the suites that they are for, and properties over a policy prove something.

mod conformance;
mod other_ports;
mod policy;
mod wire;
