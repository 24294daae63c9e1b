//! The MongoDB backend passes the suite on what speaks its protocol, and keeps what is special
//! about it. With `GRID_TEST_MONGODB_URL` all of it runs on a server of your own.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod conformance;
mod faults;
mod guard;
mod place;
mod queries;
