//! A data grid in two halves that speak one protocol: an authoritative server that keeps
//! everything in memory behind a durable journal, and local-first clients that read and write
//! without waiting for the network.
//!
//! This crate puts the client together with the built-in backends; each backend is a Cargo
//! feature, and URLs select among those that are on.
//!
//! ```
//! use hybrid_grid::Grid;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, Debug, PartialEq)]
//! struct Todo {
//!     text: String,
//!     done: bool,
//! }
//!
//! # #[cfg(all(feature = "tokio", feature = "storage-memory"))]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let grid = Grid::builder()
//!     .storage("memory:") // or sqlite://notes.db
//!     // .server("ws://127.0.0.1:7171") — leave it out for local only
//!     .open()
//!     .await?;
//! let todos = grid.map::<Todo>("todos")?;
//! let todo = Todo { text: "water the plants".into(), done: false };
//! let write = todos.put("t1", &todo).await?; // returned: durable on this device
//! # drop(write);
//! // write.acked().await?;                   // the server has it, or says why not
//! assert_eq!(todos.get("t1")?, Some(todo));
//! # grid.close().await?;
//! # Ok::<(), hybrid_grid::Error>(())
//! # }).unwrap();
//! ```

mod drivers;
mod native;

pub use drivers::{DRIVERS, registry};
pub use grid_client::{
    Answer, Backoff, BatchFate, BatchHandle, ConnectionState, ConnectionWatch, Event, Fate,
    FateCounts, MapStatus, NotAcked, Platform, Rejected, Rejections, Status, WriteHandle,
};
pub use grid_core as core;
pub use grid_core::query;
pub use grid_core::{AckLevel, Driver, DriverKind, Error, ErrorKind, Key, Registry, Result, Stamp};
pub use native::Native;

/// The server as a library.
#[cfg(feature = "server")]
pub use grid_server as server;

/// The runtime and the files of a native program.
#[cfg(feature = "tokio")]
pub use grid_runtime_tokio as tokio_runtime;

/// An open grid with the built-in backends; see [`grid_client::Grid`].
pub type Grid = grid_client::Grid<Native>;

/// Starts a [`Grid`]; see [`grid_client::GridBuilder`].
pub type GridBuilder = grid_client::GridBuilder<Native>;

/// A map of a [`Grid`]; see [`grid_client::Map`].
pub type Map<T> = grid_client::Map<T>;

/// A query of a [`Map`]; see [`grid_client::LocalQuery`].
pub type LocalQuery<T> = grid_client::LocalQuery<T>;

/// Follows a [`Map`]; see [`grid_client::Subscription`].
pub type Subscription<T> = grid_client::Subscription<T>;
