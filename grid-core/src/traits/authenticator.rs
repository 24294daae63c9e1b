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

/// What a token grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// Who holds the token.
    pub principal: Principal,
    /// When the token expires by the server's wall clock, in milliseconds since 1970: the server
    /// ends a connection whose token was not renewed until then. `None`: never.
    pub expires_at_ms: Option<u64>,
}

impl From<Principal> for Authenticated {
    /// For a token that does not expire.
    fn from(principal: Principal) -> Self {
        Self {
            principal,
            expires_at_ms: None,
        }
    }
}

/// Turns a token into a principal.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait Authenticator: MaybeSend + MaybeSync + fmt::Debug + 'static {
    /// The principal of `token` in `namespace`, and when the token expires.
    ///
    /// # Errors
    /// `Unauthorized` when the token is missing, unknown or expired; the message never repeats
    /// the token.
    async fn authenticate(
        &self,
        token: Option<&str>,
        namespace: &Namespace,
    ) -> Result<Authenticated>;
}
