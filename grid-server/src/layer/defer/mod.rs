//! Defer: pushes that a layer put off are answered here, in their turn.
//!
//! It stands behind validation, so that the chain of a connection's pushes stays whole. A client
//! that is told to come again from some op has more on the way; that is dropped until it does, so
//! that each partition sees a run's ops in order.

mod deferral;
mod error;
mod layer;
mod service;
#[cfg(test)]
mod tests;

pub(crate) use deferral::Deferral;
pub(crate) use layer::DeferLayer;
