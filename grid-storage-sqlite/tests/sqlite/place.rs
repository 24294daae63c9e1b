//! A file in a directory of its own, and a tokio runtime around it.

use std::future::Future;
use std::path::PathBuf;

use bytes::Bytes;
use grid_core::Result;
use grid_core::traits::{Batch, Storage, Table, Write};
use grid_runtime_tokio::TokioRuntime;
use grid_storage_sqlite::{SqliteOptions, SqlitePersistence, SqliteStorage};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;

/// A fresh directory, and the file in it that the tests use.
#[derive(Debug)]
pub(crate) struct Place {
    directory: TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Place {
    /// A place with `threads` worker threads; 0 runs everything on the calling thread.
    pub(crate) fn new(threads: usize) -> Self {
        let mut builder = match threads {
            0 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        Self {
            directory: TempDir::new().unwrap(),
            runtime: builder
                .worker_threads(threads.max(1))
                .enable_time()
                .build()
                .unwrap(),
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path("it's a store.db")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

pub(crate) async fn storage(path: PathBuf, options: SqliteOptions) -> Result<SqliteStorage> {
    SqliteStorage::open(path, options, &TokioRuntime::current()?).await
}

pub(crate) async fn persistence(path: PathBuf) -> Result<SqlitePersistence> {
    SqlitePersistence::open(path, SqliteOptions::default(), &TokioRuntime::current()?).await
}

/// Lets a trigger of the owner's refuse every record of `key`.
pub(crate) async fn forbid(path: PathBuf, key: &str) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = options.connect().await.unwrap();
    let trigger = format!(
        "CREATE TRIGGER forbid BEFORE INSERT ON records WHEN NEW.key = '{key}'
         BEGIN SELECT RAISE(ABORT, 'no bad keys'); END"
    );
    let query = sqlx::query(AssertSqlSafe(trigger));
    query.execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A batch of puts into the outbox.
pub(crate) fn puts(entries: impl IntoIterator<Item = (String, Bytes)>) -> Batch {
    let put = |(key, value): (String, Bytes)| Write::Put {
        table: Table::Log,
        key: key.into(),
        value,
    };
    Batch {
        precondition: None,
        writes: entries.into_iter().map(put).collect(),
    }
}

/// The keys of the outbox.
pub(crate) async fn keys(store: &dyn Storage) -> Result<Vec<String>> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let after = keys.last().map(|key| key.as_bytes());
        let page = store.scan(&Table::Log, after, 1_000).await?;
        let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
        keys.extend(page.entries.iter().map(|entry| text(&entry.key)));
        if !page.more {
            return Ok(keys);
        }
    }
}
