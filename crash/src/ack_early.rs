//! The server with the planted bug. It is a program of its own, and nothing of it is linked into
//! the one that ships.

mod journal;
mod program;

pub use program::serve;
