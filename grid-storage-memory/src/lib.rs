//! In-memory [`Storage`] and [`Persistence`]: for tests, the simulator, and grids that need not
//! outlive their process.
//!
//! `memory:` opens a fresh, empty place each time. `memory:NAME` opens the place of that name,
//! which lives as long as the process and can be reopened after it was closed or dropped; a
//! second opening while the first lives is refused. Stores and systems of record have separate
//! names.
//!
//! [`Storage`]: grid_core::traits::Storage
//! [`Persistence`]: grid_core::traits::Persistence

mod driver;
mod error;
mod persistence;
mod place;
mod storage;
mod tables;

pub use driver::DRIVER;
pub use persistence::MemoryPersistence;
pub use storage::MemoryStorage;
pub use tables::{Rows, Tables};

/// The largest value that a memory backend takes, in bytes.
pub const MAX_VALUE_BYTES: usize = 16 * 1024 * 1024;

/// The largest state record that the memory backend takes, in bytes: room for a million runs.
pub const MAX_STATE_BYTES: usize = 64 * 1024 * 1024;
