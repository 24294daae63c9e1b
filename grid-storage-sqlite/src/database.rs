//! One opening of a file: its writer task, its readers, and how it ends.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use grid_core::traits::Runtime;
use grid_core::{Error, ErrorKind, Result};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use crate::lock::FileLock;
use crate::options::SqliteOptions;
use crate::readers::{Reader, Readers};
use crate::schema::Schema;
use crate::writer::{Job, MAX_GROUP_JOBS, Request, Writer};
use crate::{connection, error, place};

/// One opening of a file.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    readers: Readers,
    /// `None` once closed.
    writer: Mutex<Option<mpsc::Sender<Request>>>,
    /// What the writer says when it has ended; `None` once somebody heard it.
    ended: AsyncMutex<Option<oneshot::Receiver<Result<()>>>>,
}

impl Database {
    pub(crate) async fn open(
        path: &Path,
        options: SqliteOptions,
        schema: &'static Schema,
        runtime: &dyn Runtime,
    ) -> Result<Self> {
        let path = place::resolve(path)?;
        let lock = FileLock::take(&path)?;
        let connection = connection::writer(&path, &options, schema).await?;
        let (sender, requests) = mpsc::channel(MAX_GROUP_JOBS);
        let (done, ended) = oneshot::channel();
        let writer = Writer {
            path: path.clone(),
            options,
            schema,
            connection: Some(connection),
            requests,
            done,
            lock,
        };
        runtime.spawn("sqlite writer", Box::pin(writer.run()));
        Ok(Self {
            readers: Readers::new(&path),
            path,
            writer: Mutex::new(Some(sender)),
            ended: AsyncMutex::new(Some(ended)),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn writer(&self) -> Option<mpsc::Sender<Request>> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.clone()
    }

    /// Whether [`Database::close`] was not called yet.
    pub(crate) fn check_open(&self, operation: &'static str) -> Result<()> {
        match self.writer() {
            Some(_) => Ok(()),
            None => Err(error::closed(operation, &self.path)),
        }
    }

    pub(crate) async fn reader(&self, operation: &'static str) -> Result<Reader<'_>> {
        self.readers.acquire(operation).await
    }

    /// Returns when the job is durable, or has left nothing.
    pub(crate) async fn write(&self, job: impl Job) -> Result<()> {
        let operation = job.operation();
        let closed = || error::closed(operation, &self.path);
        let writer = self.writer().ok_or_else(closed)?;
        let (reply, result) = oneshot::channel();
        let job = Box::new(job);
        let request = Request { job, reply };
        writer.send(request).await.map_err(|_| closed())?;
        drop(writer);
        result.await.map_err(|_| {
            Error::new(
                ErrorKind::Closed,
                operation,
                "the writer ended; whether this was written shows when the file is opened again",
            )
            .with("path", self.path.display())
        })?
    }

    /// Ends reading, then writing, then releases the file. May be called again, and awaited by
    /// several.
    pub(crate) async fn close(&self) -> Result<()> {
        let mut ended = self.ended.lock().await;
        let Some(writer_ended) = ended.as_mut() else {
            return Ok(());
        };
        self.writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let readers = self.readers.close().await;
        let writer = writer_ended.await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Internal,
                "close",
                "the writer's task ended early; what returned is safe",
            ))
        });
        *ended = None;
        writer.and(readers)
    }
}
