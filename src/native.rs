//! What a native program brings along, so that a builder needs nothing but URLs.

use std::sync::Arc;

use grid_client::Platform;
use grid_core::traits::Runtime;
use grid_core::{Registry, Result};

/// The built-in drivers, on the tokio runtime that the program runs on.
#[derive(Debug, Clone, Copy)]
pub struct Native;

impl Platform for Native {
    fn registry() -> Registry {
        crate::drivers::registry()
    }

    #[cfg(feature = "tokio")]
    fn runtime() -> Result<Arc<dyn Runtime>> {
        Ok(Arc::new(grid_runtime_tokio::TokioRuntime::current()?))
    }

    #[cfg(not(feature = "tokio"))]
    fn runtime() -> Result<Arc<dyn Runtime>> {
        Err(grid_core::Error::new(
            grid_core::ErrorKind::Unsupported,
            "open grid",
            "enable the Cargo feature `tokio`, or hand a runtime in with GridBuilder::runtime",
        ))
    }
}
