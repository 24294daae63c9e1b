//! Write-behind: what was journalled is written to the database later, coalesced by key.

mod backoff;
mod flusher;

pub(crate) use backoff::Backoff;
pub(crate) use flusher::Flusher;
