//! The layer.

use std::sync::Arc;
use std::time::Duration;

use grid_core::traits::Runtime;
use tower::Layer;

use super::limits::{Limits, Rates};
use super::service::RateLimit;

/// How long a request that asks for data waits for room at most, and its connection with it.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Limits how much clients send.
#[derive(Debug, Clone)]
pub(crate) struct RateLimitLayer {
    pub(super) limits: Arc<Limits>,
    runtime: Arc<dyn Runtime>,
    longest_wait: Duration,
}

impl RateLimitLayer {
    /// None where nothing is limited. While a request waits nothing is read from its connection, so
    /// that it waits no longer than two heartbeats: after three the client takes the server for
    /// lost.
    pub(crate) fn new(
        rates: Rates,
        runtime: &Arc<dyn Runtime>,
        heartbeat: Duration,
    ) -> Option<Self> {
        rates.burst().map(|_| Self {
            limits: Arc::new(Limits::new(rates, runtime)),
            runtime: runtime.clone(),
            longest_wait: (heartbeat * 2).min(LONGEST_WAIT),
        })
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit {
            inner,
            limits: self.limits.clone(),
            runtime: self.runtime.clone(),
            longest_wait: self.longest_wait,
        }
    }
}
