//! The layers of the pipeline, each a tower `Layer` in a folder of its own.
//!
//! A request of a client passes trace → validate → read policy → route, and reaches the workers. A
//! worker's batch passes epoch guard → write policy, and reaches the partition service. Layers
//! hold no durable state: before the partition service they veto, after it they observe.

pub(crate) mod epoch_guard;
pub(crate) mod policy;
mod request;
pub(crate) mod route;
pub(crate) mod trace;
pub(crate) mod validate;

pub use request::{GatewayService, Request};
