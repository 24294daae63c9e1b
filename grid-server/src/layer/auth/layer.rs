//! The layer.

use std::sync::Arc;
use std::time::Duration;

use grid_core::traits::{Authenticator, Runtime};
use tower::Layer;

use super::service::Auth;

/// Lets pass what comes with a token that is good.
#[derive(Debug, Clone)]
pub(crate) struct AuthLayer {
    authenticator: Arc<dyn Authenticator>,
    runtime: Arc<dyn Runtime>,
    timeout: Duration,
}

impl AuthLayer {
    /// A new token has to be looked at within `timeout`.
    pub(crate) fn new(
        authenticator: Arc<dyn Authenticator>,
        runtime: Arc<dyn Runtime>,
        timeout: Duration,
    ) -> Self {
        Self {
            authenticator,
            runtime,
            timeout,
        }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Auth {
            inner,
            authenticator: self.authenticator.clone(),
            runtime: self.runtime.clone(),
            timeout: self.timeout,
        }
    }
}
