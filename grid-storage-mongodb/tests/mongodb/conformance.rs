//! The suite.

use std::future::Future;
use std::sync::Arc;

use grid_core::Result;
use grid_core::traits::Persistence;
use grid_testkit::conformance::persistence::PersistenceFixture;

use crate::place::Place;

struct Fixture(Place);

impl Default for Fixture {
    fn default() -> Self {
        Self(Place::new())
    }
}

impl PersistenceFixture for Fixture {
    async fn open(&self) -> Result<Arc<dyn Persistence>> {
        Ok(Arc::new(self.0.open().await?))
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }
}

grid_testkit::persistence_conformance!(persistence, Fixture);
