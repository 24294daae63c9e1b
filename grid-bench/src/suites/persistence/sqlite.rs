//! SQLite: a file each, with a sync for every batch.

use std::sync::Arc;

use async_trait::async_trait;
use grid_core::Result;
use grid_core::traits::{Persistence, Runtime};
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

const TABLES: &str = "
    CREATE TABLE records (partition INTEGER NOT NULL, namespace TEXT NOT NULL, map TEXT NOT NULL,
        key TEXT NOT NULL, history INTEGER NOT NULL, sequence INTEGER NOT NULL,
        hlc INTEGER NOT NULL, run INTEGER NOT NULL, number INTEGER NOT NULL,
        expires_at_ms INTEGER, value BLOB,
        PRIMARY KEY (partition, namespace, map, key)) STRICT, WITHOUT ROWID;
    CREATE INDEX tombstones ON records (partition, sequence) WHERE value IS NULL;
    CREATE TABLE states (partition INTEGER NOT NULL PRIMARY KEY, history INTEGER NOT NULL,
        sequence INTEGER NOT NULL, data BLOB NOT NULL) STRICT;";

/// Measures files in the working directory: the system's temporary one is often memory, where a
/// sync is free.
pub(super) async fn measure(runtime: &Arc<dyn Runtime>) -> Result<Vec<Figure>> {
    let directory = tempfile::tempdir_in(".").map_err(failed)?;
    let path = directory.path().join("ours.db");
    let ours = SqlitePersistence::open(path, SqliteOptions::default(), &**runtime).await?;
    let mut bare = SqliteConnectOptions::new()
        .filename(directory.path().join("bare.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "4096")
        .pragma("cache_size", "-8192")
        .disable_statement_logging()
        .connect()
        .await
        .map_err(failed)?;
    sqlx::raw_sql(TABLES)
        .execute(&mut bare)
        .await
        .map_err(failed)?;
    let mut bare = Bare(bare);
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

struct Bare(SqliteConnection);

impl Bare {
    async fn run(&mut self, batch: &Batch) -> Result<(), sqlx::Error> {
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.0).await?;
        for rows in batch.records.chunks(ROWS) {
            let values = vec!["(?,?,?,?,?,?,?,?,?,?,?)"; rows.len()].join(",");
            let statement = format!(
                "INSERT INTO records VALUES {values}
                 ON CONFLICT (partition, namespace, map, key) DO UPDATE SET
                     history = excluded.history, sequence = excluded.sequence, hlc = excluded.hlc,
                     run = excluded.run, number = excluded.number,
                     expires_at_ms = excluded.expires_at_ms, value = excluded.value
                 WHERE excluded.history <> history OR excluded.sequence >= sequence"
            );
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for row in rows {
                let record = &row.record;
                query = query
                    .bind(batch.partition.0)
                    .bind("default")
                    .bind("bench")
                    .bind(record.key.as_str())
                    .bind(batch.state.history.0.cast_signed())
                    .bind(record.sequence.0.cast_signed())
                    .bind(record.stamp.hlc.as_u64().cast_signed())
                    .bind(record.stamp.op.run.0.cast_signed())
                    .bind(record.stamp.op.number.cast_signed())
                    .bind(None::<i64>)
                    .bind(record.value.as_deref());
            }
            query.execute(&mut self.0).await?;
        }
        sqlx::query("INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?)")
            .bind(batch.partition.0)
            .bind(batch.state.history.0.cast_signed())
            .bind(batch.state.sequence.0.cast_signed())
            .bind(&*batch.state.data)
            .execute(&mut self.0)
            .await?;
        sqlx::query("COMMIT").execute(&mut self.0).await?;
        Ok(())
    }
}

#[async_trait]
impl Side for Bare {
    async fn store(&mut self, batch: &Batch) -> Result<()> {
        self.run(batch).await.map_err(failed)
    }

    async fn clear(&mut self) -> Result<()> {
        let clear = sqlx::raw_sql("DELETE FROM records; DELETE FROM states");
        clear.execute(&mut self.0).await.map_err(failed)?;
        Ok(())
    }
}
