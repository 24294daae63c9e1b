//! What the writer and the readers of a journal share.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::index::Index;

/// The index, and which segments there are.
#[derive(Debug)]
pub(super) struct State {
    pub(super) index: Index,
    /// The first segment that was not let go of.
    pub(super) first_segment: u64,
    pub(super) last_segment: u64,
}

impl State {
    /// The first segment that has to stay.
    pub(super) fn needed_from(&self) -> u64 {
        self.index.first_segment().unwrap_or(self.last_segment)
    }
}

/// The state behind a lock that is held for moments only.
pub(super) struct Shared {
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(index: Index, first_segment: u64, last_segment: u64) -> Self {
        let state = State {
            index,
            first_segment,
            last_segment,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// Runs `step` on the state; it must not wait for anything.
    pub(super) fn with<T>(&self, step: impl FnOnce(&mut State) -> T) -> T {
        step(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
