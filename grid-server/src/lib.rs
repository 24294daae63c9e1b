//! The authoritative server: gateway, partitions, journal, write-behind.
//!
//! A request passes the gateway's layers and reaches the worker that runs its partition. The worker
//! decides a batch, makes it durable in the journal with one append, applies it, and tells clients
//! and subscribers; another task writes to the database behind it. The decisions themselves are
//! grid-core's; nothing here knows a socket, a clock, a file or a thread, so that the simulator
//! runs the same code.
//!
//! A program may embed a server, and read and write without a socket:
//!
//! ```
//! use std::sync::Arc;
//!
//! use grid_core::{Key, MapAddress, MapName, Namespace};
//! use grid_runtime_tokio::TokioRuntime;
//! use grid_server::{MemoryJournal, Server};
//! use grid_storage_memory::MemoryPersistence;
//!
//! # let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # tokio.block_on(async {
//! let server = Server::builder()
//!     .runtime(Arc::new(TokioRuntime::current()?))
//!     .journal(Arc::new(MemoryJournal::new())) // on disk: journal::LocalJournal
//!     .persistence(Arc::new(MemoryPersistence::new()))
//!     .start()
//!     .await?;
//! let todos = MapAddress { namespace: Namespace::default(), map: MapName::new("todos")? };
//! let key = Key::new("t1")?;
//! server.handle().put(&todos, &key, vec![0xf5].into()).await?;
//! let record = server.handle().get(&todos, &key).await?;
//! assert_eq!(record.and_then(|record| record.value), Some(vec![0xf5].into()));
//! server.shutdown().await?;
//! # Ok::<(), grid_core::Error>(())
//! # }).unwrap();
//! ```

mod access;
mod admin;
#[cfg(feature = "admin-http")]
mod admin_http;
mod builder;
pub mod config;
mod data_set;
mod following;
mod gateway;
mod handle;
mod identity;
pub mod journal;
mod layer;
mod lifecycle;
mod local_bus;
mod local_ownership;
mod memory_journal;
mod new_history;
mod observations;
mod ownership_table;
mod partition_service;
#[cfg(feature = "program")]
pub mod program;
pub mod recovery;
mod server;
mod sessions;
#[cfg(test)]
mod support;
mod sync;
mod takeover;
mod turn;
mod vital_journal;
mod worker;
mod write_behind;

pub use access::{OpenDoor, OpenPolicy, SharedToken};
pub use admin::{Admin, Health, Lag, Metrics, PartitionLag};
#[cfg(feature = "admin-http")]
pub use admin_http::AdminRoutes;
pub use builder::ServerBuilder;
pub use config::Settings;
pub use handle::{Handle, Written};
pub use layer::{GatewayLayer, GatewayService, PutOff, Request};
pub use local_bus::LocalBus;
pub use local_ownership::LocalOwnership;
pub use memory_journal::MemoryJournal;
pub use observations::Counts;
pub use server::Server;
pub use sessions::Session;
pub use write_behind::{DeadLetter, DeadLetterPage};
