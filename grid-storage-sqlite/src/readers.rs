//! The connections that read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use grid_core::Result;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{connection, error};

/// Most connections that read at once.
const READERS: u32 = 4;

/// A few connections that only read, made when first needed.
pub(crate) struct Readers {
    path: PathBuf,
    permits: Semaphore,
    idle: Mutex<Vec<SqliteConnection>>,
}

impl Readers {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            permits: Semaphore::new(READERS as usize),
            idle: Mutex::default(),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection of one's own, as soon as one is free.
    pub(crate) async fn acquire(&self, operation: &'static str) -> Result<Reader<'_>> {
        let permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| error::closed(operation, &self.path))?;
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connection::reader(&self.path)
                .await
                .map_err(|error| error::from_sqlx(operation, &self.path, error))?,
        };
        Ok(Reader {
            readers: self,
            connection,
            operation,
            _permit: permit,
        })
    }

    /// Waits for reads that run, and refuses later ones.
    pub(crate) async fn close(&self) -> Result<()> {
        if let Ok(all) = self.permits.acquire_many(READERS).await {
            self.permits.close();
            drop(all);
        }
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            connection
                .close()
                .await
                .map_err(|error| error::from_sqlx("close", &self.path, error))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// One connection in use. Dropped without [`Reader::done`], after an error or when the caller went
/// away, its connection is not used again.
pub(crate) struct Reader<'a> {
    readers: &'a Readers,
    connection: SqliteConnection,
    operation: &'static str,
    _permit: SemaphorePermit<'a>,
}

impl Reader<'_> {
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Gives the connection back, and the result with the error that the grid knows.
    pub(crate) fn done<T>(self, result: Result<T, sqlx::Error>) -> Result<T> {
        match result {
            Ok(value) => {
                self.readers.idle().push(self.connection);
                Ok(value)
            }
            Err(error) => Err(error::from_sqlx(self.operation, &self.readers.path, error)),
        }
    }
}
