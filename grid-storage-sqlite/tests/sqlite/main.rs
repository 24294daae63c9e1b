//! The SQLite backends pass the suites, and keep what is special about them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod conformance;
mod constraints;
mod crash;
mod files;
mod full;
mod grouping;
mod place;
