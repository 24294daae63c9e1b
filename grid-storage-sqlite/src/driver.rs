//! How the SQLite backends make themselves known.

use std::sync::Arc;

use grid_core::traits::{Persistence, Runtime, Storage};
use grid_core::{BoxFuture, Driver, Result};

use crate::options::SqliteOptions;
use crate::persistence::SqlitePersistence;
use crate::place;
use crate::storage::SqliteStorage;

/// The driver of `sqlite:` URLs, for local stores and systems of record.
pub static DRIVER: Driver = Driver::new("sqlite", &["sqlite"])
    .with_storage(open_storage)
    .with_persistence(open_persistence);

inventory::submit! { &DRIVER }

fn open_storage(
    url: String,
    runtime: Arc<dyn Runtime>,
) -> BoxFuture<'static, Result<Arc<dyn Storage>>> {
    Box::pin(async move {
        let path = place::path_of(&url)?;
        let store = SqliteStorage::open(path, SqliteOptions::default(), &*runtime).await?;
        Ok(Arc::new(store) as Arc<dyn Storage>)
    })
}

fn open_persistence(
    url: String,
    runtime: Arc<dyn Runtime>,
) -> BoxFuture<'static, Result<Arc<dyn Persistence>>> {
    Box::pin(async move {
        let path = place::path_of(&url)?;
        let records = SqlitePersistence::open(path, SqliteOptions::default(), &*runtime).await?;
        Ok(Arc::new(records) as Arc<dyn Persistence>)
    })
}
