//! The authoritative server: gateway, partitions, journal, write-behind.
//!
//! A request passes the gateway's layers and reaches the worker that runs its partition. The worker
//! decides a batch, makes it durable in the journal with one append, applies it, and tells clients
//! and subscribers; another task writes to the database behind it. The decisions themselves are
//! grid-core's; nothing here knows a socket, a clock, a file or a thread, so that the simulator
//! runs the same code.

mod access;
mod builder;
pub mod config;
mod data_set;
mod gateway;
mod handle;
pub mod journal;
mod layer;
mod lifecycle;
mod local_bus;
mod local_ownership;
mod memory_journal;
mod ownership_table;
mod partition_service;
mod recovery;
mod server;
mod sessions;
mod worker;
mod write_behind;

pub use access::{OpenDoor, OpenPolicy, SharedToken};
pub use builder::ServerBuilder;
pub use config::Settings;
pub use handle::{Handle, Written};
pub use layer::{GatewayService, Request};
pub use local_bus::LocalBus;
pub use local_ownership::LocalOwnership;
pub use memory_journal::MemoryJournal;
pub use server::Server;
pub use sessions::Session;
