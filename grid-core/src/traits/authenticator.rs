//! The trait that tells who a client is.

use std::fmt;

use async_trait::async_trait;

use crate::address::Namespace;
use crate::error::Result;
use crate::maybe_send::{MaybeSend, MaybeSync};

/// Who a client is, once authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The name, unique within the data set; runs are bound to it.
    pub name: String,
    /// The tenant whose maps the client sees.
    pub namespace: Namespace,
}

/// Turns a token into a principal.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait Authenticator: MaybeSend + MaybeSync + fmt::Debug + 'static {
    /// The principal of `token` in `namespace`.
    ///
    /// # Errors
    /// `Unauthorized` when the token is missing, unknown or expired; the message never repeats
    /// the token.
    async fn authenticate(&self, token: Option<&str>, namespace: &Namespace) -> Result<Principal>;
}
