//! The operator's HTTP routes: health, metrics, partitions, dead letters. Sockets are the
//! program's: this is a router that it serves where it likes.

mod answer;
mod exposition;
mod guard;
mod letters;
mod partitions;
mod routes;

pub use routes::AdminRoutes;
