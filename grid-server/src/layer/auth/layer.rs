//! The layer.

use std::sync::Arc;

use grid_core::traits::{Authenticator, Runtime};
use tower::Layer;

use super::service::Auth;

/// Lets pass what comes with a token that is good.
#[derive(Debug, Clone)]
pub(crate) struct AuthLayer {
    authenticator: Arc<dyn Authenticator>,
    runtime: Arc<dyn Runtime>,
}

impl AuthLayer {
    pub(crate) fn new(authenticator: Arc<dyn Authenticator>, runtime: Arc<dyn Runtime>) -> Self {
        Self {
            authenticator,
            runtime,
        }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Auth::new(inner, self.authenticator.clone(), self.runtime.clone())
    }
}
