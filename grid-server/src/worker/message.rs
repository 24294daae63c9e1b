//! What workers are asked.

use std::sync::Arc;

use grid_core::op::{Op, RunId};
use grid_core::partition::{KeyPage, Outcome, Veto};
use grid_core::protocol::{ReadTarget, Repair, Selector, Stored, ViewId};
use grid_core::traits::Principal;
use grid_core::{Error, ErrorKind, History, MapAddress, PartitionId, Result, Sequence};
use tokio::sync::{mpsc, oneshot};

use crate::sessions::{MergeId, Session, SessionId};

/// One message to a worker.
#[derive(Debug)]
pub(crate) enum WorkerMessage {
    Push(PushWork),
    /// Verdicts that a client has stored.
    Stored(Arc<Session>, Vec<Stored>),
    /// A run that will push nothing more.
    Release(Arc<Session>, RunId),
    Subscribe(SubscribeWork),
    Unsubscribe(SessionId, ViewId),
    Repair(Arc<Session>, Repair),
    Read(ReadWork),
    /// There is room again in the queue of a connection that was too slow.
    Drained(SessionId),
    /// A connection is gone.
    Leave(SessionId),
    /// Finish what came before, and end.
    Stop(oneshot::Sender<()>),
}

/// Ops of one run.
#[derive(Debug)]
pub(crate) struct PushWork {
    pub(crate) origin: Origin,
    pub(crate) run: RunId,
    /// The first op number of the whole push, of which this worker may have only a part.
    pub(crate) first: u64,
    pub(crate) ops: Vec<(PartitionId, MapAddress, Op, Option<Veto>)>,
}

/// Who pushes, and how it is told.
#[derive(Debug)]
pub(crate) enum Origin {
    Session(Arc<Session>),
    /// The program itself, one op at a time.
    Program {
        principal: Arc<Principal>,
        /// Taken when it is answered.
        reply: Option<oneshot::Sender<Result<Outcome>>>,
    },
}

/// A view that a client wants to follow.
#[derive(Debug)]
pub(crate) struct SubscribeWork {
    pub(crate) session: Arc<Session>,
    pub(crate) view: ViewId,
    /// The gathering that the answers are for.
    pub(crate) merge: MergeId,
    pub(crate) address: MapAddress,
    pub(crate) selector: Selector,
    pub(crate) history: History,
    /// The partitions of this worker, and where the client stands in them.
    pub(crate) partitions: Vec<(PartitionId, Option<Sequence>)>,
}

/// Records that are wanted once.
#[derive(Debug)]
pub(crate) struct ReadWork {
    pub(crate) address: MapAddress,
    pub(crate) partitions: Vec<PartitionId>,
    pub(crate) target: ReadTarget,
    pub(crate) reply: oneshot::Sender<KeyPage>,
}

/// The mailboxes of all workers.
#[derive(Debug, Clone)]
pub(crate) struct Mailboxes(Arc<[mpsc::Sender<WorkerMessage>]>);

impl Mailboxes {
    pub(crate) fn new(senders: Vec<mpsc::Sender<WorkerMessage>>) -> Self {
        Self(senders.into())
    }

    /// How many workers there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The worker that runs `partition`.
    pub(crate) fn worker_of(&self, partition: PartitionId) -> usize {
        usize::from(partition.0) % self.0.len()
    }

    /// Items with their partitions, split by worker; empty for a worker that gets none.
    pub(crate) fn split<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        partition: impl Fn(&T) -> PartitionId,
    ) -> Vec<Vec<T>> {
        let mut split: Vec<Vec<T>> = (0..self.len()).map(|_| Vec::new()).collect();
        for item in items {
            split[self.worker_of(partition(&item))].push(item);
        }
        split
    }

    /// Puts a message into a worker's mailbox, once there is room.
    ///
    /// # Errors
    /// `Closed` when the server is shutting down.
    pub(crate) async fn send(&self, worker: usize, message: WorkerMessage) -> Result<()> {
        self.0[worker].send(message).await.map_err(|_| closed())
    }

    /// Tells all workers.
    ///
    /// # Errors
    /// `Closed` when the server is shutting down.
    pub(crate) async fn send_all(&self, message: impl Fn() -> WorkerMessage) -> Result<()> {
        for worker in 0..self.len() {
            self.send(worker, message()).await?;
        }
        Ok(())
    }
}

/// The error of a server that is no more.
pub(crate) fn closed() -> Error {
    Error::new(
        ErrorKind::Closed,
        "ask worker",
        "the server is shutting down; connect again later",
    )
}
