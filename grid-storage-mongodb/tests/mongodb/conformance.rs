//! The suite.

use std::future::Future;
use std::sync::Arc;

use grid_core::Result;
use grid_core::traits::Persistence;
use grid_testkit::conformance::persistence::PersistenceFixture;

use mongodb::bson::{Document, doc};

use crate::place::Place;

struct Fixture(Place);

impl Default for Fixture {
    fn default() -> Self {
        Self(Place::new())
    }
}

impl PersistenceFixture for Fixture {
    const FORBIDS: bool = true;

    async fn open(&self) -> Result<Arc<dyn Persistence>> {
        Ok(Arc::new(self.0.open().await?))
    }

    async fn forbid(&self, key: &str) -> Result<()> {
        // Not a validator: what speaks the protocol in our tests takes one, and never asks it. A
        // document of the user's has the key, and a unique index lets nobody else have it.
        let database = self.0.database().await;
        let index = doc! {
            "createIndexes": "records",
            "indexes": [{ "key": { "key": 1 }, "name": "key", "unique": true }],
        };
        database.run_command(index).await.unwrap();
        let records = database.collection::<Document>("records");
        let taken = doc! { "_id": "the user's", "key": key };
        records.insert_one(taken).await.unwrap();
        Ok(())
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }
}

grid_testkit::persistence_conformance!(persistence, Fixture);
