//! The simulations that this repository holds itself to: one file for each scenario.
//!
//! The simulator itself is grid-testkit's; here stand only what it runs, and the test that it finds
//! what it should.

pub mod mutations;
pub mod report;
pub mod scenarios;
