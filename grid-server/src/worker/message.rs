//! What workers are asked.

use std::sync::Arc;

use grid_core::op::{Action, Op, RunId};
use grid_core::partition::{KeyPage, Outcome, Veto};
use grid_core::protocol::{ReadTarget, Repair, Selector, Stored, ViewId};
use grid_core::traits::{Epoch, Principal};
use grid_core::{Error, ErrorKind, History, MapAddress, PartitionId, Result, Sequence};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::partition_service::Owned;
use crate::sessions::{MergeId, Owed, Session, SessionId};
use crate::write_behind::Backing;

/// One message to a worker.
#[derive(Debug)]
pub(crate) enum WorkerMessage {
    /// Ops, and the room that they take up until they are gathered.
    Push(PushWork, OwnedSemaphorePermit),
    /// Verdicts that a client has stored.
    Stored(Arc<Session>, Vec<Stored>),
    /// A run that will push nothing more.
    Release(Arc<Session>, RunId),
    Subscribe(SubscribeWork),
    Unsubscribe(SessionId, ViewId),
    /// A step of a comparison.
    Repair(Arc<Session>, Repair, Owed),
    Read(ReadWork),
    /// There is room again in the queue of a connection that was too slow.
    Drained(SessionId),
    /// A connection is gone.
    Leave(SessionId),
    /// A partition that this node has become the owner of, loaded.
    Begin(Box<Owned>),
    /// What the database has of a partition that is run, at this epoch, as its journal alone has
    /// it.
    Confirm(PartitionId, Epoch, Box<Backing>),
    /// A partition that this node owned at this epoch has another owner.
    Cease(PartitionId, Epoch),
    /// Finish what came before, and end.
    Stop(oneshot::Sender<()>),
}

/// Ops of one run.
#[derive(Debug)]
pub(crate) struct PushWork {
    pub(crate) origin: Origin,
    pub(crate) run: RunId,
    /// The op that the whole push, of which this worker may have only a part, comes back to.
    pub(crate) first: u64,
    pub(crate) ops: Vec<(PartitionId, MapAddress, Op, Option<Veto>)>,
}

/// Bytes that an op counts for beside its key and value.
const OP_OVERHEAD_BYTES: usize = 64;

/// The bytes that an op counts for.
pub(crate) fn op_bytes(op: &Op) -> usize {
    let value = match &op.action {
        Action::Put { value, .. } => value.len(),
        Action::Remove => 0,
    };
    OP_OVERHEAD_BYTES + op.key.as_bytes().len() + value
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
    pub(crate) reply: oneshot::Sender<Result<KeyPage>>,
}

/// Bytes of ops that may wait for one worker; then connections are read more slowly.
const MAILBOX_BYTES: u32 = 64 * 1024 * 1024;

/// The way to one worker.
#[derive(Debug)]
struct Mailbox {
    sender: mpsc::Sender<WorkerMessage>,
    /// One permit for each byte of ops that may still be put in.
    room: Arc<Semaphore>,
}

/// The mailboxes of all workers.
#[derive(Debug, Clone)]
pub(crate) struct Mailboxes(Arc<[Mailbox]>);

impl Mailboxes {
    pub(crate) fn new(senders: Vec<mpsc::Sender<WorkerMessage>>) -> Self {
        let mailboxes = senders.into_iter().map(|sender| Mailbox {
            sender,
            room: Arc::new(Semaphore::new(MAILBOX_BYTES as usize)),
        });
        Self(mailboxes.collect())
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
        let sent = self.0[worker].sender.send(message).await;
        sent.map_err(|_| closed())
    }

    /// Puts ops into a worker's mailbox, once there is room for as many bytes.
    ///
    /// # Errors
    /// `Closed` when the server is shutting down.
    pub(crate) async fn push(&self, worker: usize, push: PushWork) -> Result<()> {
        let bytes: usize = push.ops.iter().map(|(_, _, op, _)| op_bytes(op)).sum();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(MAILBOX_BYTES);
        let room = self.0[worker].room.clone();
        let taken = room.acquire_many_owned(bytes).await.map_err(|_| closed())?;
        self.send(worker, WorkerMessage::Push(push, taken)).await
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::sessions::Session;
    use crate::support;

    fn push(session: &Arc<Session>, number: u64) -> PushWork {
        let mut op = support::op(number);
        op.action = support::put(vec![0; 1_000_000].into());
        PushWork {
            origin: Origin::Session(session.clone()),
            run: op.id.run,
            first: number,
            ops: vec![(PartitionId(0), support::address(), op, None)],
        }
    }

    #[test]
    fn what_waits_for_a_worker_is_bounded_in_bytes() {
        let (sender, mut mailbox) = mpsc::channel(1024);
        let mailboxes = Mailboxes::new(vec![sender]);
        let session = Session::for_tests();
        let put = |number| mailboxes.push(0, push(&session, number)).now_or_never();
        let taken = (1..200).take_while(|number| put(*number).is_some()).count();
        assert_eq!(taken, 67, "64 MiB are 67 ops of a million bytes");
        assert!(put(300).is_none());
        drop(mailbox.try_recv().unwrap());
        assert!(put(301).is_some(), "the worker has taken one");
        // A worker that is gone holds nobody up.
        let waiting = mailboxes.push(0, push(&session, 302));
        drop(mailbox);
        let error = waiting.now_or_never().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
}
