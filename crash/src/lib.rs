//! The crash test: the server that ships and its database, as processes that are killed under the
//! load of real clients, over and over.
//!
//! What judges a run is grid-testkit's; here stands what is run, and when it is killed. A run is a
//! row of lives: in each, a server begins on an empty folder and an empty database, is killed a
//! number of times, and comes to an end at which everything is compared.

mod ack_early;
mod arguments;
mod blow;
mod database;
mod drawn;
mod examine;
mod life;
mod port;
mod report;
mod run;
mod server;
mod wait;

pub use ack_early::serve as serve_ack_early;
pub use run::main;
