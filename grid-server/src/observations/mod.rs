//! What the tasks of a server see, for whoever operates it: counts, and what is wrong at present.
//!
//! Tasks write here, [`crate::Admin`] reads. Nothing is decided by what stands here.

mod counts;
mod troubles;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grid_core::PartitionId;

pub use counts::Counts;
pub(crate) use counts::{OpCounts, named};
pub(crate) use troubles::Source;
use troubles::Troubles;

/// What the tasks of one server see.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    counts: Mutex<Counts>,
    troubles: Mutex<Troubles>,
}

impl Observations {
    /// Adds to the counts.
    pub(crate) fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut locked(&self.counts));
    }

    /// What was counted so far.
    pub(crate) fn counts(&self) -> Counts {
        locked(&self.counts).clone()
    }

    /// Something is wrong at `now`, by the monotonic clock: it counts until it is mended.
    pub(crate) fn trouble(&self, source: Source, what: String, now: Duration) {
        locked(&self.troubles).begin(source, what, now);
    }

    /// What was wrong is so no longer.
    pub(crate) fn mended(&self, source: Source) {
        locked(&self.troubles).end(source);
    }

    /// The database took changes of a worker. Returns whether that is news: it did not, and now
    /// there is no worker of which it takes none.
    pub(crate) fn database_takes_changes(&self, worker: usize) -> bool {
        locked(&self.troubles).end_database(worker)
    }

    /// Whether something is wrong that this one sees.
    pub(crate) fn has_trouble(&self, source: Source) -> bool {
        locked(&self.troubles).has(source)
    }

    /// What is wrong with single partitions at present, for people.
    pub(crate) fn of_partitions(&self) -> Vec<(PartitionId, String)> {
        locked(&self.troubles).of_partitions().collect()
    }

    /// Partitions other than these need not be loaded any more.
    pub(crate) fn keep_loads(&self, is_wanted: impl Fn(PartitionId) -> bool) {
        locked(&self.troubles).keep_loads(is_wanted);
    }

    /// What is wrong at `now`, for people.
    pub(crate) fn reasons(&self, now: Duration) -> Vec<String> {
        locked(&self.troubles).reasons(now)
    }
}

/// No step under these locks can leave half a change behind.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
