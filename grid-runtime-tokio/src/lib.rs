//! The operating system's side of the grid: tasks, time and chance on tokio, and the files of one
//! directory.
//!
//! Nothing here decides anything; the crates that do take these as values. [`FileDisk`] exists on
//! Unix, where a directory can be synced.

#[cfg(unix)]
mod file_disk;
mod runtime;

#[cfg(unix)]
pub use file_disk::FileDisk;
pub use runtime::TokioRuntime;
