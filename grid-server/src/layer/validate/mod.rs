//! Validate: what a client sends is within the protocol's and the server's bounds.
//!
//! An op that is not gets a veto, so that it leaves the client's outbox and those behind it go on;
//! anything else that is not ends the connection.

mod error;
mod layer;
mod limits;
mod push;
mod service;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use layer::ValidateLayer;
pub(crate) use limits::Limits;
