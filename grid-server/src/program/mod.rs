//! What only the program does: arguments, files, signals, the tokio runtime.

mod arguments;
mod data_dir;
mod run;
mod signals;
mod start;

pub(crate) use run::main;
