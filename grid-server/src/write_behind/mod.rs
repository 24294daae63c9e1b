//! Write-behind: what was journalled is written to the database later, coalesced by key.
//!
//! What the database refuses for good is kept beside it, as a dead letter, so that the rest goes
//! on.

mod backing;
mod backlog;
mod backoff;
mod batch;
mod dead_letters;
mod engine;
mod isolate;
mod outage;
mod schedule;
mod settling;
mod store;
mod stored_record;
mod waiting;

pub(crate) use backing::Backing;
pub(crate) use backlog::{BacklogBound, Room};
pub(crate) use backoff::Backoff;
pub(crate) use dead_letters::{DeadLetters, ENVELOPE_BYTES};
pub(crate) use engine::{Engine, Retry};
pub(crate) use settling::{Claim, not_found};
pub(crate) use store::{Store, gathered_enough};
pub(crate) use stored_record::stored_record;

pub use dead_letters::{DeadLetter, DeadLetterPage, read_letter};
