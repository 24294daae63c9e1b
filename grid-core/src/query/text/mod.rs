//! Queries as people write them; behind the feature `query-text`.
//!
//! ```text
//! where done = false and owner.name starts_with "An" order by created desc limit 50
//! ```
//!
//! [`Query`](super::Query) tells the grammar where it is parsed.

mod fault;
mod filter;
mod input;
mod literal;
mod path;
mod query;
mod write;

pub use fault::fault_column;
