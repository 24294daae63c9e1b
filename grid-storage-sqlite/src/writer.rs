//! The one task that writes to a file, and gathers what waits into one transaction.

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use grid_core::{Error, Result};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use crate::lock::FileLock;
use crate::options::SqliteOptions;
use crate::schema::Schema;
use crate::{connection, error};

/// Most jobs in one transaction, and most that wait for the next.
pub(crate) const MAX_GROUP_JOBS: usize = 256;
/// The size beyond which no more jobs join a transaction, in bytes.
const MAX_GROUP_BYTES: usize = 8 * 1024 * 1024;

/// Changes that belong together.
#[async_trait]
pub(crate) trait Job: Send + Sync + 'static {
    /// What is done, for errors.
    fn operation(&self) -> &'static str;

    /// About how many bytes are written.
    fn bytes(&self) -> usize;

    /// Makes the changes within a transaction that others share.
    async fn run(&self, connection: &mut SqliteConnection) -> Result<Outcome, sqlx::Error>;
}

/// How a job ended within its transaction.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Everything is written.
    Done,
    /// Nothing is written, for this reason.
    Refused(Error),
}

/// A job, and who waits for it.
pub(crate) struct Request {
    pub(crate) job: Box<dyn Job>,
    pub(crate) reply: oneshot::Sender<Result<()>>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("operation", &self.job.operation())
            .finish_non_exhaustive()
    }
}

/// What the writer task owns. The lock comes last, so that it goes last.
pub(crate) struct Writer {
    pub(crate) path: PathBuf,
    pub(crate) options: SqliteOptions,
    pub(crate) schema: &'static Schema,
    /// `None` after a failure that left the connection in doubt.
    pub(crate) connection: Option<SqliteConnection>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) done: oneshot::Sender<Result<()>>,
    pub(crate) lock: FileLock,
}

impl Writer {
    /// Runs until every sender of requests is gone, then releases the file.
    pub(crate) async fn run(mut self) {
        while let Some(first) = self.requests.recv().await {
            let mut bytes = first.job.bytes();
            let mut group = vec![first];
            while group.len() < MAX_GROUP_JOBS && bytes < MAX_GROUP_BYTES {
                let Ok(next) = self.requests.try_recv() else {
                    break;
                };
                bytes += next.job.bytes();
                group.push(next);
            }
            self.commit(group).await;
        }
        let result = self.finish().await;
        drop(self.lock);
        // Nobody waits when the owner was dropped instead of closed.
        self.done.send(result).ok();
    }

    async fn commit(&mut self, group: Vec<Request>) {
        let (jobs, replies): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|request| (request.job, request.reply))
            .unzip();
        let results = match self.transaction(&jobs).await {
            Ok(results) => results,
            Err(error) if jobs.len() == 1 => vec![Err(error)],
            Err(error) => {
                tracing::debug!(jobs = jobs.len(), %error, "a group failed; each is tried alone");
                self.one_by_one(&jobs).await
            }
        };
        for (reply, result) in replies.into_iter().zip(results) {
            // A caller that went away does not want to know.
            reply.send(result).ok();
        }
    }

    async fn one_by_one(&mut self, jobs: &[Box<dyn Job>]) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(jobs.len());
        for job in jobs {
            let result = self.transaction(std::slice::from_ref(job)).await;
            results.push(result.and_then(|results| results.into_iter().collect()));
        }
        results
    }

    /// One transaction for all of `jobs`: the outcome of each, or an error and nothing written.
    async fn transaction(&mut self, jobs: &[Box<dyn Job>]) -> Result<Vec<Result<()>>> {
        // Taken out: should this task end in the middle, the connection ends with it.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connection::writer(&self.path, &self.options, self.schema).await?,
        };
        let result = attempt(&mut connection, jobs).await;
        match result {
            Ok(results) => {
                self.connection = Some(connection);
                Ok(results)
            }
            Err(error) => {
                self.recover(connection).await;
                let operation = jobs.first().map_or("write", |job| job.operation());
                Err(error::from_sqlx(operation, &self.path, error))
            }
        }
    }

    /// Ends the transaction that failed. SQLite may have ended it already, and then refuses to
    /// roll back: a new connection is free of doubt.
    async fn recover(&mut self, mut connection: SqliteConnection) {
        match execute(&mut connection, "ROLLBACK").await {
            Ok(()) => self.connection = Some(connection),
            Err(error) => {
                tracing::debug!(%error, "the writer reconnects after a failed transaction");
            }
        }
    }

    /// Moves the write-ahead log into the file, so that the file is all there is.
    async fn finish(&mut self) -> Result<()> {
        let Some(mut connection) = self.connection.take() else {
            return Ok(());
        };
        let checkpoint = execute(&mut connection, "PRAGMA wal_checkpoint(TRUNCATE)").await;
        let close = connection.close().await;
        checkpoint
            .and(close)
            .map_err(|error| error::from_sqlx("close", &self.path, error))
    }
}

