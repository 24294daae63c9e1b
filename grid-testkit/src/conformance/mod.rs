//! What an implementation of a trait must do to count as one: a suite of tests for each trait.
//!
//! A suite is a set of cases, each an async function over a *fixture*: a type whose value is one
//! fresh place and which knows how to open it. One macro line in a test makes one `#[test]` of
//! every case; a case that asks for more than the backend's capability record declares passes
//! without a check.

pub mod codec;
pub mod disk;
pub mod journal;
#[cfg(test)]
mod listed;
pub mod persistence;
mod refused;
pub mod storage;
pub mod transport;
