//! The layer.

use tower::Layer;

use super::limits::Limits;
use super::service::Validate;

/// Checks requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ValidateLayer {
    limits: Limits,
}

impl ValidateLayer {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits }
    }
}

impl<S> Layer<S> for ValidateLayer {
    type Service = Validate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Validate::new(inner, self.limits)
    }
}
