//! One macro line: every case of the grid's suite for local stores becomes a test here.

use std::sync::Arc;

use custom_storage::OneMapStorage;
use grid_core::Result;
use grid_core::traits::Storage;
use grid_testkit::conformance::storage::StorageFixture;

#[derive(Default)]
struct Fixture;

impl StorageFixture for Fixture {
    async fn open(&self) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(OneMapStorage::default()))
    }
}

grid_testkit::storage_conformance!(conformance, Fixture);
