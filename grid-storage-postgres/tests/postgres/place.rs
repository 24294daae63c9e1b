//! A schema of one's own on the server of the tests, and a tokio runtime around it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use grid_core::Result;
use grid_core::traits::Runtime;
use grid_runtime_tokio::TokioRuntime;
use grid_storage_postgres::{PostgresOptions, PostgresPersistence};
use grid_testkit::servers::postgres_url;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// A schema that no other test uses; removed when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    server: String,
    schema: String,
    runtime: tokio::runtime::Runtime,
}

impl Place {
    /// A place with `threads` worker threads; 0 runs everything on the calling thread.
    pub(crate) fn new(threads: usize) -> Self {
        Self::on(postgres_url(), threads)
    }

    /// A place on the server at `url`.
    pub(crate) fn on(server: String, threads: usize) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        #[expect(clippy::disallowed_methods, reason = "a name that no earlier run left")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let schema = format!("test_{:x}_{}_{number}", now.as_micros(), std::process::id());
        let mut builder = match threads {
            0 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        Self {
            server,
            schema,
            runtime: builder
                .worker_threads(threads.max(1))
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// The place as a URL, with more parameters.
    pub(crate) fn url(&self, parameters: &str) -> String {
        let (server, schema) = (&self.server, &self.schema);
        let joint = if server.contains('?') { '&' } else { '?' };
        format!("{server}{joint}schema={schema}{parameters}")
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) async fn open(&self) -> Result<PostgresPersistence> {
        open(&self.url("")).await
    }

    /// A connection of a user of SQL, in this schema.
    pub(crate) async fn connect(&self) -> PgConnection {
        let mut connection = PgConnection::connect(&self.server).await.unwrap();
        run(
            &mut connection,
            &format!("SET search_path TO {}", self.schema),
        )
        .await;
        connection
    }

    /// Runs statements of a user of SQL, in this schema, on a connection of their own.
    pub(crate) async fn run(&self, statements: &str) {
        run(&mut self.connect().await, statements).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (server, schema) = (&self.server, &self.schema);
        let removed = self.runtime.block_on(async {
            let mut connection = PgConnection::connect(server).await?;
            let statement = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
            sqlx::raw_sql(AssertSqlSafe(statement))
                .execute(&mut connection)
                .await
        });
        if let Err(error) = removed {
            eprintln!("the schema {schema} is left behind: {error}");
        }
    }
}

pub(crate) async fn open(url: &str) -> Result<PostgresPersistence> {
    PostgresPersistence::open(PostgresOptions::from_url(url)?, runtime()).await
}

pub(crate) fn runtime() -> Arc<dyn Runtime> {
    Arc::new(TokioRuntime::current().unwrap())
}

/// Runs statements of a user of SQL.
pub(crate) async fn run(connection: &mut PgConnection, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(connection)
        .await
        .unwrap();
}
