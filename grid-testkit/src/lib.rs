//! Conformance suites, fault wrappers and the simulator, for users as well as for us.

pub mod process;
pub mod proxy;
pub mod sim;
