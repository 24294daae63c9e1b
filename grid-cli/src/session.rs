//! An open device: the grid, its store, and how long the user is willing to wait.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::{Either, select};
use hybrid_grid::{ConnectionState, Error, ErrorKind, Grid, Map, Result};
use serde_json::Value;

use crate::args::Args;

/// How long a command waits for the server unless told otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// An open device.
#[derive(Debug)]
pub(crate) struct Session {
    /// The grid.
    pub(crate) grid: Grid,
    /// The URL of its store.
    pub(crate) store: String,
    server: String,
    offline: bool,
    timeout: Duration,
}

impl Session {
    /// Opens the device's store and, unless it is to be offline, starts to connect.
    pub(crate) async fn open(args: &Args, default_timeout: Option<Duration>) -> Result<Self> {
        let store = match &args.store {
            Some(url) => url.clone(),
            None => default_store()?,
        };
        let mut builder = Grid::builder()
            .storage(&store)
            .namespace(args.namespace.as_str());
        if !args.offline {
            builder = builder.server(&args.server);
        }
        if let Some(token) = &args.token {
            builder = builder.token(token);
        }
        let timeout = args
            .timeout
            .map(Duration::from_secs_f64)
            .or(default_timeout);
        Ok(Self {
            grid: builder.open().await?,
            store,
            server: args.server.clone(),
            offline: args.offline,
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        })
    }

    /// Whether the device works on its store alone.
    pub(crate) fn is_offline(&self) -> bool {
        self.offline
    }

    /// A map of JSON values.
    pub(crate) fn map(&self, name: &str) -> Result<Map<Value>> {
        self.grid.map(name)
    }

    /// Waits until nothing is pending and the open maps are level with the server; false when the
    /// time is up before.
    pub(crate) async fn flushed(&self) -> Result<bool> {
        let flushed = std::pin::pin!(self.grid.flushed());
        let refused = std::pin::pin!(self.refused());
        let work = std::pin::pin!(async {
            match select(flushed, refused).await {
                Either::Left((flushed, _)) => flushed,
                Either::Right((error, _)) => Err(error),
            }
        });
        match within(self.timeout, work).await {
            Some(result) => result.map(|()| true),
            None => Ok(false),
        }
    }

    /// Catches up for a command that reads. Without a server within reach, the device's own data
    /// must do, and a line on standard error says so.
    pub(crate) async fn freshen(&self) -> Result<()> {
        if self.offline {
            return Ok(());
        }
        let reached = std::pin::pin!(self.flushed());
        let unreachable = std::pin::pin!(self.unreachable());
        let reason = match select(reached, unreachable).await {
            Either::Left((Ok(true), _)) => return Ok(()),
            Either::Left((Ok(false), _)) => "the time is up".to_owned(),
            Either::Left((Err(error), _)) => return Err(error),
            Either::Right((reason, _)) => reason,
        };
        eprintln!(
            "not level with {}: {reason}; this is what the device has",
            self.server
        );
        Ok(())
    }

    /// Why nothing went out in time, for people.
    pub(crate) fn why_pending(&self) -> String {
        let pending = self.grid.status().pending;
        match self.grid.connection_state() {
            ConnectionState::Offline {
                reason: Some(reason),
            } => {
                format!(
                    "{pending} pending; {} cannot be reached: {reason}",
                    self.server
                )
            }
            ConnectionState::Connected => {
                format!(
                    "{pending} pending; {} has not answered in time",
                    self.server
                )
            }
            _ => format!("{pending} pending; {} was not reached in time", self.server),
        }
    }

    /// Completes when the first attempt to connect has failed.
    async fn unreachable(&self) -> String {
        let mut watch = self.grid.connection();
        let state = watch
            .until(|state| matches!(state, ConnectionState::Offline { reason: Some(_) }))
            .await;
        match state {
            ConnectionState::Offline {
                reason: Some(reason),
            } => reason,
            // Closed: whoever closed the grid tells why.
            _ => std::future::pending().await,
        }
    }

    /// Completes when the server refuses this device for good.
    async fn refused(&self) -> Error {
        let mut watch = self.grid.connection();
        let state = watch
            .until(|state| {
                matches!(
                    state,
                    ConnectionState::Refused {
                        retryable: false,
                        ..
                    }
                )
            })
            .await;
        match state {
            ConnectionState::Refused { message, .. } => {
                Error::new(ErrorKind::Unauthorized, "connect", message).with("server", &self.server)
            }
            _ => std::future::pending().await,
        }
    }
}

/// Waits for `future` at most this long.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the program's user waits in real time"
    )]
    let result = tokio::time::timeout(limit, future).await;
    result.ok()
}

/// The store in the user's data directory, which is made if need be.
fn default_store() -> Result<String> {
    let folder = data_folder().ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            "find the store",
            "there is no home directory; name a store with --store",
        )
    })?;
    std::fs::create_dir_all(&folder).map_err(|error| {
        Error::new(
            ErrorKind::Io,
            "find the store",
            "cannot make the folder; name a store with --store",
        )
        .with("folder", folder.display())
        .with_source(error)
    })?;
    Ok(format!("sqlite://{}", folder.join("grid.db").display()))
}

/// Where the user's data belong, by the XDG base directory specification.
fn data_folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = match variable("XDG_DATA_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(&variable("HOME")?).join(".local").join("share"),
    };
    Some(base.join("hybrid-grid"))
}
