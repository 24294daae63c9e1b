//! Rate limit: how many ops a second a client may send, and all clients of a namespace together.
//!
//! A push beyond that is put off for as long as it takes; a request that asks for data waits a
//! little, which slows its connection, and ends it when that is not enough. What gives something
//! back to the server (an unsubscribe, a confirmation) is never limited.

mod error;
mod layer;
mod limits;
mod service;
#[cfg(test)]
mod tests;

pub(crate) use layer::RateLimitLayer;
pub(crate) use limits::Rates;
