//! The PostgreSQL backend passes the suite on a real server, and keeps what is special about it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod conformance;
mod faults;
mod place;
mod queries;
mod refusals;
mod restart;
mod schema;
