//! The layers of the pipeline, each a tower `Layer` in a folder of its own.
//!
//! A request of a client passes trace → auth → layers of the program's own → rate limit → load shed
//! → timeout → validate → defer → read policy → route, and reaches the workers. A worker's batch
//! passes epoch guard → write policy → publish, and reaches the partition service. Layers hold no
//! durable state: before the partition service they veto, after it they observe.

pub(crate) mod auth;
pub(crate) mod defer;
pub(crate) mod epoch_guard;
pub(crate) mod load_shed;
mod plug_in;
pub(crate) mod policy;
pub(crate) mod publish;
pub(crate) mod rate_limit;
mod request;
pub(crate) mod route;
#[cfg(test)]
mod testing;
pub(crate) mod timeout;
pub(crate) mod trace;
pub(crate) mod validate;

pub use plug_in::GatewayLayer;
pub use request::{GatewayService, PutOff, Request};
