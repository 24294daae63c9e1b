//! How connections to a file are made.

use std::path::Path;
use std::time::Duration;

use grid_core::{Error, ErrorKind, Result};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};

use crate::error::from_sqlx;
use crate::options::SqliteOptions;
use crate::schema::Schema;

/// How long a statement waits for a lock that some other program holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows that a connection's thread reads ahead.
const ROWS_AHEAD: usize = 512;
/// The page cache of each connection, in KiB.
const CACHE_KIB: u32 = 8 * 1024;
/// Pages of 4 KiB in the write-ahead log that start a checkpoint (16 MiB): a page that many
/// batches change is then written to the file once.
const CHECKPOINT_PAGES: u32 = 4096;
/// The size to which the write-ahead log is cut after a checkpoint, in bytes.
const LOG_KEPT_BYTES: u32 = 64 * 1024 * 1024;

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(false)
        .row_buffer_size(ROWS_AHEAD)
        .disable_statement_logging()
}

/// The connection that writes; makes the file if it is missing and checks that it is `schema`'s.
pub(crate) async fn writer(
    path: &Path,
    limits: &SqliteOptions,
    schema: &Schema,
) -> Result<SqliteConnection> {
    let failed = |error| from_sqlx("open sqlite", path, error);
    let mut connection = options(path)
        .create_if_missing(true)
        .connect()
        .await
        .map_err(failed)?;
    // Before anything is set: a file of somebody else stays as it is.
    schema.prepare(&mut connection, path).await?;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode = WAL")
        .fetch_one(&mut connection)
        .await
        .map_err(failed)?;
    if mode != "wal" {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "open sqlite",
            "the file system cannot keep a write-ahead log; use a local disk",
        )
        .with("path", path.display()));
    }
    let mut pragmas = format!(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = {LOG_KEPT_BYTES}; PRAGMA cache_size = -{CACHE_KIB};"
    );
    if let Some(pages) = limits.max_pages() {
        pragmas.push_str(&format!("PRAGMA max_page_count = {pages};"));
    }
    sqlx::raw_sql(AssertSqlSafe(pragmas))
        .execute(&mut connection)
        .await
        .map_err(failed)?;
    Ok(connection)
}

/// A connection that only reads.
pub(crate) async fn reader(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    options(path)
        .read_only(true)
        .pragma("cache_size", format!("-{CACHE_KIB}"))
        .connect()
        .await
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::schema::STORE;

    /// How SQLite goes about `sql` in a new file of `schema`.
    pub(crate) fn plan(schema: &'static Schema, sql: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("plan.db");
        grid_testkit::block_on(async {
            let mut connection = writer(&path, &SqliteOptions::default(), schema)
                .await
                .unwrap();
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
            let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain)
                .fetch_all(&mut connection)
                .await
                .unwrap();
            let steps: Vec<String> = steps.into_iter().map(|step| step.3).collect();
            steps.join("; ")
        })
    }

    #[test]
    fn what_returned_is_synced_to_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        grid_testkit::block_on(async {
            let mut connection = writer(&path, &SqliteOptions::default(), &STORE)
                .await
                .unwrap();
            let modes: (i64, String) = sqlx::query_as(
                "SELECT (SELECT synchronous FROM pragma_synchronous),
                        (SELECT journal_mode FROM pragma_journal_mode)",
            )
            .fetch_one(&mut connection)
            .await
            .unwrap();
            const FULL: i64 = 2;
            assert_eq!(modes, (FULL, "wal".to_owned()));
        });
    }
}