async fn attempt(
    connection: &mut SqliteConnection,
    jobs: &[Box<dyn Job>],
) -> Result<Vec<Result<()>>, sqlx::Error> {
    execute(connection, "BEGIN IMMEDIATE").await?;
    let mut results = Vec::with_capacity(jobs.len());
    for job in jobs {
        results.push(match job.run(connection).await? {
            Outcome::Done => Ok(()),
            Outcome::Refused(error) => Err(error),
        });
    }
    execute(connection, "COMMIT").await?;
    Ok(results)
}

async fn execute(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(sql).execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use grid_core::ErrorKind;
    use grid_runtime_tokio::TokioRuntime;

    use super::*;
    use crate::database::Database;
    use crate::schema::STORE;

    /// Writes a key, and then fails if it is told to, as no batch of the grid can be made to.
    struct Insert {
        key: &'static str,
        fails: bool,
    }

    #[async_trait]
    impl Job for Insert {
        fn operation(&self) -> &'static str {
            "insert"
        }

        fn bytes(&self) -> usize {
            self.key.len()
        }

        async fn run(&self, connection: &mut SqliteConnection) -> Result<Outcome, sqlx::Error> {
            sqlx::query("INSERT INTO entries (space, key, value) VALUES ('meta', ?, x'')")
                .bind(self.key.as_bytes())
                .execute(&mut *connection)
                .await?;
            if self.fails {
                execute(connection, "SELECT nothing FROM nowhere").await?;
            }
            Ok(Outcome::Done)
        }
    }

    #[test]
    fn a_statement_that_fails_is_undone_and_the_writer_goes_on() {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        tokio.block_on(async {
            let runtime = TokioRuntime::current().unwrap();
            let path = directory.path().join("store.db");
            let database = Database::open(&path, SqliteOptions::default(), &STORE, &runtime)
                .await
                .unwrap();
            // At once, so that they share a group; and then one at a time.
            let jobs = [("a", false), ("b", true), ("c", false)];
            let write = |(key, fails)| database.write(Insert { key, fails });
            let together = join_all(jobs.map(write)).await;
            let kinds: Vec<Option<ErrorKind>> = together
                .into_iter()
                .map(|result| result.err().map(|error| error.kind()))
                .collect();
            assert_eq!(kinds, [None, Some(ErrorKind::Internal), None]);
            for (key, fails) in [("d", true), ("e", false)] {
                let result = database.write(Insert { key, fails }).await;
                assert_eq!(result.is_err(), fails, "{key}");
            }
            let mut reader = database.reader("read").await.unwrap();
            let keys: Vec<Vec<u8>> = sqlx::query_scalar("SELECT key FROM entries ORDER BY key")
                .fetch_all(reader.connection())
                .await
                .unwrap();
            assert_eq!(keys, [b"a", b"c", b"e"]);
            drop(reader);
            database.close().await.unwrap();
        });
    }
}
