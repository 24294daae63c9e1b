//! Wrappers that pass every call on, except where a hook says otherwise: a database that fails for
//! one map, a journal that is slow, a store of which a test counts the calls.

mod journal;
mod lasting;
mod persistence;

pub use journal::{HookedJournal, JournalHooks};
pub use lasting::{Lasting, lasting};
pub use persistence::{HookedPersistence, PersistenceHooks};
