//! Timeout: a request that is not handed on in time ends its connection.
//!
//! A part of it may be with its workers by then, so that nobody can say what became of it: the
//! client connects again, and pushes again what has no verdict. Op ids keep that from doubling
//! anything.

mod error;
mod layer;
mod service;
#[cfg(test)]
mod tests;

pub(crate) use layer::TimeoutLayer;
