//! Load shed: a server that is behind says so, instead of letting everything wait.
//!
//! What waits for a worker holds memory. Beyond a bound over all connections, a push is put off and
//! anything else ends its connection, to be asked for again later.

mod error;
mod layer;
mod service;
#[cfg(test)]
mod tests;

pub(crate) use layer::LoadShedLayer;
