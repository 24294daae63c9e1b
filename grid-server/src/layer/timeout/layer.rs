//! The layer.

use std::sync::Arc;
use std::time::Duration;

use grid_core::traits::Runtime;
use tower::Layer;

use super::service::Timeout;

/// Bounds how long a request may take.
#[derive(Debug, Clone)]
pub(crate) struct TimeoutLayer {
    runtime: Arc<dyn Runtime>,
    after: Duration,
}

impl TimeoutLayer {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, after: Duration) -> Self {
        Self { runtime, after }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout::new(inner, self.runtime.clone(), self.after)
    }
}
