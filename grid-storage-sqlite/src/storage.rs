//! The local store in a SQLite file.

use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use grid_core::Result;
use grid_core::traits::{Batch, Entry, Page, Runtime, Storage, StorageCapabilities, Table, Write};
use sqlx::SqliteConnection;

use crate::batch::{BatchJob, space};
use crate::database::Database;
use crate::options::SqliteOptions;
use crate::{MAX_VALUE_BYTES, error, schema};

/// The size at which a page ends before its limit, in bytes.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// A client's local store in a SQLite file.
///
/// Close it before the same process opens the file again: a store that is only dropped releases
/// the file when its task has ended.
///
/// ```
/// use grid_core::traits::{Runtime, Storage, Table};
/// use grid_storage_sqlite::{SqliteOptions, SqliteStorage};
///
/// async fn is_new(runtime: &dyn Runtime) -> grid_core::Result<bool> {
///     let store = SqliteStorage::open("notes.db", SqliteOptions::default(), runtime).await?;
///     let identity = store.get(&Table::Meta, b"identity").await?;
///     store.close().await?;
///     Ok(identity.is_none())
/// }
/// ```
#[derive(Debug)]
pub struct SqliteStorage {
    database: Database,
}

impl SqliteStorage {
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
        let database = Database::open(path.as_ref(), options, &schema::STORE, runtime).await?;
        Ok(Self { database })
    }
}

#[async_trait]
impl Storage for SqliteStorage {
    fn capabilities(&self) -> StorageCapabilities {
        StorageCapabilities {
            survives_process: true,
            survives_power_loss: true,
            exclusive: true,
            max_value_bytes: MAX_VALUE_BYTES,
        }
    }

    async fn get(&self, table: &Table, key: &[u8]) -> Result<Option<Bytes>> {
        let mut reader = self.database.reader("get").await?;
        let value = sqlx::query_scalar("SELECT value FROM entries WHERE space = ? AND key = ?")
            .bind(space(table))
            .bind(key)
            .fetch_optional(reader.connection())
            .await;
        let value: Option<Vec<u8>> = reader.done(value)?;
        Ok(value.map(Bytes::from))
    }

    async fn scan(&self, table: &Table, after: Option<&[u8]>, limit: usize) -> Result<Page> {
        let mut reader = self.database.reader("scan").await?;
        let page = page(reader.connection(), table, after, limit.max(1)).await;
        reader.done(page)
    }

    async fn apply(&self, batch: Batch) -> Result<()> {
        for write in &batch.writes {
            if let Write::Put { value, .. } = write
                && value.len() > MAX_VALUE_BYTES
            {
                return Err(error::too_large("apply batch", value.len()));
            }
        }
        self.database.write(BatchJob::new(batch)).await
    }

    async fn flush(&self) -> Result<()> {
        // A batch that returned is on the disk already.
        self.database.check_open("flush")
    }

    async fn close(&self) -> Result<()> {
        self.database.close().await
    }
}

async fn page(
    connection: &mut SqliteConnection,
    table: &Table,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page, sqlx::Error> {
    // The empty key comes before every key, and is none.
    let mut rows = sqlx::query_as::<_, (Vec<u8>, Vec<u8>)>(
        "SELECT key, value FROM entries WHERE space = ? AND key > ? ORDER BY key LIMIT ?",
    )
    .bind(space(table))
    .bind(after.unwrap_or_default())
    .bind(i64::try_from(limit).map_or(i64::MAX, |limit| limit.saturating_add(1)))
    .fetch(connection);
    let mut page = Page::default();
    let mut bytes = 0;
    while let Some((key, value)) = rows.try_next().await? {
        if page.entries.len() == limit || bytes >= PAGE_BYTES {
            page.more = true;
            break;
        }
        bytes += key.len() + value.len();
        page.entries.push(Entry {
            key: key.into(),
            value: value.into(),
        });
    }
    Ok(page)
}
