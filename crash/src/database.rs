//! The database: started once for a run, killed and started again, and read past the server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use grid_core::traits::{Persistence, Runtime};
use grid_core::{Error, ErrorKind, Result};
use grid_testkit::servers::{MongoServer, PostgresServer};

use crate::arguments::StoreKind;
use crate::wait::blocking;

/// How often a start is tried, ...
const STARTS: u32 = 20;
/// ... with a pause in between.
const PAUSE: Duration = Duration::from_millis(100);

/// The database of a run.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    Postgres(Arc<PostgresServer>),
    Mongodb(Arc<MongoServer>),
    /// In the server's folder and process.
    Sqlite,
}

impl Database {
    /// Starts it, in the form that syncs what it commits.
    pub(crate) async fn start(kind: StoreKind) -> Result<Self> {
        Ok(match kind {
            StoreKind::Postgres => {
                Self::Postgres(Arc::new(blocking(|| PostgresServer::start(true)).await?))
            }
            StoreKind::Mongodb => Self::Mongodb(Arc::new(blocking(MongoServer::start).await?)),
            StoreKind::Sqlite => Self::Sqlite,
        })
    }

    /// Whether it is a process of its own, which can be killed, and read while the server runs.
    pub(crate) fn is_apart(&self) -> bool {
        !matches!(self, Self::Sqlite)
    }

    /// The URL of one life: an empty schema or database, or a file of the server's folder.
    ///
    /// # Errors
    /// `Invalid` when the folder's name is not UTF-8.
    pub(crate) fn url(&self, life: u64, data_dir: &Path) -> Result<String> {
        Ok(match self {
            // The longest that a server waits for a database that is gone must not hide that it
            // is back.
            Self::Postgres(server) => {
                format!("{}&schema=life_{life}&connect_timeout=2", server.url())
            }
            Self::Mongodb(server) => {
                let url = server.url();
                let with_name = url.replacen("/?", &format!("/life_{life}?"), 1);
                format!("{with_name}&serverSelectionTimeoutMS=2000")
            }
            Self::Sqlite => {
                let file = data_dir.join("grid.db");
                let file = file.to_str().ok_or_else(|| {
                    let message = "the folder's name is not UTF-8; set TMPDIR to another";
                    Error::new(ErrorKind::Invalid, "crash test", message)
                })?;
                format!("sqlite://{file}")
            }
        })
    }

    /// Kills its process with `kill -9`; the number that it had.
    pub(crate) async fn kill(&self) -> Result<u32> {
        let own = self.clone();
        blocking(move || match own {
            Self::Postgres(server) => {
                let pid = server.pid()?;
                server.kill().map(|()| pid)
            }
            Self::Mongodb(server) => {
                let pid = server.pid()?;
                server.kill().map(|()| pid)
            }
            Self::Sqlite => Err(std::io::Error::other("it is no process of its own")),
        })
        .await
    }

    /// Starts it again. For a moment its port may be that of somebody who looks for it.
    pub(crate) async fn restart(&self, runtime: &dyn Runtime) -> Result<()> {
        let mut tries = 1;
        loop {
            let own = self.clone();
            let started = blocking(move || match own {
                Self::Postgres(server) => server.restart(),
                Self::Mongodb(server) => server.restart(),
                Self::Sqlite => Ok(()),
            });
            match started.await {
                Err(_) if tries < STARTS => tries += 1,
                started => return started,
            }
            runtime.sleep(PAUSE).await;
        }
    }

    /// Opens it beside the server.
    pub(crate) async fn open(url: &str, runtime: Arc<dyn Runtime>) -> Result<Arc<dyn Persistence>> {
        hybrid_grid::registry().open_persistence(url, runtime).await
    }
}
