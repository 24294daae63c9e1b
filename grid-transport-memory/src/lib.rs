//! A `Transport` within one process: frames go through bounded queues, nothing is copied.
//!
//! URLs are `memory:NAME`. Names belong to a [`MemoryHub`]: tests make their own, URLs that are
//! opened through [`DRIVER`] share [`MemoryHub::global`]. Nothing here needs a runtime, so it works
//! under any.

mod backlog;
mod connection;
mod driver;
mod hub;
mod listener;
mod pipe;
mod sync;
mod transport;

pub use driver::DRIVER;
pub use hub::MemoryHub;
pub use transport::MemoryTransport;
