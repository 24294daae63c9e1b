//! What speaks MongoDB's protocol. Without a server of the reader's own that is nx-27017, whose
//! rates say nothing of MongoDB's: there it is the part that counts.

use std::sync::Arc;

use async_trait::async_trait;
use grid_core::Result;
use grid_core::traits::{AddressedRecord, Persistence, Runtime};
use grid_storage_mongodb::{MongoOptions, MongoPersistence};
use grid_testkit::servers::mongodb_url;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, Document, doc};
use mongodb::{Client, Database};

use super::workload::Batch;
use super::{Fresh, Side, Size, drains, failed, rates, sizes};
use crate::figure::Figure;

const SIZES: [Size; 4] =
    sizes!(1: "mongodb_1", 64: "mongodb_64", 1_000: "mongodb_1000", 5_000: "mongodb_5000");
/// Updates in one command, as in the backend.
const UPDATES: usize = 1_000;
/// How long the server may take for one command, in milliseconds, as in the backend.
const MAX_TIME_MS: i64 = 60_000;

/// Measures the server that the variable names, or nx-27017.
pub(super) async fn measure(runtime: &Arc<dyn Runtime>) -> Result<Vec<Figure>> {
    let mut databases = Databases::new().await?;
    let ours = databases.make_new("bench_ours", runtime).await?;
    let mut side = Bare::new(databases.clone(), runtime).await?;
    let stored = rates(&SIZES, runtime, &ours, &mut side).await;
    ours.close().await?;
    databases.drop("bench_ours").await?;
    let stored = stored?;
    let drained = drains(&SIZES, &stored, runtime, &mut side, &mut databases).await?;
    databases.drop(BARE).await?;
    Ok([stored, drained].concat())
}

/// The databases of one server.
#[derive(Clone)]
struct Databases {
    client: Client,
    url: String,
}

/// What each drain goes to.
const DRAIN: &str = "bench_drain";
/// What the bare side writes to.
const BARE: &str = "bench_bare";

impl Databases {
    async fn new() -> Result<Self> {
        let url = mongodb_url();
        let client = Client::with_uri_str(&url).await.map_err(failed)?;
        Ok(Self { client, url })
    }

    /// Makes the backend's collections and indexes in an empty database. What was in it was left by
    /// a run that was broken off.
    async fn make_new(&self, name: &str, runtime: &Arc<dyn Runtime>) -> Result<MongoPersistence> {
        self.drop(name).await?;
        let (base, parameters) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let options = MongoOptions::from_url(&format!("{base}{name}?{parameters}")).await?;
        MongoPersistence::open(options, Arc::clone(runtime)).await
    }

    async fn drop(&self, name: &str) -> Result<()> {
        self.client.database(name).drop().await.map_err(failed)
    }
}

#[async_trait]
impl Fresh for Databases {
    async fn make(&mut self, runtime: &Arc<dyn Runtime>) -> Result<Arc<dyn Persistence>> {
        Ok(Arc::new(self.make_new(DRAIN, runtime).await?))
    }

    async fn remove(&mut self) -> Result<()> {
        self.drop(DRAIN).await
    }
}

/// The commands of the backend, on the driver alone: the same documents under the same indexes.
struct Bare {
    databases: Databases,
    runtime: Arc<dyn Runtime>,
    database: Database,
}

impl Bare {
    async fn new(databases: Databases, runtime: &Arc<dyn Runtime>) -> Result<Self> {
        let mut new = Self {
            database: databases.client.database(BARE),
            runtime: Arc::clone(runtime),
            databases,
        };
        new.clear().await?;
        Ok(new)
    }

    async fn update(&self, collection: &str, updates: Vec<Document>) -> Result<()> {
        let command = doc! {
            "update": collection,
            "updates": updates,
            "ordered": false,
            "writeConcern": { "w": "majority", "j": true },
            "maxTimeMS": MAX_TIME_MS,
        };
        let answer = self.database.run_command(command).await.map_err(failed)?;
        // The bare side is alone with its database, so the guard lets everything through.
        match answer.get("writeErrors") {
            None => Ok(()),
            Some(errors) => Err(failed(std::io::Error::other(errors.to_string()))),
        }
    }
}

