//! Queries mean what a plain reading of whole documents says, over random documents, filters and
//! damage.

#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod covering;
mod document;
mod evaluation;
mod filters;
mod ordering;
mod reference;
#[cfg(feature = "query-text")]
mod text;
mod wire;
