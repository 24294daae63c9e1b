//! What only the program does: arguments, files, signals, the tokio runtime.

mod admin_listener;
mod arguments;
mod data_dir;
mod run;
mod signals;
mod start;

pub(crate) use run::main;
