//! What speaks MongoDB's protocol. Without a server of the reader's own that is nx-27017, whose
//! rates say nothing of MongoDB's: there it is the part that counts.

use std::sync::Arc;

use async_trait::async_trait;
use grid_core::Result;
use grid_core::traits::{Persistence, Runtime};
use grid_storage_mongodb::{MongoOptions, MongoPersistence};
use grid_testkit::servers::mongodb_url;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, doc};
use mongodb::{Client, Database};

use super::workload::Batch;
use super::{Fresh, Side, Size, drains, failed, rates, sizes};
use crate::figure::Figure;

const SIZES: [Size; 4] =
    sizes!(1: "mongodb_1", 64: "mongodb_64", 1_000: "mongodb_1000", 5_000: "mongodb_5000");
/// Updates in one command, as in the backend.
const UPDATES: usize = 1_000;

/// Measures the server that the variable names, or nx-27017.
pub(super) async fn measure(runtime: &Arc<dyn Runtime>) -> Result<Vec<Figure>> {
    let url = mongodb_url();
    let (base, parameters) = url.split_once('?').unwrap_or((&url, ""));
    let options = MongoOptions::from_url(&format!("{base}bench_ours?{parameters}")).await?;
    let client = Client::with_uri_str(&url).await.map_err(failed)?;
    let (ours_database, bare) = (client.database("bench_ours"), client.database("bench_bare"));
    // Left by a run that was broken off.
    ours_database.drop().await.map_err(failed)?;
    bare.drop().await.map_err(failed)?;
    let ours = MongoPersistence::open(options, Arc::clone(runtime)).await?;
    let mut side = Bare(bare);
    let stored = rates(&SIZES, runtime, &ours, &mut side).await;
    ours.close().await?;
    ours_database.drop().await.map_err(failed)?;
    let stored = stored?;
    let mut databases = Databases { client, url };
    databases.remove().await?;
    let drained = drains(&SIZES, &stored, runtime, &mut side, &mut databases).await?;
    side.clear().await?;
    Ok([stored, drained].concat())
}

/// A database for each drain.
struct Databases {
    client: Client,
    url: String,
}

/// What it is called.
const DRAIN: &str = "bench_drain";

#[async_trait]
impl Fresh for Databases {
    async fn make(&mut self, runtime: &Arc<dyn Runtime>) -> Result<Arc<dyn Persistence>> {
        let (base, parameters) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let options = MongoOptions::from_url(&format!("{base}{DRAIN}?{parameters}")).await?;
        let opened = MongoPersistence::open(options, Arc::clone(runtime)).await?;
        Ok(Arc::new(opened))
    }

    async fn remove(&mut self) -> Result<()> {
        self.client.database(DRAIN).drop().await.map_err(failed)
    }
}

struct Bare(Database);

impl Bare {
    async fn update(&self, collection: &str, updates: Vec<Document>) -> Result<()> {
        let command = doc! {
            "update": collection,
            "updates": updates,
            "ordered": false,
            "writeConcern": { "w": "majority", "j": true },
        };
        self.0.run_command(command).await.map_err(failed)?;
        Ok(())
    }
}

#[async_trait]
impl Side for Bare {
    async fn store(&mut self, batch: &Batch) -> Result<()> {
        let text = batch.json.split('"').nth(5).unwrap_or_default();
        for rows in batch.records.chunks(UPDATES) {
            let updates = rows.iter().map(|row| {
                let record = &row.record;
                let sequence = record.sequence.0.cast_signed();
                let key = record.key.as_str();
                let id = format!("{:05}/{key}", batch.partition.0);
                let value = record.value.as_deref().unwrap_or_default().to_vec();
                let fields = doc! {
                    "partition": i32::from(batch.partition.0),
                    "namespace": "default",
                    "map": "bench",
                    "key": key,
                    "value": { "done": true, "text": text },
                    "cbor": Binary { subtype: BinarySubtype::Generic, bytes: value },
                    "deleted": false,
                    "hlc": record.stamp.hlc.as_u64().cast_signed(),
                    "run": record.stamp.op.run.0.cast_signed(),
                    "number": record.stamp.op.number.cast_signed(),
                    "history": "0000000000000001",
                    "sequence": sequence,
                };
                doc! {
                    "q": { "_id": id, "sequence": { "$lte": sequence } },
                    "u": { "$set": fields },
                    "upsert": true,
                }
            });
            self.update("records", updates.collect()).await?;
        }
        let sequence = batch.state.sequence.0.cast_signed();
        let state = doc! {
            "q": { "_id": i32::from(batch.partition.0), "sequence": { "$lte": sequence } },
            "u": { "$set": { "history": "0000000000000001", "sequence": sequence } },
            "upsert": true,
        };
        self.update("states", vec![state]).await
    }

    async fn clear(&mut self) -> Result<()> {
        self.0.drop().await.map_err(failed)
    }
}
