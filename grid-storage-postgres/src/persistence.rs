//! The system of record in a PostgreSQL database.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::limits::RECORD_PAGE_BYTES;
use grid_core::traits::{
    AddressedRecord, Persistence, PersistenceCapabilities, RecordCursor, RecordPage, Runtime,
    StateRecord,
};
use grid_core::{Error, ErrorKind, History, PartitionId, Result, Sequence};
use sqlx::{Connection, PgConnection};

use crate::error::Asked;
use crate::options::PostgresOptions;
use crate::pool::Pool;
use crate::rows::{RecordRow, StoreCall, unsigned};
use crate::statements::Statements;
use crate::{MAX_STATE_BYTES, MAX_VALUE_BYTES, error};

/// A server's system of record in a PostgreSQL database.
///
/// ```
/// use std::sync::Arc;
///
/// use grid_core::PartitionId;
/// use grid_core::traits::{Persistence, Runtime};
/// use grid_storage_postgres::{PostgresOptions, PostgresPersistence};
///
/// async fn is_new(runtime: Arc<dyn Runtime>) -> grid_core::Result<bool> {
///     let options = PostgresOptions::from_url("postgres://grid@127.0.0.1/shop?schema=carts")?;
///     let records = PostgresPersistence::open(options, runtime).await?;
///     let state = records.load_state(PartitionId(0)).await?;
///     records.close().await?;
///     Ok(state.is_none())
/// }
/// ```
#[derive(Debug)]
pub struct PostgresPersistence {
    pool: Pool,
    statements: Statements,
}

impl PostgresPersistence {
    /// Connects, and makes the schema and its tables if they are missing.
    ///
    /// A database that cannot be reached now is no error: the calls fail, as retryable, until it
    /// can, and the first one that reaches it makes the tables. The log says so.
    ///
    /// # Errors
    /// `Unauthorized` when the database refuses user or password, `Version` when the schema is of a
    /// later version, `NotFound` when there is no such database, `Forbidden` when the user may not
    /// make the schema, `Conflict` when it holds somebody else's tables, `Unavailable`, not
    /// retryable, when the server wants TLS, `Unsupported` without a tokio runtime around it.
    pub async fn open(options: PostgresOptions, runtime: Arc<dyn Runtime>) -> Result<Self> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "open postgres",
                "connections to PostgreSQL need a tokio runtime; open it on one",
            ));
        }
        let statements = Statements::new(options.schema());
        let pool = Pool::new(options, runtime);
        let first = pool.bounded("open postgres", async {
            pool.acquire("open postgres")
                .await?
                .done(Asked::ToServe, Ok(()))
        });
        match first.await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "the system of record cannot be reached yet");
            }
            prepared => prepared?,
        }
        Ok(Self { pool, statements })
    }

    async fn page(
        &self,
        connection: &mut PgConnection,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<Vec<RecordRow>, sqlx::Error> {
        // Empty names come before every name, and are none.
        let (namespace, map, key) = after.map_or(("", "", ""), |cursor| {
            let address = &cursor.address;
            let (namespace, map) = (address.namespace.as_str(), address.map.as_str());
            (namespace, map, cursor.key.as_str())
        });
        sqlx::query_as(self.statements.load())
            .bind(i32::from(partition.0))
            .bind(namespace)
            .bind(map)
            .bind(key)
            .bind(i64::try_from(limit).map_or(i64::MAX, |limit| limit.saturating_add(1)))
            .fetch_all(connection)
            .await
    }
}

#[async_trait]
impl Persistence for PostgresPersistence {
    fn capabilities(&self) -> PersistenceCapabilities {
        PersistenceCapabilities {
            transactional: true,
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
        let limit = limit.max(1);
        let mut rows = self
            .pool
            .bounded("load records", async {
                let mut lease = self.pool.acquire("load records").await?;
                let rows = self.page(lease.connection(), partition, after, limit).await;
                lease.done(Asked::ToServe, rows)
            })
            .await?;
        let through = rows.last().map_or(0, |row| unsigned(row.through));
        let cut_by_size = through >= RECORD_PAGE_BYTES as u64;
        let more = rows.len() > limit || cut_by_size;
        rows.truncate(limit);
        let records: Result<Vec<AddressedRecord>> =
            rows.into_iter().map(RecordRow::into_record).collect();
        Ok(RecordPage {
            records: records.map_err(|source| error::damaged_row(self.pool.options(), source))?,
            more,
        })
    }

    async fn load_state(&self, partition: PartitionId) -> Result<Option<StateRecord>> {
        let state: Option<(i64, i64, Vec<u8>)> = self
            .pool
            .bounded("load state", async {
                let mut lease = self.pool.acquire("load state").await?;
                let state = sqlx::query_as(self.statements.load_state())
                    .bind(i32::from(partition.0))
                    .fetch_optional(lease.connection())
                    .await;
                lease.done(Asked::ToServe, state)
            })
            .await?;
        Ok(state.map(|(history, sequence, data)| StateRecord {
            history: History(unsigned(history)),
            sequence: Sequence(unsigned(sequence)),
            data: Bytes::from(data),
        }))
    }

    async fn store(
        &self,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        state.check_size(MAX_STATE_BYTES)?;
        let call = StoreCall::new(partition, records, state)?;
        self.pool
            .bounded("store records", async {
                let mut lease = self.pool.acquire("store records").await?;
                let stored = store(&call, &self.statements, lease.connection()).await;
                lease.done(Asked::ToChangeRecords, stored)
            })
            .await
    }

    async fn collect(&self, partition: PartitionId, horizon: Sequence) -> Result<()> {
        self.pool
            .bounded("collect tombstones", async {
                let mut lease = self.pool.acquire("collect tombstones").await?;
                // A horizon above every sequence that can be stored means all tombstones.
                let collected = sqlx::query(self.statements.collect())
                    .bind(i32::from(partition.0))
                    .bind(i64::try_from(horizon.0).unwrap_or(i64::MAX))
                    .execute(lease.connection())
                    .await;
                lease.done(Asked::ToChangeRecords, collected.map(|_| ()))
            })
            .await
    }

    async fn close(&self) -> Result<()> {
        self.pool.close().await;
        Ok(())
    }
}

/// One statement is a transaction of its own, which spares two round trips.
async fn store(
    call: &StoreCall<'_>,
    statements: &Statements,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    if !call.is_long() {
        return call.run(statements, connection).await;
    }
    let mut transaction = connection.begin().await?;
    call.run(statements, &mut transaction).await?;
    transaction.commit().await
}
