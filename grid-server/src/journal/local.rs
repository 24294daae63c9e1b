//! The journal that callers hold.

use std::sync::Arc;

use async_trait::async_trait;
use grid_core::traits::{Append, Disk, Journal, JournalEntry, JournalExtent, Position, Runtime};
use grid_core::{Error, ErrorKind, PartitionId, Result};
use tokio::sync::{mpsc, oneshot};

use super::committer::{self, QUEUE_REQUESTS, Request};
use super::error;
use super::fetch::fetch;
use super::index::Located;
use super::open;
use super::options::JournalOptions;
use super::shared::Shared;

/// A durable journal in the files of one `Disk`.
///
/// A batch may have 16 MiB. Every partition has an index in memory, 32 bytes for each batch that
/// was not truncated. Whoever opens it must be the only one on that disk.
///
/// ```
/// use std::sync::Arc;
///
/// use grid_core::PartitionId;
/// use grid_core::traits::{Append, Epoch, Journal, Position};
/// use grid_runtime_tokio::TokioRuntime;
/// use grid_server::journal::{JournalOptions, LocalJournal};
/// use grid_testkit::ModelDisk;
///
/// # let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # tokio.block_on(async {
/// let disk = Arc::new(ModelDisk::new(1));
/// let runtime = Arc::new(TokioRuntime::current()?);
/// let journal = LocalJournal::open(disk, runtime, JournalOptions::default()).await?;
/// let append = Append {
///     partition: PartitionId(3),
///     epoch: Epoch(1),
///     tail: Position(0),
///     batch: "first".into(),
/// };
/// let positions = journal.append(vec![append]).await;
/// assert_eq!(positions.into_iter().collect::<Result<Vec<_>, _>>()?, [Position(1)]);
/// journal.close().await?;
/// # Ok::<(), grid_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct LocalJournal {
    disk: Arc<dyn Disk>,
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
}

impl LocalJournal {
    /// Opens the journal on `disk`, or begins one where there is none. Its committer runs on
    /// `runtime`.
    ///
    /// # Errors
    /// `Corrupt` when acknowledged batches are damaged or missing, `Version` when another version
    /// of the program wrote the files, `Invalid` when an option is out of its bounds, `Full` when
    /// there is no room for a new segment.
    pub async fn open(
        disk: Arc<dyn Disk>,
        runtime: Arc<dyn Runtime>,
        options: JournalOptions,
    ) -> Result<Self> {
        options.check()?;
        let writer = open::open(disk, Arc::clone(&runtime), options).await?;
        let (requests, queue) = mpsc::channel(QUEUE_REQUESTS);
        let journal = Self {
            disk: writer.disk(),
            shared: writer.shared(),
            requests,
        };
        runtime.spawn("journal committer", Box::pin(committer::run(writer, queue)));
        Ok(journal)
    }

    /// Sends a request and waits for its answer; `None` when the journal is closed.
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.ok()?;
        answer.await.ok()
    }

    fn check_open(&self, operation: &'static str) -> Result<()> {
        if self.requests.is_closed() {
            return Err(error::closed(operation));
        }
        Ok(())
    }

    fn places(
        &self,
        partition: PartitionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<Vec<Located>> {
        let places = self
            .shared
            .with(|state| state.index.after(partition, after, max_bytes));
        places.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "read journal",
                format!(
                    "the batches of partition {partition} after position {} were truncated",
                    after.0
                ),
            )
        })
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Journal for LocalJournal {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Position>> {
        let count = appends.len();
        if count == 0 {
            return Vec::new();
        }
        self.ask(|reply| Request::Append { appends, reply })
            .await
            .unwrap_or_else(|| {
                (0..count)
                    .map(|_| Err(error::closed("append to journal")))
                    .collect()
            })
    }

    async fn read(
        &self,
        partition: PartitionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<Vec<JournalEntry>> {
        self.check_open("read journal")?;
        let mut places = self.places(partition, after, max_bytes)?;
        loop {
            let fetched = fetch(&*self.disk, &places).await;
            let batches = match fetched {
                Ok(batches) => batches,
                Err(failure) => {
                    // The batches may have been truncated or moved while they were read.
                    let now = self.places(partition, after, max_bytes)?;
                    if now == places {
                        return Err(failure);
                    }
                    places = now;
                    continue;
                }
            };
            let entries = places
                .iter()
                .zip(batches)
                .map(|(located, batch)| JournalEntry {
                    position: located.position,
                    epoch: located.slot.epoch,
                    batch,
                });
            return Ok(entries.collect());
        }
    }

    async fn extent(&self, partition: PartitionId) -> Result<JournalExtent> {
        self.check_open("read journal")?;
        Ok(self.shared.with(|state| state.index.extent(partition)))
    }

    async fn truncate(&self, partition: PartitionId, through: Position) -> Result<()> {
        self.check_open("truncate journal")?;
        let reclaim = self.shared.with(|state| {
            state.index.truncate(partition, through);
            state.needed_from() > state.first_segment
        });
        if !reclaim {
            return Ok(());
        }
        self.ask(|reply| Request::Reclaim { reply })
            .await
            .unwrap_or_else(|| Err(error::closed("truncate journal")))
    }

    async fn close(&self) -> Result<()> {
        // The answer comes when all that was asked before is done; a closed journal has none.
        let _ = self.ask(|reply| Request::Close { reply }).await;
        Ok(())
    }
}
