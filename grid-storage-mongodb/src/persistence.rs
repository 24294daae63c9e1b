//! The system of record in a MongoDB database.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::TryStreamExt;
use futures::future::{Either, select};
use grid_core::limits::RECORD_PAGE_BYTES;
use grid_core::traits::{
    AddressedRecord, Persistence, PersistenceCapabilities, RecordCursor, RecordPage, Runtime,
    StateRecord,
};
use grid_core::{Error, ErrorKind, PartitionId, Result, Sequence};
use mongodb::bson::{Document, doc};
use mongodb::options::{Acknowledgment, ReadConcern, WriteConcern};
use mongodb::{Client, Collection, Database};
use tokio::sync::OnceCell;

use crate::document::{
    Guarded, TOMBSTONE, page_start, partition_end, partition_id, to_record, to_state,
};
use crate::error::{Asked, closed, from_mongo};
use crate::guarded::Writer;
use crate::options::MongoOptions;
use crate::schema::{RECORDS, STATES, prepare};
use crate::{MAX_STATE_BYTES, MAX_VALUE_BYTES};

/// A server's system of record in a MongoDB database.
///
/// ```
/// use std::sync::Arc;
///
/// use grid_core::PartitionId;
/// use grid_core::traits::{Persistence, Runtime};
/// use grid_storage_mongodb::{MongoOptions, MongoPersistence};
///
/// async fn is_new(runtime: Arc<dyn Runtime>) -> grid_core::Result<bool> {
///     let options = MongoOptions::from_url("mongodb://127.0.0.1:27017/shop").await?;
///     let records = MongoPersistence::open(options, runtime).await?;
///     let state = records.load_state(PartitionId(0)).await?;
///     records.close().await?;
///     Ok(state.is_none())
/// }
/// ```
#[derive(Debug)]
pub struct MongoPersistence {
    options: MongoOptions,
    runtime: Arc<dyn Runtime>,
    client: Client,
    database: Database,
    /// Whether the documents were seen to be of the right version.
    prepared: OnceCell<()>,
    closed: AtomicBool,
}

impl MongoPersistence {
    /// Connects, and makes what is missing.
    ///
    /// A database that cannot be reached now is no error: the calls fail, as retryable, until it
    /// can, and the first one that reaches it makes what is missing. The log says so.
    ///
    /// # Errors
    /// `Unauthorized` when the database refuses user or password, `Version` when the documents are
    /// of another version, `Forbidden` when the user may not write, `Unsupported` without a tokio
    /// runtime around it.
    pub async fn open(options: MongoOptions, runtime: Arc<dyn Runtime>) -> Result<Self> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "open mongodb",
                "connections to MongoDB need a tokio runtime; open it on one",
            ));
        }
        let failed = |error| from_mongo("open mongodb", &options, Asked::ToServe, &error);
        let client = Client::with_options(options.client().clone()).map_err(failed)?;
        let settings = mongodb::options::DatabaseOptions::builder()
            .read_concern(ReadConcern::majority())
            .write_concern(
                WriteConcern::builder()
                    .w(Acknowledgment::Majority)
                    .journal(true)
                    .build(),
            )
            .build();
        let database = client.database_with_options(options.database(), settings);
        let backend = Self {
            options,
            runtime,
            client,
            database,
            prepared: OnceCell::new(),
            closed: AtomicBool::new(false),
        };
        match backend.bounded("open mongodb", async { Ok(()) }).await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "the system of record cannot be reached yet");
            }
            prepared => prepared?,
        }
        Ok(backend)
    }

    /// Makes a call on a database of the right version, and bounds it for a server that never
    /// answers. What the call did is unknown then.
    async fn bounded<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        if self.closed.load(Ordering::Acquire) {
            return Err(closed(operation, &self.options));
        }
        let limit = self.options.call_timeout();
        let call = async {
            self.prepared
                .get_or_try_init(|| prepare(&self.database, &self.options))
                .await?;
            call.await
        };
        futures::pin_mut!(call);
        match select(call, self.runtime.sleep(limit)).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(Error::new(
                ErrorKind::Timeout,
                operation,
                format!("the database did not answer within {} s", limit.as_secs()),
            )
            .with("database", &self.options)),
        }
    }

    fn collection(&self, name: &str) -> Collection<Document> {
        self.database.collection(name)
    }

    fn writer(&self, collection: &'static str, operation: &'static str) -> Writer<'_> {
        Writer {
            database: &self.database,
            collection,
            place: &self.options,
            operation,
        }
    }

    /// The documents of a page, as far as they fit, and whether there may be more.
    async fn page(
        &self,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage> {
        let failed = |error| from_mongo("load records", &self.options, Asked::ToServe, &error);
        let range = doc! {
            "_id": { "$gt": page_start(partition, after), "$lt": partition_end(partition) }
        };
        let one_more = i64::try_from(limit).map_or(i64::MAX, |limit| limit.saturating_add(1));
        let mut documents = self
            .collection(RECORDS)
            .find(range)
            .sort(doc! { "_id": 1 })
            .projection(doc! { "value": 0 })
            .limit(one_more)
            .await
            .map_err(failed)?;
        let mut page = RecordPage::default();
        let mut bytes = 0;
        while let Some(document) = documents.try_next().await.map_err(failed)? {
            if page.records.len() == limit || bytes >= RECORD_PAGE_BYTES {
                page.more = true;
                break;
            }
            let record =
                to_record(&document).map_err(|error| error.with("database", &self.options))?;
            bytes += record.bytes();
            page.records.push(record);
        }
        Ok(page)
    }
}

