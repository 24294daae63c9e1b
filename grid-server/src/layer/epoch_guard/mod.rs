//! Epoch guard: a partition is written only at the epoch at which this node owns it.

mod error;
mod layer;
mod service;
#[cfg(test)]
mod tests;

pub(crate) use layer::EpochGuardLayer;
