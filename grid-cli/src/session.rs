//! An open device: the grid, its store, and how long the user is willing to wait.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Either, select};
use hybrid_grid::{
    ConnectionState, Error, ErrorKind, Fate, Grid, Map, NotAcked, Rejected, Status, WriteHandle,
};
use serde_json::Value;

use crate::args::{Args, Command};
use crate::exit::{Result, Stop};

/// How long a command waits for the server unless told otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a write that the server has dealt with waits for everything else that is pending, and
/// for the device to show what came of it.
const COMPANY: Duration = Duration::from_secs(1);

/// How many rejections are told one by one.
const TOLD_REJECTIONS: usize = 20;

/// How a command wants its device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    args: &'a Args,
    offline: bool,
    timeout: Duration,
}

impl<'a> Wish<'a> {
    /// As the command line says.
    pub(crate) fn of(args: &'a Args) -> Self {
        Self {
            args,
            offline: args.offline,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// On its store alone, whatever the command line says.
    pub(crate) fn offline(mut self) -> Self {
        self.offline = true;
        self
    }

    /// Whether the command goes on until the user ends it.
    pub(crate) fn is_endless(&self) -> bool {
        matches!(self.args.command, Command::Watch { .. })
    }

    /// With this time for the server, unless the command line names another.
    pub(crate) fn patient(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

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
    pub(crate) async fn open(wish: Wish<'_>) -> Result<Self> {
        let args = wish.args;
        let store = match &args.store {
            Some(url) => url.clone(),
            None => default_store()?,
        };
        let mut builder = Grid::builder()
            .storage(&store)
            .namespace(args.namespace.as_str());
        if !wish.offline {
            builder = builder.server(&args.server);
        }
        if let Some(token) = &args.token {
            builder = builder.token(token);
        }
        let opened = builder.open().await.map_err(|error| match error.kind() {
            // A URL or a name of the command line that cannot be.
            ErrorKind::Invalid | ErrorKind::Unsupported => Stop::Usage(error),
            _ => Stop::Failed(error),
        });
        Ok(Self {
            grid: opened?,
            store,
            server: args.server.clone(),
            offline: wish.offline,
            timeout: args.timeout.map_or(wish.timeout, Duration::from_secs_f64),
        })
    }

    /// Whether the device works on its store alone.
    pub(crate) fn is_offline(&self) -> bool {
        self.offline
    }

    /// A map of JSON values.
    pub(crate) fn map(&self, name: &str) -> Result<Map<Value>> {
        Ok(self.grid.map(name)?)
    }

    /// Waits until nothing is pending and the open maps are level with the server; false when the
    /// time is up before.
    pub(crate) async fn flushed(&self) -> Result<bool> {
        let flushed = std::pin::pin!(self.grid.flushed());
        let refused = std::pin::pin!(self.refused());
        let work = std::pin::pin!(async {
            match select(flushed, refused).await {
                Either::Left((flushed, _)) => flushed.map_err(Stop::from),
                Either::Right((refused, _)) => Err(refused),
            }
        });
        match within(self.timeout, work).await {
            Some(result) => result.map(|()| true),
            None => Ok(false),
        }
    }

    /// Waits for the server's verdict on one write, whatever else is pending; nothing when the time
    /// is up before.
    pub(crate) async fn verdict(
        &self,
        write: WriteHandle,
    ) -> Result<Option<Result<Fate, NotAcked>>> {
        let acked = std::pin::pin!(write.acked());
        let refused = std::pin::pin!(self.refused());
        let verdict = match within(self.timeout, select(acked, refused)).await {
            Some(Either::Left((verdict, _))) => verdict,
            Some(Either::Right((refused, _))) => return Err(refused),
            None => return Ok(None),
        };
        // What else waits may wait for long, as for a database that is away: this write is done.
        let company = COMPANY.min(self.timeout);
        match within(company, self.grid.flushed()).await {
            Some(Err(error)) => eprintln!("this write is decided; {error}"),
            None if self.grid.status().pending > 0 => {
                eprintln!("this write is decided; {}", self.why_pending());
            }
            // A map may still be on its way to the device: nobody asked for that.
            Some(Ok(())) | None => {}
        }
        Ok(Some(verdict))
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
            Either::Left((Err(stop), _)) => return Err(stop),
            Either::Right((reason, _)) => reason,
        };
        eprintln!(
            "not level with {}: {reason}; this is what the device has",
            self.server
        );
        Ok(())
    }

    /// The writes that the server rejected since the device was opened, in their order.
    pub(crate) fn rejected(&self) -> Vec<Rejected> {
        let mut rejections = self.grid.rejections();
        std::iter::from_fn(|| rejections.next().now_or_never().flatten()).collect()
    }

    /// Tells which writes the server rejected: also those of earlier commands, whose users learn
    /// it nowhere else.
    pub(crate) fn tell_rejections(&self) {
        let rejected = self.rejected();
        for one in rejected.iter().take(TOLD_REJECTIONS) {
            eprintln!("rejected: {one}");
        }
        if rejected.len() > TOLD_REJECTIONS {
            eprintln!("rejected: {} more", rejected.len() - TOLD_REJECTIONS);
        }
    }

    /// Tells what waits for the server, if anything.
    pub(crate) fn tell_pending(&self, why: &str) {
        let pending = self.grid.status().pending;
        if pending > 0 {
            eprintln!("{why}: {pending} pending; `grid sync MAP` sends them");
        } else {
            eprintln!("{why}");
        }
    }

    /// Tells on standard error when the server cannot be reached; completes when it refuses this
    /// device for good.
    pub(crate) async fn tell_connection(&self) -> Stop {
        let tell = std::pin::pin!(async {
            let mut watch = self.grid.connection();
            let mut told = None;
            loop {
                match watch.changed().await {
                    ConnectionState::Offline {
                        reason: Some(reason),
                    } if told.as_ref() != Some(&reason) => {
                        eprintln!("not level with {}: {reason}", self.server);
                        told = Some(reason);
                    }
                    ConnectionState::Closed => std::future::pending().await,
                    _ => {}
                }
            }
        });
        match select(tell, std::pin::pin!(self.refused())).await {
            Either::Left((never, _)) => never,
            Either::Right((refused, _)) => refused,
        }
    }

    /// Why nothing went out in time, for people.
    pub(crate) fn why_pending(&self) -> String {
        let Status {
            pending, put_off, ..
        } = self.grid.status();
        if let Some(why) = put_off {
            return format!("{pending} pending; {} puts writes off: {why}", self.server);
        }
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
                    "{pending} pending; {} has not acknowledged everything in time",
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
    async fn refused(&self) -> Stop {
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
            ConnectionState::Refused { message, .. } => Stop::Refused {
                server: self.server.clone(),
                message,
            },
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
fn default_store() -> hybrid_grid::Result<String> {
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
