//! What only the program does: arguments, files, signals, the tokio runtime.

mod arguments;
mod data_dir;
mod run;
mod signals;

pub(crate) use run::main;
