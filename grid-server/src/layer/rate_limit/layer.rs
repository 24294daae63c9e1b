//! The layer.

use std::sync::Arc;

use grid_core::traits::Runtime;
use tower::Layer;

use super::limits::{Limits, Rates};
use super::service::RateLimit;

/// Limits how much clients send.
#[derive(Debug, Clone)]
pub(crate) struct RateLimitLayer {
    pub(super) limits: Arc<Limits>,
    runtime: Arc<dyn Runtime>,
}

impl RateLimitLayer {
    /// None where nothing is limited.
    pub(crate) fn new(rates: Rates, runtime: &Arc<dyn Runtime>) -> Option<Self> {
        rates.burst().map(|_| Self {
            limits: Arc::new(Limits::new(rates, runtime)),
            runtime: runtime.clone(),
        })
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, self.limits.clone(), self.runtime.clone())
    }
}
