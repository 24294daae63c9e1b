//! MongoDB [`Persistence`], on the official driver: a server's system of record in a database of
//! its own.
//!
//! Every write is an operation on one document, guarded by its filter, so that nothing more than
//! that has to be atomic: no transaction, no replica set. The state record is written after all
//! records of its call. A crash in between leaves it behind the records, and the server's replay of
//! the journal from there is held off by the guard: everything takes effect once.
//!
//! URLs are MongoDB's own, `mongodb://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETERS`; the database
//! has to be named. See [`MongoOptions`].
//!
//! Values can be queried: a record's `value` shows it as a document, wherever BSON can say all of
//! it. What clients get back is always made from the bytes beside it.
//!
//! It needs a tokio runtime around its calls. TLS is there (`tls=true`); `mongodb+srv:` is not
//! built in.
//!
//! [`Persistence`]: grid_core::traits::Persistence

mod document;
mod driver;
mod error;
mod guarded;
mod options;
mod persistence;
mod schema;
mod value;

pub use driver::DRIVER;
pub use options::MongoOptions;
pub use persistence::MongoPersistence;

/// The largest value that the MongoDB backend takes, in bytes: with its readable copy and its names
/// it must stay below the 16 MiB of a document.
pub const MAX_VALUE_BYTES: usize = 4 * 1024 * 1024;

/// Largest state record, in bytes: what is left of a document of 16 MiB, with some room. Each run
/// that the server remembers takes some 65 bytes of it.
pub const MAX_STATE_BYTES: usize = 14 * 1024 * 1024;
