//! How the PostgreSQL backend makes itself known.

use std::sync::Arc;

use grid_core::traits::{Persistence, Runtime};
use grid_core::{BoxFuture, Driver, Result};

use crate::options::PostgresOptions;
use crate::persistence::PostgresPersistence;

/// The driver of `postgres:` and `postgresql:` URLs, for systems of record.
pub static DRIVER: Driver =
    Driver::new("postgres", &["postgres", "postgresql"]).with_persistence(open_persistence);

inventory::submit! { &DRIVER }

fn open_persistence(
    url: String,
    runtime: Arc<dyn Runtime>,
) -> BoxFuture<'static, Result<Arc<dyn Persistence>>> {
    Box::pin(async move {
        let options = PostgresOptions::from_url(&url)?;
        let records = PostgresPersistence::open(options, runtime).await?;
        Ok(Arc::new(records) as Arc<dyn Persistence>)
    })
}
