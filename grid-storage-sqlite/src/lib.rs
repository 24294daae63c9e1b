//! SQLite [`Storage`] and [`Persistence`], on sqlx.
//!
//! Each opening of a file has one writer task, which puts the batches that wait into one
//! transaction with one sync to the disk (WAL, `synchronous=FULL`), and a few connections for
//! reading, which see everything that returned. A batch that fails never takes another one down.
//! One process at a time has a file open: a lock on `FILE.lock` ends with the process. The file
//! system must be local: SQLite's WAL does not work over a network.
//!
//! URLs are `sqlite://FILE`, with FILE absolute (`sqlite:///var/lib/grid.db`) or relative to the
//! working directory (`sqlite://notes.db`), taken as it stands: nothing is decoded, and parameters
//! are refused. A missing file is created, a missing directory is an error.
//!
//! sqlx brings its own threads for SQLite, so any [`Runtime`] will do.
//!
//! [`Storage`]: grid_core::traits::Storage
//! [`Persistence`]: grid_core::traits::Persistence
//! [`Runtime`]: grid_core::traits::Runtime

mod batch;
mod connection;
mod database;
mod driver;
mod error;
mod lock;
mod options;
mod persistence;
mod place;
mod readers;
mod records;
mod rows;
mod schema;
mod storage;
mod writer;

pub use driver::DRIVER;
pub use options::SqliteOptions;
pub use persistence::SqlitePersistence;
pub use storage::SqliteStorage;

/// The largest value that the SQLite backends take, in bytes.
pub const MAX_VALUE_BYTES: usize = 16 * 1024 * 1024;

/// The largest state record that the SQLite backend takes, in bytes: room for a million runs.
pub const MAX_STATE_BYTES: usize = 64 * 1024 * 1024;
