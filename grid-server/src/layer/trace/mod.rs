//! Trace: every request leaves a trace, every failed one a louder one.

mod layer;
mod service;
#[cfg(test)]
mod tests;

pub(crate) use layer::TraceLayer;
