//! A bounded number of connections, each made when first needed and replaced when it is lost.
//!
//! Not sqlx's pool: that asks the server whether a connection lives before and after every use,
//! which costs more than a small batch does. Here only one that lay idle is asked.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{Either, select};
use grid_core::traits::Runtime;
use grid_core::{Error, ErrorKind, Result};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use crate::error::Asked;
use crate::options::PostgresOptions;
use crate::{error, schema};

/// How long a connection may lie idle before it is asked whether it still lives.
const IDLE_UNASKED: Duration = Duration::from_secs(1);
/// How long that answer may take.
const ANSWER: Duration = Duration::from_secs(2);

/// The connections to one database.
pub(crate) struct Pool {
    options: PostgresOptions,
    runtime: Arc<dyn Runtime>,
    permits: Semaphore,
    idle: Mutex<Vec<Idle>>,
    /// Whether the tables were seen to be there in the right version.
    prepared: OnceCell<()>,
}

struct Idle {
    connection: PgConnection,
    since: Duration,
}

impl Pool {
    pub(crate) fn new(options: PostgresOptions, runtime: Arc<dyn Runtime>) -> Self {
        let connections = usize::try_from(options.max_connections()).unwrap_or(usize::MAX);
        Self {
            permits: Semaphore::new(connections.min(Semaphore::MAX_PERMITS)),
            options,
            runtime,
            idle: Mutex::default(),
            prepared: OnceCell::new(),
        }
    }

    pub(crate) fn options(&self) -> &PostgresOptions {
        &self.options
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bounds a whole call, for a server that never answers. What the call did is unknown then.
    pub(crate) async fn bounded<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let limit = self.options.call_timeout();
        self.within(limit, call).await.unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::Timeout,
                operation,
                format!("the database did not answer within {} s", limit.as_secs()),
            )
            .with("database", &self.options))
        })
    }

    async fn within<T>(&self, limit: Duration, call: impl Future<Output = T>) -> Option<T> {
        futures::pin_mut!(call);
        match select(call, self.runtime.sleep(limit)).await {
            Either::Left((value, _)) => Some(value),
            Either::Right(_) => None,
        }
    }

    /// A connection of one's own, as soon as one is free.
    pub(crate) async fn acquire(&self, operation: &'static str) -> Result<Lease<'_>> {
        let permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| error::closed(operation, &self.options))?;
        let mut connection = match self.living().await {
            Some(connection) => connection,
            None => self.connect(operation).await?,
        };
        self.prepared
            .get_or_try_init(|| schema::prepare(&mut connection, &self.options))
            .await?;
        Ok(Lease {
            pool: self,
            connection,
            operation,
            _permit: permit,
        })
    }

    /// An idle connection that lives.
    async fn living(&self) -> Option<PgConnection> {
        let newest = self.idle().pop()?;
        let mut connection = newest.connection;
        if self.runtime.monotonic().saturating_sub(newest.since) < IDLE_UNASKED {
            return Some(connection);
        }
        match self.within(ANSWER, connection.ping()).await {
            Some(Ok(())) => Some(connection),
            _ => {
                self.forget_idle();
                None
            }
        }
    }

    /// Lets go of all idle connections: what ended one has mostly ended all.
    fn forget_idle(&self) {
        let lost = std::mem::take(&mut *self.idle());
        if !lost.is_empty() {
            tracing::debug!(connections = lost.len(), "connections are made anew");
        }
    }

    async fn connect(&self, operation: &'static str) -> Result<PgConnection> {
        let limit = self.options.connect_timeout();
        match self.within(limit, self.options.connect().connect()).await {
            Some(made) => made.map_err(|error| {
                error::from_sqlx(operation, &self.options, Asked::ToServe, &error)
            }),
            None => Err(Error::new(
                ErrorKind::Unavailable,
                operation,
                format!(
                    "the database took no connection within {} s",
                    limit.as_secs()
                ),
            )
            .with("database", &self.options)),
        }
    }

    /// Waits for calls that run, and refuses later ones.
    pub(crate) async fn close(&self) {
        if let Ok(all) = self
            .permits
            .acquire_many(self.options.max_connections())
            .await
        {
            self.permits.close();
            drop(all);
        }
        let idle = std::mem::take(&mut *self.idle());
        for idle in idle {
            // The server forgets a connection that just ends, too.
            if let Err(error) = idle.connection.close().await {
                tracing::debug!(%error, "a connection did not end in order");
            }
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// One connection in use. Dropped without [`Lease::done`], because the caller went away or ran out
/// of time, it is not used again.
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    connection: PgConnection,
    operation: &'static str,
    _permit: SemaphorePermit<'a>,
}

impl Lease<'_> {
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Gives the connection back, and the result with the error that the grid knows.
    pub(crate) fn done<T>(self, asked: Asked, result: Result<T, sqlx::Error>) -> Result<T> {
        let pool = self.pool;
        match &result {
            Err(error) if !error::keeps_connection(error) => pool.forget_idle(),
            _ => pool.idle().push(Idle {
                connection: self.connection,
                since: pool.runtime.monotonic(),
            }),
        }
        result.map_err(|error| error::from_sqlx(self.operation, &pool.options, asked, &error))
    }
}
