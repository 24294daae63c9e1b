//! SQLite: a file each, with a sync for every batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use grid_core::Result;
use grid_core::traits::{AddressedRecord, Persistence, Runtime};
use grid_storage_sqlite::{SqliteOptions, SqlitePersistence};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};
use tempfile::TempDir;

use super::workload::Batch;
use super::{Fresh, Side, Size, drains, failed, rates, sizes};
use crate::figure::Figure;

const SIZES: [Size; 4] =
    sizes!(1: "sqlite_1", 64: "sqlite_64", 1_000: "sqlite_1000", 5_000: "sqlite_5000");
/// Rows of one statement, as in the backend.
const ROWS: usize = 128;
/// The state record, as in the backend.
const STATE: &str = "
    INSERT INTO states (partition, history, sequence, data) VALUES (?, ?, ?, ?)
    ON CONFLICT (partition) DO UPDATE SET
        history = excluded.history, sequence = excluded.sequence, data = excluded.data
    WHERE excluded.history <> history OR excluded.sequence >= sequence";

/// Measures files in the working directory: the system's temporary one is often memory, where a
/// sync is free.
pub(super) async fn measure(runtime: &Arc<dyn Runtime>) -> Result<Vec<Figure>> {
    let directory = tempfile::tempdir_in(".").map_err(failed)?;
    let path = directory.path().join("ours.db");
    let ours = SqlitePersistence::open(path, SqliteOptions::default(), &**runtime).await?;
    let mut bare = Bare::new(runtime).await?;
    let stored = rates(&SIZES, runtime, &ours, &mut bare).await;
    ours.close().await?;
    let stored = stored?;
    let drained = drains(&SIZES, &stored, runtime, &mut bare, &mut Files(None)).await?;
    Ok([stored, drained].concat())
}

/// A file for each drain.
struct Files(Option<TempDir>);

#[async_trait]
impl Fresh for Files {
    async fn make(&mut self, runtime: &Arc<dyn Runtime>) -> Result<Arc<dyn Persistence>> {
        let folder = tempfile::tempdir_in(".").map_err(failed)?;
        let path = self.0.insert(folder).path().join("drain.db");
        let opened = SqlitePersistence::open(path, SqliteOptions::default(), &**runtime).await?;
        Ok(Arc::new(opened))
    }

    async fn remove(&mut self) -> Result<()> {
        self.0 = None;
        Ok(())
    }
}

/// A connection to a file with the backend's tables and settings.
struct Bare {
    connection: SqliteConnection,
    _folder: TempDir,
    /// The statements, by how many rows they are for.
    statements: BTreeMap<usize, Arc<str>>,
    runtime: Arc<dyn Runtime>,
}

impl Bare {
    async fn new(runtime: &Arc<dyn Runtime>) -> Result<Self> {
        let folder = tempfile::tempdir_in(".").map_err(failed)?;
        let path = folder.path().join("bare.db");
        SqlitePersistence::open(&path, SqliteOptions::default(), &**runtime)
            .await?
            .close()
            .await?;
        let connection = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(false)
            .pragma("wal_autocheckpoint", "4096")
            .pragma("journal_size_limit", "67108864")
            .pragma("cache_size", "-8192")
            .disable_statement_logging()
            .connect()
            .await
            .map_err(failed)?;
        Ok(Self {
            connection,
            _folder: folder,
            statements: BTreeMap::new(),
            runtime: Arc::clone(runtime),
        })
    }

    async fn run(&mut self, batch: &Batch) -> Result<(), sqlx::Error> {
        let connection = &mut self.connection;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut *connection)
            .await?;
        // All of one map.
        let names = batch.records.first().map(|first| {
            let name = |name: &str| Arc::<str>::from(name);
            (
                name(first.address.namespace.as_str()),
                name(first.address.map.as_str()),
            )
        });
        let (namespace, map) = names.unwrap_or_default();
        for rows in batch.records.chunks(ROWS) {
            let statement = self
                .statements
                .entry(rows.len())
                .or_insert_with(|| upsert(rows.len()).into());
            let mut query = sqlx::query(AssertSqlSafe(Arc::clone(statement)));
            for AddressedRecord { record, .. } in rows {
                query = query
                    .bind(batch.partition.0)
                    .bind(Arc::clone(&namespace))
                    .bind(Arc::clone(&map))
                    .bind(record.key.as_str())
                    .bind(batch.state.history.0.cast_signed())
                    .bind(record.sequence.0.cast_signed())
                    .bind(record.stamp.hlc.as_u64().cast_signed())
                    .bind(record.stamp.op.run.0.cast_signed())
                    .bind(record.stamp.op.number.cast_signed())
                    .bind(None::<i64>)
                    .bind(record.value.as_deref());
            }
            query.execute(&mut *connection).await?;
        }
        sqlx::query(STATE)
            .bind(batch.partition.0)
            .bind(batch.state.history.0.cast_signed())
            .bind(batch.state.sequence.0.cast_signed())
            .bind(&*batch.state.data)
            .execute(&mut *connection)
            .await?;
        sqlx::query("COMMIT").execute(&mut *connection).await?;
        Ok(())
    }
}

#[async_trait]
impl Side for Bare {
    async fn store(&mut self, batch: &Batch) -> Result<()> {
        self.run(batch).await.map_err(failed)
    }

    async fn clear(&mut self) -> Result<()> {
        *self = Self::new(&self.runtime).await?;
        Ok(())
    }
}

/// The statement for so many rows.
fn upsert(rows: usize) -> String {
    let values = vec!["(?,?,?,?,?,?,?,?,?,?,?)"; rows].join(",");
    format!(
        "INSERT INTO records VALUES {values}
         ON CONFLICT (partition, namespace, map, key) DO UPDATE SET
             history = excluded.history, sequence = excluded.sequence, hlc = excluded.hlc,
             run = excluded.run, number = excluded.number,
             expires_at_ms = excluded.expires_at_ms, value = excluded.value
         WHERE excluded.history <> history OR excluded.sequence >= sequence"
    )
}

#[cfg(test)]
mod tests {
    use grid_core::PartitionId;

    use super::super::tests::with_runtime;
    use super::*;

    /// All columns of both tables.
    async fn rows(connection: &mut SqliteConnection) -> Vec<String> {
        let both = "SELECT concat_ws(' ', partition, namespace, map, key, history, sequence, hlc,
                 run, number, quote(expires_at_ms), quote(value)) FROM records
             UNION ALL SELECT concat_ws(' ', partition, history, sequence, quote(data)) FROM states
             ORDER BY 1";
        let rows = sqlx::query_scalar(both).fetch_all(connection);
        rows.await.unwrap()
    }

    #[test]
    fn both_sides_leave_the_same_rows() {
        with_runtime(async |runtime| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("ours.db");
            let options = SqliteOptions::default();
            let ours = SqlitePersistence::open(&path, options, &*runtime)
                .await
                .unwrap();
            let mut bare = Bare::new(&runtime).await.unwrap();
            for number in 0..2 {
                let batch = Batch::new(PartitionId(3), number, 8).unwrap();
                let stored = ours.store(batch.partition, &batch.records, &batch.state);
                stored.await.unwrap();
                bare.store(&batch).await.unwrap();
            }
            let mut ours = SqliteConnectOptions::new()
                .filename(path)
                .connect()
                .await
                .unwrap();
            let expected = rows(&mut ours).await;
            assert_eq!(expected.len(), 12 + 1);
            assert_eq!(rows(&mut bare.connection).await, expected);
        });
    }
}
