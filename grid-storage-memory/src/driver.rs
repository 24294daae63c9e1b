//! How the memory backends make themselves known.

use std::sync::Arc;

use grid_core::traits::{Persistence, Runtime, Storage};
use grid_core::{BoxFuture, Driver, Result};

use crate::persistence::MemoryPersistence;
use crate::storage::MemoryStorage;

/// The driver of `memory:` URLs, for local stores and systems of record.
pub static DRIVER: Driver = Driver::new("memory", &["memory"])
    .with_storage(open_storage)
    .with_persistence(open_persistence);

inventory::submit! { &DRIVER }

fn open_storage(
    url: String,
    _runtime: Arc<dyn Runtime>,
) -> BoxFuture<'static, Result<Arc<dyn Storage>>> {
    Box::pin(async move { Ok(Arc::new(MemoryStorage::open(&url)?) as Arc<dyn Storage>) })
}

fn open_persistence(
    url: String,
    _runtime: Arc<dyn Runtime>,
) -> BoxFuture<'static, Result<Arc<dyn Persistence>>> {
    Box::pin(async move { Ok(Arc::new(MemoryPersistence::open(&url)?) as Arc<dyn Persistence>) })
}
