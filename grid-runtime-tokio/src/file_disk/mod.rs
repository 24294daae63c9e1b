//! A `Disk` over the files of one directory, served by one thread.

mod answers;
mod disk;
mod error;
mod files;
mod open_file;

pub use disk::FileDisk;
