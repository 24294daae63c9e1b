//! A journal that says that a batch is durable, and writes it a while later; and a system of record
//! that waits for that journal, so that what is acknowledged too early is all that is wrong.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grid_core::traits::{
    AddressedRecord, Append, Journal, JournalEntry, JournalExtent, Persistence, Position, Runtime,
    StateRecord,
};
use grid_core::{PartitionId, Result};
use grid_testkit::hooks::{JournalHooks, PersistenceHooks};
use tokio::sync::{mpsc, watch};

/// How long after the acknowledgement a batch is written.
pub(super) const DELAY: Duration = Duration::from_millis(150);

/// Something to be done to the journal, in order.
#[derive(Debug)]
enum Later {
    Append(Append),
    Truncate(PartitionId, Position),
}

/// What is promised, and how much of it is done.
#[derive(Debug)]
struct Promises {
    made: watch::Sender<u64>,
    kept: watch::Sender<u64>,
}

impl Promises {
    /// Waits until everything that is promised now is done.
    async fn are_kept(&self) {
        let made = *self.made.borrow();
        let mut kept = self.kept.subscribe();
        // The sender is ours, so this ends with the condition only.
        let _met = kept.wait_for(|kept| *kept >= made).await;
    }
}

/// Acknowledges appends at once.
#[derive(Debug)]
pub(super) struct AckEarly {
    queue: mpsc::UnboundedSender<(Duration, Later)>,
    promises: Arc<Promises>,
    runtime: Arc<dyn Runtime>,
}

/// Lets nothing reach the database before the journal has it.
#[derive(Debug)]
pub(super) struct AfterJournal(Arc<Promises>);

impl AckEarly {
    /// Writes to `journal` a while after it said so, in a task of its own.
    pub(super) fn before(
        journal: Arc<dyn Journal>,
        runtime: Arc<dyn Runtime>,
    ) -> (Self, AfterJournal) {
        let (queue, waiting) = mpsc::unbounded_channel();
        let promises = Arc::new(Promises {
            made: watch::Sender::new(0),
            kept: watch::Sender::new(0),
        });
        let task = keep(waiting, journal, promises.clone(), runtime.clone());
        runtime.spawn("journal late", Box::pin(task));
        let early = Self {
            queue,
            promises: promises.clone(),
            runtime,
        };
        (early, AfterJournal(promises))
    }

    fn promise(&self, later: Later) {
        self.promises.made.send_modify(|made| *made += 1);
        // The task lives as long as this sender.
        let _queued = self.queue.send((self.runtime.monotonic() + DELAY, later));
    }
}

/// Does what was promised when it is due: several batches in one group commit, as the server does.
async fn keep(
    mut waiting: mpsc::UnboundedReceiver<(Duration, Later)>,
    journal: Arc<dyn Journal>,
    promises: Arc<Promises>,
    runtime: Arc<dyn Runtime>,
) {
    let mut next = waiting.recv().await;
    while let Some((due, later)) = next.take() {
        runtime.sleep(due.saturating_sub(runtime.monotonic())).await;
        let mut done = 1;
        match later {
            Later::Truncate(partition, through) => {
                if let Err(error) = journal.truncate(partition, through).await {
                    eprintln!("truncate: {error}");
                }
            }
            Later::Append(first) => {
                let mut group = vec![first];
                let mut partitions = BTreeSet::from([group[0].partition]);
                next = loop {
                    match waiting.try_recv() {
                        Ok((due, Later::Append(append)))
                            if due <= runtime.monotonic()
                                && partitions.insert(append.partition) =>
                        {
                            group.push(append);
                        }
                        other => break other.ok(),
                    }
                };
                done = u64::try_from(group.len()).unwrap_or(u64::MAX);
                for error in journal
                    .append(group)
                    .await
                    .into_iter()
                    .filter_map(Result::err)
                {
                    eprintln!("append: {error}");
                }
            }
        }
        promises.kept.send_modify(|kept| *kept += done);
        if next.is_none() {
            next = waiting.recv().await;
        }
    }
}

#[async_trait]
impl JournalHooks for AckEarly {
    async fn append(&self, _: &dyn Journal, appends: Vec<Append>) -> Vec<Result<Position>> {
        let acknowledge = |append: Append| {
            let position = append.tail.next();
            self.promise(Later::Append(append));
            Ok(position)
        };
        appends.into_iter().map(acknowledge).collect()
    }

    async fn read(
        &self,
        inner: &dyn Journal,
        partition: PartitionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<Vec<JournalEntry>> {
        self.promises.are_kept().await;
        inner.read(partition, after, max_bytes).await
    }

    async fn extent(&self, inner: &dyn Journal, partition: PartitionId) -> Result<JournalExtent> {
        self.promises.are_kept().await;
        inner.extent(partition).await
    }

    async fn truncate(&self, _: &dyn Journal, id: PartitionId, through: Position) -> Result<()> {
        self.promise(Later::Truncate(id, through));
        Ok(())
    }

    async fn close(&self, inner: &dyn Journal) -> Result<()> {
        self.promises.are_kept().await;
        inner.close().await
    }
}

#[async_trait]
impl PersistenceHooks for AfterJournal {
    async fn store(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        self.0.are_kept().await;
        inner.store(partition, records, state).await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use grid_core::traits::Epoch;
    use grid_testkit::hooks::HookedJournal;
    use hybrid_grid::server::MemoryJournal;
    use hybrid_grid::tokio_runtime::TokioRuntime;

    use super::*;

    const PARTITION: PartitionId = PartitionId(3);

    fn append(tail: u64) -> Append {
        Append {
            partition: PARTITION,
            epoch: Epoch(1),
            tail: Position(tail),
            batch: Bytes::from(format!("batch {tail}")),
        }
    }

    fn positions(said: Vec<Result<Position>>) -> Vec<u64> {
        said.into_iter()
            .map(|position| position.unwrap().0)
            .collect()
    }

    #[test]
    fn it_acknowledges_before_it_journals_and_journals_in_the_end() {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        tokio.block_on(async {
            let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current().unwrap());
            let real: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
            let (early, _) = AckEarly::before(real.clone(), runtime);
            let hooked = HookedJournal::new(real.clone(), early);
            let said = positions(hooked.append(vec![append(0)]).await);
            assert_eq!(said, [1]);
            let said = positions(hooked.append(vec![append(1), append(2)]).await);
            assert_eq!(said, [2, 3]);
            assert_eq!(real.extent(PARTITION).await.unwrap().tail, Position(0));
            assert_eq!(hooked.extent(PARTITION).await.unwrap().tail, Position(3));
            assert_eq!(real.extent(PARTITION).await.unwrap().tail, Position(3));
        });
    }
}
