//! The suite, on one thread and on several.

use std::future::Future;
use std::sync::Arc;

use grid_core::Result;
use grid_core::traits::Persistence;
use grid_testkit::conformance::persistence::PersistenceFixture;

use crate::place::Place;

/// A schema and a tokio runtime with `THREADS` worker threads.
struct Schema<const THREADS: usize>(Place);

impl<const THREADS: usize> Default for Schema<THREADS> {
    fn default() -> Self {
        Self(Place::new(THREADS))
    }
}

impl<const THREADS: usize> PersistenceFixture for Schema<THREADS> {
    const FORBIDS: bool = true;

    async fn open(&self) -> Result<Arc<dyn Persistence>> {
        Ok(Arc::new(self.0.open().await?))
    }

    async fn forbid(&self, key: &str) -> Result<()> {
        let constraint = format!("ALTER TABLE records ADD CHECK (key <> '{key}')");
        self.0.run(&constraint).await;
        Ok(())
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }
}

grid_testkit::persistence_conformance!(persistence, Schema<0>);
grid_testkit::persistence_conformance!(persistence_on_threads, Schema<2>);