/// One guarded upsert.
fn upsert(id: &str, sequence: i64, fields: Document) -> Document {
    doc! {
        "q": { "_id": id, "sequence": { "$lte": sequence } },
        "u": { "$set": fields },
        "upsert": true,
    }
}

fn binary(bytes: &[u8]) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes: bytes.to_vec(),
    }
}

/// Appends the hexadecimal digits of `name`, of which ids are made.
fn push_hex(id: &mut String, name: &str) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    id.push('/');
    for byte in name.bytes() {
        id.push(DIGITS[usize::from(byte >> 4)]);
        id.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[async_trait]
impl Side for Bare {
    async fn store(&mut self, batch: &Batch) -> Result<()> {
        let text = batch.json.split('"').nth(5).unwrap_or_default();
        let partition = format!("{:05}", batch.partition.0);
        let history = batch.state.history.to_string();
        for rows in batch.records.chunks(UPDATES) {
            let updates = rows.iter().map(|AddressedRecord { address, record }| {
                let (namespace, map) = (address.namespace.as_str(), address.map.as_str());
                let (key, hlc) = (record.key.as_str(), record.stamp.hlc);
                let sequence = record.sequence.0.cast_signed();
                let mut id = partition.clone();
                for name in [namespace, map, key] {
                    push_hex(&mut id, name);
                }
                let fields = doc! {
                    "partition": i32::from(batch.partition.0),
                    "namespace": namespace,
                    "map": map,
                    "key": key,
                    "value": { "done": true, "text": text },
                    "cbor": binary(record.value.as_deref().unwrap_or_default()),
                    "kind": "value",
                    "stampedAt": DateTime::from_millis(hlc.millis().cast_signed()),
                    "expiresAt": null,
                    "expiresAtMs": null,
                    "hlc": hlc.as_u64().cast_signed(),
                    "run": record.stamp.op.run.0.cast_signed(),
                    "number": record.stamp.op.number.cast_signed(),
                    "history": history.as_str(),
                    "sequence": sequence,
                };
                upsert(&id, sequence, fields)
            });
            self.update("records", updates.collect()).await?;
        }
        let sequence = batch.state.sequence.0.cast_signed();
        let fields = doc! {
            "partition": i32::from(batch.partition.0),
            "data": binary(&batch.state.data),
            "history": history,
            "sequence": sequence,
        };
        let state = upsert(&partition, sequence, fields);
        self.update("states", vec![state]).await
    }

    async fn clear(&mut self) -> Result<()> {
        let made = self.databases.make_new(BARE, &self.runtime).await?;
        made.close().await
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use grid_core::PartitionId;

    use super::super::tests::with_runtime;
    use super::*;

    async fn documents(database: &Database) -> Vec<Document> {
        let mut all = Vec::new();
        for collection in ["records", "states"] {
            let collection = database.collection::<Document>(collection);
            let found = collection.find(doc! {}).sort(doc! { "_id": 1 }).await;
            all.extend(found.unwrap().try_collect::<Vec<_>>().await.unwrap());
        }
        all
    }

    #[test]
    fn both_sides_leave_the_same_documents() {
        with_runtime(async |runtime| {
            let databases = Databases::new().await.unwrap();
            let ours = databases.make_new("bench_test", &runtime).await.unwrap();
            let mut bare = Bare::new(databases.clone(), &runtime).await.unwrap();
            for number in 0..2 {
                let batch = Batch::new(PartitionId(3), number, 8).unwrap();
                let stored = ours.store(batch.partition, &batch.records, &batch.state);
                stored.await.unwrap();
                bare.store(&batch).await.unwrap();
            }
            let expected = documents(&databases.client.database("bench_test")).await;
            assert_eq!(expected.len(), 12 + 1);
            assert_eq!(documents(&bare.database).await, expected);
        });
    }
}