#[async_trait]
impl Persistence for MongoPersistence {
    fn capabilities(&self) -> PersistenceCapabilities {
        PersistenceCapabilities {
            transactional: false,
            survives_process: true,
            survives_power_loss: true,
            max_value_bytes: MAX_VALUE_BYTES,
            max_state_bytes: MAX_STATE_BYTES,
        }
    }

    async fn load(
        &self,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage> {
        self.bounded("load records", self.page(partition, after, limit.max(1)))
            .await
    }

    async fn load_state(&self, partition: PartitionId) -> Result<Option<StateRecord>> {
        self.bounded("load state", async {
            let found = self
                .collection(STATES)
                .find_one(doc! { "_id": partition_id(partition) })
                .await
                .map_err(|error| from_mongo("load state", &self.options, Asked::ToServe, &error))?;
            found.as_ref().map(to_state).transpose()
        })
        .await
    }

    async fn store(
        &self,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        state.check_size(MAX_STATE_BYTES)?;
        let documents = records
            .iter()
            .map(|record| Guarded::of_record(partition, state.history, record))
            .collect::<Result<Vec<_>>>()?;
        let state = [Guarded::of_state(partition, state)?];
        let operation = "store records";
        self.bounded(operation, async {
            self.writer(RECORDS, operation).write(&documents).await?;
            // After all of them: it may lag, and never leads.
            self.writer(STATES, operation).write(&state).await
        })
        .await
    }

    async fn collect(&self, partition: PartitionId, horizon: Sequence) -> Result<()> {
        let operation = "collect tombstones";
        self.bounded(operation, async {
            // A horizon above every sequence that can be stored means all tombstones.
            let horizon = i64::try_from(horizon.0).unwrap_or(i64::MAX);
            let due = doc! {
                "partition": i32::from(partition.0),
                "kind": TOMBSTONE,
                "sequence": { "$lte": horizon },
            };
            self.writer(RECORDS, operation).remove(due).await
        })
        .await
    }

    async fn close(&self) -> Result<()> {
        if !self.closed.swap(true, Ordering::AcqRel) {
            self.client.clone().shutdown().immediate(true).await;
        }
        Ok(())
    }
}
