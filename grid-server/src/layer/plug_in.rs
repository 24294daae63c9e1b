//! A layer that a program brings.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use grid_core::traits::Runtime;
use grid_core::{Error, ErrorKind, Registry, Result};
use tower::{Layer, Service};

use super::request::{GatewayService, Request};

/// Wraps a pipeline.
type Wrap = dyn Fn(GatewayService) -> GatewayService + Send + Sync;

/// A layer of the gateway that a program or a driver brings. It stands behind `auth` and before the
/// limits, so that it sees every request of a client that is let in.
#[derive(Clone)]
pub struct GatewayLayer(Arc<Wrap>);

impl fmt::Debug for GatewayLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewayLayer(..)")
    }
}

impl GatewayLayer {
    /// A tower layer, as a layer of the gateway. [`tower::layer::layer_fn`] makes one of a
    /// function.
    pub fn new<L>(layer: L) -> Self
    where
        L: Layer<GatewayService> + Send + Sync + 'static,
        L::Service: Service<Request, Response = (), Error = Error> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self(Arc::new(move |inner| {
            GatewayService::new(layer.layer(inner))
        }))
    }

    /// What a driver gives out as its layer, see [`grid_core::Driver::with_layer`].
    #[must_use]
    pub fn into_plug_in(self) -> Box<dyn Any + Send + Sync> {
        Box::new(self)
    }

    /// Opens the layer at `url` with the driver that serves it.
    ///
    /// # Errors
    /// `Unsupported` when no driver serves the URL, `Invalid` when what the driver gives out is no
    /// layer of this server, as another version of this crate would make it; else as the driver's.
    pub async fn open(registry: &Registry, url: &str, runtime: Arc<dyn Runtime>) -> Result<Self> {
        let opened = registry.open_layer(url, runtime).await?;
        opened.downcast::<Self>().map(|layer| *layer).map_err(|_| {
            Error::new(
                ErrorKind::Invalid,
                "open layer",
                "the driver gives out what is no `GatewayLayer` of this server: was it built with \
                 another version of grid-server?",
            )
            .with("driver", url.split(':').next().unwrap_or_default())
        })
    }

    pub(crate) fn wrap(&self, inner: GatewayService) -> GatewayService {
        (self.0)(inner)
    }
}
