//! PostgreSQL [`Persistence`], on sqlx: a server's system of record in a schema of its own.
//!
//! One call is one statement where it can be, and one transaction always: records and state record
//! become durable together. Rows are guarded by (history, sequence) in the statement itself, so
//! that late calls of a former owner change nothing. A bounded number of connections is kept; one
//! that is lost is replaced by the next call.
//!
//! URLs are those of libpq, `postgres://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETERS`; see
//! [`PostgresOptions`] for the parameters that are the grid's own.
//!
//! Values can be queried: the view `entries` shows them as `jsonb`, wherever JSON can say them,
//! with the time of their stamp and of their expiry. What clients get back is always made from the
//! bytes beside it: `jsonb` forgets the order of keys and the form of numbers.
//!
//! It needs a tokio runtime around its calls. TLS is not built in.
//!
//! [`Persistence`]: grid_core::traits::Persistence

mod driver;
mod error;
mod json;
mod options;
mod persistence;
mod pool;
mod rows;
mod schema;
mod statements;

pub use driver::DRIVER;
pub use options::PostgresOptions;
pub use persistence::PostgresPersistence;

/// The largest value that the PostgreSQL backend takes, in bytes.
pub const MAX_VALUE_BYTES: usize = 16 * 1024 * 1024;

/// The largest state record that the PostgreSQL backend takes, in bytes: room for a million runs.
pub const MAX_STATE_BYTES: usize = 64 * 1024 * 1024;
