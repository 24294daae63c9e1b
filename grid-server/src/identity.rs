//! The identity of the data set, kept near the end of the journal.
//!
//! A journal gives back room from its start up to the first batch that still counts. The identity
//! counts for ever, so it has to move on, or nothing would be given back after it.

use std::sync::Arc;
use std::time::Duration;

use grid_core::traits::{Journal, Runtime};
use grid_core::{ErrorKind, Result};
use tokio::sync::Mutex;

use crate::data_set::DataSet;

/// Least time between two moves: what is written meanwhile may take up room for that long.
const PERIOD: Duration = Duration::from_secs(5);

/// Moves the identity on.
#[derive(Debug)]
pub(crate) struct Identity {
    data_set: DataSet,
    journal: Arc<dyn Journal>,
    runtime: Arc<dyn Runtime>,
    /// When it was moved last.
    moved: Mutex<Duration>,
}

impl Identity {
    pub(crate) fn new(
        data_set: DataSet,
        journal: Arc<dyn Journal>,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        Self {
            data_set,
            journal,
            moved: Mutex::new(runtime.monotonic()),
            runtime,
        }
    }

    /// Writes the identity to the end of the journal, if that was not done lately, and lets go of
    /// where it stood before. Called after the journal was allowed to forget something else.
    ///
    /// # Errors
    /// As the journal's; the identity is then where it was, or in both places.
    pub(crate) async fn move_on(&self) -> Result<()> {
        let mut moved = self.moved.lock().await;
        let now = self.runtime.monotonic();
        if now.saturating_sub(*moved) < PERIOD {
            return Ok(());
        }
        // Also after a failure: a full disk is not made better by trying at once.
        *moved = now;
        let before = match self.data_set.write_to(&self.journal).await {
            // Another server has just moved it.
            Err(error) if error.kind() == ErrorKind::Conflict => return Ok(()),
            before => before?,
        };
        DataSet::forget_through(&self.journal, before).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;
    use grid_core::traits::{Append, JournalEntry, Persistence, Position};
    use grid_core::{DigestKey, History, PartitionId};
    use grid_storage_memory::MemoryPersistence;
    use grid_testkit::hooks::{HookedJournal, JournalHooks};
    use grid_testkit::sim::{Executor, PartyId, SimRuntime};

    use super::*;
    use crate::config::Settings;
    use crate::data_set::Found;
    use crate::memory_journal::MemoryJournal;

    const MAX_STEPS: u64 = 1_000;

    /// Another server moves the identity once: before the first append, or before the first read.
    #[derive(Debug)]
    struct Moving {
        other: Identity,
        at_append: bool,
        has_moved: AtomicBool,
    }

    impl Moving {
        async fn happens(&self, at_append: bool) {
            if at_append == self.at_append && !self.has_moved.swap(true, Ordering::SeqCst) {
                self.other.move_on().await.unwrap();
            }
        }
    }

    #[async_trait]
    impl JournalHooks for Moving {
        async fn append(&self, inner: &dyn Journal, appends: Vec<Append>) -> Vec<Result<Position>> {
            self.happens(true).await;
            inner.append(appends).await
        }

        async fn read(
            &self,
            inner: &dyn Journal,
            partition: PartitionId,
            after: Position,
            max_bytes: usize,
        ) -> Result<Vec<JournalEntry>> {
            self.happens(false).await;
            inner.read(partition, after, max_bytes).await
        }
    }

    /// Runs `test` with the identity of a server, and with its journal, in which another server
    /// moves the identity.
    fn run<F: Future<Output = ()> + Send + 'static>(
        at_append: bool,
        test: impl FnOnce(Identity, Arc<dyn Journal>) -> F + Send + 'static,
    ) {
        let executor = Executor::new(1);
        let party = PartyId(1);
        let runtime: Arc<dyn Runtime> = Arc::new(SimRuntime::new(&executor, party));
        let steps = async move {
            let data_set = DataSet {
                history: History(5),
                digest_key: DigestKey(1),
                partition_count: 3,
                map_spread: 1,
                begun_here: true,
            };
            let shared: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
            data_set.write_to(&shared).await.unwrap();
            let hooks = Moving {
                other: Identity::new(data_set, shared.clone(), runtime.clone()),
                at_append,
                has_moved: AtomicBool::new(false),
            };
            let journal: Arc<dyn Journal> = Arc::new(HookedJournal::new(shared, hooks));
            let identity = Identity::new(data_set, journal.clone(), runtime.clone());
            runtime.sleep(PERIOD).await;
            test(identity, journal).await;
        };
        executor.block_on(party, MAX_STEPS, steps);
    }

    async fn history(journal: &Arc<dyn Journal>) -> History {
        let persistence: Arc<dyn Persistence> = Arc::new(MemoryPersistence::new());
        let found = Found::read(journal, &persistence).await.unwrap();
        let settings = Settings {
            partition_count: 3,
            map_spread: 1,
            ..Settings::default()
        };
        let executor = Executor::new(2);
        let runtime = SimRuntime::new(&executor, PartyId(2));
        found.data_set(&runtime, &settings).unwrap().history
    }

    #[test]
    fn what_another_server_has_just_moved_need_not_be_moved() {
        run(true, |identity, journal| async move {
            identity.move_on().await.unwrap();
            assert_eq!(history(&journal).await, History(5));
        });
    }

    #[test]
    fn an_identity_that_another_server_moves_while_it_is_read_is_found() {
        run(false, |_, journal| async move {
            assert_eq!(history(&journal).await, History(5));
        });
    }
}
