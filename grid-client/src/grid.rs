//! An open grid.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use grid_core::protocol::Selector;
use grid_core::replica::Status;
use grid_core::{MapName, Result};

use crate::builder::GridBuilder;
use crate::connection_state::{ConnectionState, ConnectionWatch};
use crate::engine::{Engine, Phase, closed};
use crate::map::Map;
use crate::platform::{Bare, Platform};
use crate::rejections::Rejections;

/// An open grid: maps that are held on this device and level with a server when there is one.
///
/// Clones are handles of one grid. It closes when [`Grid::close`] is called; when the last handle
/// is dropped, what was written is safe all the same, and the background tasks end on their own.
pub struct Grid<P = Bare> {
    handle: Arc<Handle>,
    platform: PhantomData<fn() -> P>,
}

impl<P> Clone for Grid<P> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            platform: PhantomData,
        }
    }
}

impl<P> fmt::Debug for Grid<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grid")
            .field("storage", &self.handle.engine.storage)
            .finish_non_exhaustive()
    }
}

/// What keeps a grid open.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) engine: Arc<Engine>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.engine.enter(Phase::Closing);
    }
}

impl<P: Platform> Grid<P> {
    /// Starts to open a grid.
    pub fn builder() -> GridBuilder<P> {
        GridBuilder::for_platform()
    }
}

impl<P> Grid<P> {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self {
            handle: Arc::new(Handle { engine }),
            platform: PhantomData,
        }
    }

    fn engine(&self) -> &Engine {
        &self.handle.engine
    }

    /// The map `name`, whole, whose values are of type `T`. It is held on this device and followed
    /// from now on, until the grid is closed.
    ///
    /// # Errors
    /// `Invalid` or `TooLarge` when the name cannot be; `Conflict` when the map is open with a
    /// prefix.
    pub fn map<T>(&self, name: &str) -> Result<Map<T>> {
        self.open_map(name, Selector::All)
    }

    /// The entries of the map `name` whose keys start with `prefix`: nothing else of it is held on
    /// this device.
    ///
    /// # Errors
    /// As [`Grid::map`]; `Conflict` when the map is open with another prefix, or whole.
    pub fn map_with_prefix<T>(&self, name: &str, prefix: &str) -> Result<Map<T>> {
        self.open_map(name, Selector::Prefix(prefix.to_owned()))
    }

    fn open_map<T>(&self, name: &str, selector: Selector) -> Result<Map<T>> {
        let name = MapName::new(name)?;
        let engine = self.engine();
        let mut core = engine.lock();
        if core.phase != Phase::Open {
            return Err(closed("open map"));
        }
        core.replica.open_map(&name, selector)?;
        engine.settle(core);
        Ok(Map::new(self.handle.clone(), name))
    }

    /// The state of the connection, to look at and to watch.
    #[must_use]
    pub fn connection(&self) -> ConnectionWatch {
        ConnectionWatch {
            receiver: self.engine().state.subscribe(),
        }
    }

    /// The state of the connection now.
    #[must_use]
    pub fn connection_state(&self) -> ConnectionState {
        self.engine().state.borrow().clone()
    }

    /// Tries to connect now, without waiting for the next attempt: when the device is known to be
    /// online again.
    pub fn connect_now(&self) {
        self.engine().to_connect.notify_one();
    }

    /// Authenticates with another token of the same principal from now on: on the connection that
    /// there is, and on those to come.
    pub fn set_token(&self, token: impl Into<String>) {
        let engine = self.engine();
        let mut core = engine.lock();
        let token = token.into();
        core.token = Some(token.clone());
        core.replica.renew(token);
        engine.settle(core);
        // A client that was refused before has something new to say. One that is connected has said
        // it; should it be refused for that, it tells so and waits.
        if !self.connection_state().is_connected() {
            engine.to_connect.notify_one();
        }
    }

    /// Pending ops, and where each map stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.engine().lock().replica.status()
    }

    /// Why the store does not take what it is given, while that lasts.
    #[must_use]
    pub fn storage_error(&self) -> Option<String> {
        self.engine().lock().storage_error.clone()
    }

    /// Every rejection since the grid was opened, and those to come.
    #[must_use]
    pub fn rejections(&self) -> Rejections {
        Rejections {
            engine: self.handle.engine.clone(),
            position: 0,
            missed: 0,
        }
    }

    /// Waits until nothing is pending and every open map is level with the server. A grid without
    /// a server, or without a connection, waits until it has one.
    ///
    /// # Errors
    /// `Closed` when the grid is closed first; `Forbidden` when the server does not let an open map
    /// be followed.
    pub async fn flushed(&self) -> Result<()> {
        let engine = self.engine();
        let mut progress = engine.watch_progress();
        loop {
            progress.borrow_and_update();
            {
                let core = engine.lock();
                if core.phase != Phase::Open {
                    return Err(closed("wait for the server"));
                }
                if let Some(refused) = &core.refused_view {
                    return Err(grid_core::Error::new(
                        grid_core::ErrorKind::Forbidden,
                        "follow map",
                        format!("the server does not let a map be followed: {refused}"),
                    ));
                }
                if core.queue.is_empty() && core.replica.is_flushed() {
                    return Ok(());
                }
            }
            if progress.changed().await.is_err() {
                return Err(closed("wait for the server"));
            }
        }
    }

    /// Closes the grid: what was written is made durable, the connection and the store are closed.
    /// Ops that the server has not decided stay in the store and go out when it is opened again.
    ///
    /// # Errors
    /// What the store says when it does not close.
    pub async fn close(&self) -> Result<()> {
        let engine = self.engine();
        engine.enter(Phase::Closing);
        engine.tasks_down_to(0).await;
        let closed = engine.storage.close().await;
        engine.enter(Phase::Closed);
        closed
    }
}
