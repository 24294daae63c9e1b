//! How the MongoDB backend makes itself known.

use std::sync::Arc;

use grid_core::traits::{Persistence, Runtime};
use grid_core::{BoxFuture, Driver, Result};

use crate::options::MongoOptions;
use crate::persistence::MongoPersistence;

/// The driver of `mongodb:` URLs, for systems of record.
pub static DRIVER: Driver = Driver::new("mongodb", &["mongodb"]).with_persistence(open_persistence);

inventory::submit! { &DRIVER }

fn open_persistence(
    url: String,
    runtime: Arc<dyn Runtime>,
) -> BoxFuture<'static, Result<Arc<dyn Persistence>>> {
    Box::pin(async move {
        let options = MongoOptions::from_url(&url).await?;
        let records = MongoPersistence::open(options, runtime).await?;
        Ok(Arc::new(records) as Arc<dyn Persistence>)
    })
}
