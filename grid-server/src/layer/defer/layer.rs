//! The layer.

use tower::Layer;

use super::service::Defer;

/// Answers what was put off.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DeferLayer;

impl<S> Layer<S> for DeferLayer {
    type Service = Defer<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Defer::new(inner)
    }
}
