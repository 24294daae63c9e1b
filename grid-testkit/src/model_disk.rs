//! A disk in memory that loses what a real one may lose.

mod disk;
mod fault;
mod file;
mod state;

pub use disk::ModelDisk;
pub use fault::{DiskCall, Fault};
