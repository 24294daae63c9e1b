//! Queries as CBOR.
//!
//! A query is `[filter, [[path, direction], …], limit or null]`. A filter is `[kind, …]`, a path a
//! list of names or null for the key, a direction a number, a literal itself. One query has one
//! encoding.

mod kind;
mod read;
mod write;

pub(super) use read::read;
pub(super) use write::write;
