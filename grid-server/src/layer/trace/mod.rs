//! Trace: every request leaves a trace, every failed one a louder one.

mod layer;
mod service;

pub(crate) use layer::TraceLayer;
