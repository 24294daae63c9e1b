//! Real databases for tests: PostgreSQL, and what speaks MongoDB's protocol, each in a temporary
//! folder on a port of its own.
//!
//! A suite takes the one that a variable names (`GRID_TEST_POSTGRES_URL`, `GRID_TEST_MONGODB_URL`),
//! so that `cargo xtask test` starts each of them once; without the variable it starts one for
//! itself. Nothing of them is left when the process that started them ends, however it ends.

mod folder;
mod mongodb;
mod mongodb_door;
mod postgres;
mod watchdog;

pub use mongodb::{MONGODB_URL, MongoServer, mongodb_url};
pub use mongodb_door::MongoDoor;
pub use postgres::{POSTGRES_URL, PostgresServer, postgres_url};
