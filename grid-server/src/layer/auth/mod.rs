//! Auth: who a connection belongs to, and for how long.
//!
//! The handshake asks the authenticator once; this layer asks it again for a token that is renewed,
//! and lets nothing pass whose token has expired.

mod error;
mod layer;
mod service;
#[cfg(test)]
mod tests;
mod token;

pub(crate) use layer::AuthLayer;
pub(crate) use token::{authenticate, expiry};
