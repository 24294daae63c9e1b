//! The program `grid-server`, for a program of one's own that has more drivers: arguments, files,
//! signals, the tokio runtime.

mod admin_listener;
mod arguments;
mod data_dir;
mod run;
mod signals;
mod start;

pub use run::run;
