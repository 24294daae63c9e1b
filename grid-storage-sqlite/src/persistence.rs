//! The system of record in a SQLite file.

use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use grid_core::limits::RECORD_PAGE_BYTES;
use grid_core::traits::{
    AddressedRecord, Persistence, PersistenceCapabilities, RecordCursor, RecordPage, Runtime,
    StateRecord,
};
use grid_core::{History, PartitionId, Result, Sequence};
use sqlx::SqliteConnection;

use crate::database::Database;
use crate::options::SqliteOptions;
use crate::records::{CollectJob, RecordRow, StoreJob, unsigned};
use crate::{MAX_STATE_BYTES, MAX_VALUE_BYTES, error, schema};

const LOAD: &str = "
    SELECT namespace, map, key, sequence, hlc, run, number, expires_at_ms, value
    FROM records
    WHERE partition = ? AND (namespace, map, key) > (?, ?, ?)
    ORDER BY namespace, map, key LIMIT ?";

/// A server's system of record in a SQLite file.
///
/// Close it before the same process opens the file again: one that is only dropped releases the
/// file when its task has ended.
///
/// ```
/// use grid_core::PartitionId;
/// use grid_core::traits::{Persistence, Runtime};
/// use grid_storage_sqlite::{SqliteOptions, SqlitePersistence};
///
/// async fn is_new(runtime: &dyn Runtime) -> grid_core::Result<bool> {
///     let records = SqlitePersistence::open("grid.db", SqliteOptions::default(), runtime).await?;
///     let state = records.load_state(PartitionId(0)).await?;
///     records.close().await?;
///     Ok(state.is_none())
/// }
/// ```
#[derive(Debug)]
pub struct SqlitePersistence {
    database: Database,
}

impl SqlitePersistence {
    /// Opens the file at `path`, making it if it is missing. Its directory must exist.
    ///
    /// # Errors
    /// `Locked` when it is open already, `NotFound` when its directory is missing, `Corrupt` when
    /// it is damaged or no database, `Version` when its schema is another version's, `Invalid`
    /// when it is somebody else's.
    pub async fn open(
        path: impl AsRef<Path>,
        options: SqliteOptions,
        runtime: &dyn Runtime,
    ) -> Result<Self> {
        let database = Database::open(path.as_ref(), options, &schema::RECORDS, runtime).await?;
        Ok(Self { database })
    }
}

#[async_trait]
impl Persistence for SqlitePersistence {
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
        let mut reader = self.database.reader("load records").await?;
        let rows = rows(reader.connection(), partition, after, limit.max(1)).await;
        let (rows, more) = reader.done(rows)?;
        let records: Result<Vec<AddressedRecord>> =
            rows.into_iter().map(RecordRow::into_record).collect();
        Ok(RecordPage {
            records: records.map_err(|source| error::damaged_row(self.database.path(), source))?,
            more,
        })
    }

    async fn load_state(&self, partition: PartitionId) -> Result<Option<StateRecord>> {
        let mut reader = self.database.reader("load state").await?;
        let state =
            sqlx::query_as("SELECT history, sequence, data FROM states WHERE partition = ?")
                .bind(partition.0)
                .fetch_optional(reader.connection())
                .await;
        let state: Option<(i64, i64, Vec<u8>)> = reader.done(state)?;
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
        self.database
            .write(StoreJob::new(partition, records, state)?)
            .await
    }

    async fn collect(&self, partition: PartitionId, horizon: Sequence) -> Result<()> {
        self.database
            .write(CollectJob::new(partition, horizon))
            .await
    }

    async fn close(&self) -> Result<()> {
        self.database.close().await
    }
}

/// The rows of a page, and whether there may be more.
async fn rows(
    connection: &mut SqliteConnection,
    partition: PartitionId,
    after: Option<&RecordCursor>,
    limit: usize,
) -> Result<(Vec<RecordRow>, bool), sqlx::Error> {
    // Empty names come before every name, and are none.
    let (namespace, map, key) = after.map_or(("", "", ""), |cursor| {
        let address = &cursor.address;
        let (namespace, map) = (address.namespace.as_str(), address.map.as_str());
        (namespace, map, cursor.key.as_str())
    });
    let mut stream = sqlx::query_as::<_, RecordRow>(LOAD)
        .bind(partition.0)
        .bind(namespace)
        .bind(map)
        .bind(key)
        .bind(i64::try_from(limit).map_or(i64::MAX, |limit| limit.saturating_add(1)))
        .fetch(connection);
    let mut rows = Vec::new();
    let mut bytes = 0;
    while let Some(row) = stream.try_next().await? {
        if rows.len() == limit || bytes >= RECORD_PAGE_BYTES {
            return Ok((rows, true));
        }
        bytes += row.bytes();
        rows.push(row);
    }
    Ok((rows, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::tests::plan;
    use crate::schema::RECORDS;

    #[test]
    fn a_page_starts_at_its_cursor_and_needs_no_sorting() {
        let plan = plan(&RECORDS, LOAD);
        assert!(plan.contains("SEARCH records USING PRIMARY KEY"), "{plan}");
        assert!(plan.contains("namespace"), "the cursor takes part: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}
