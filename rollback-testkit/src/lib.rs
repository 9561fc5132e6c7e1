//! Conformance suites for every port, property strategies and fault-injecting fakes.
