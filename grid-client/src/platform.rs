//! What a program brings along so that a builder needs nothing but URLs.

use std::fmt;
use std::sync::Arc;

use grid_core::traits::Runtime;
use grid_core::{Error, ErrorKind, Registry, Result};

/// The drivers and the runtime that a builder falls back on.
pub trait Platform: fmt::Debug + Send + Sync + 'static {
    /// The drivers among which URLs select.
    fn registry() -> Registry;

    /// Where tasks run, and what time it is.
    ///
    /// # Errors
    /// `Invalid` or `Unsupported` when there is none here.
    fn runtime() -> Result<Arc<dyn Runtime>>;
}

/// Drivers that registered themselves, and no runtime.
#[derive(Debug, Clone, Copy)]
pub struct Bare;

impl Platform for Bare {
    fn registry() -> Registry {
        Registry::default()
    }

    fn runtime() -> Result<Arc<dyn Runtime>> {
        let message = "no runtime was handed in: call GridBuilder::runtime";
        Err(Error::new(ErrorKind::Invalid, "open grid", message))
    }
}
