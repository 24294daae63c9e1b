//! What all parts of an open grid share: the replica behind one short-held lock, and the bells
//! by which the parts wake each other.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grid_core::op::Action;
use grid_core::protocol::Verdict;
use grid_core::replica::{LocalWrite, Note, Now, Replica};
use grid_core::traits::{Runtime, Storage};
use grid_core::{Error, ErrorKind, OpId, Result, RunId};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::connection_state::ConnectionState;
use crate::fate::Rejected;
use crate::rejections::RejectionLog;
use crate::settings::{BYTES_PER_TURN, MAX_QUEUED_TURNS};
use crate::subscribers::Subscribers;
use crate::tickets::{Outcome, Tickets};

/// The ops that some writes became, and what tells when they are decided.
pub(crate) type Written = (Vec<OpId>, oneshot::Receiver<Outcome>);

/// Writes of one call, which become durable together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) writes: Vec<LocalWrite>,
    pub(crate) done: oneshot::Sender<Result<Written>>,
    /// Its share of the queue, until it is stored: also when the caller gave up waiting.
    pub(crate) _room: OwnedSemaphorePermit,
}

/// How much of the queue some writes take.
pub(crate) fn turns(writes: &[LocalWrite]) -> usize {
    let one = |write: &LocalWrite| match &write.action {
        Action::Put { value, .. } => 1 + value.len() / BYTES_PER_TURN,
        Action::Remove => 1,
    };
    writes.iter().map(one).sum()
}

/// How far the grid is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Open,
    /// No write is taken any more; what was taken is finished.
    Closing,
    Closed,
}

/// What the lock guards. It is never held across an await.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) replica: Replica,
    pub(crate) queue: VecDeque<Group>,
    pub(crate) tickets: Tickets,
    pub(crate) subscribers: Subscribers,
    pub(crate) rejections: RejectionLog,
    pub(crate) phase: Phase,
    /// What authenticates this client.
    pub(crate) token: Option<String>,
    /// What the server said last when it did not let a map be followed.
    pub(crate) refused_view: Option<String>,
    /// Why the store does not take what it is given, while that lasts.
    pub(crate) storage_error: Option<String>,
}

impl Core {
    pub(crate) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Passes on what the replica has to tell. Returns whether it said welcome.
    fn pass_notes(&mut self) -> bool {
        let mut welcomed = false;
        for note in self.replica.take_notes() {
            match note {
                Note::Changed { map, key } => self.subscribers.changed(&map, &key),
                Note::Synced { map, synced } => self.subscribers.synced(&map, synced),
                Note::Decided {
                    op,
                    map,
                    key,
                    verdict,
                } => {
                    self.tickets.decided(op, &map, &key, &verdict);
                    if let Verdict::Rejected { reason, message } = verdict {
                        self.rejections.push(Rejected {
                            op,
                            map,
                            key,
                            reason,
                            message,
                        });
                    }
                }
                Note::ViewRefused {
                    map,
                    reason,
                    message,
                } => {
                    tracing::warn!(%map, %reason, message, "the server refused a view");
                    self.refused_view = Some(format!("map `{map}`: {message} ({reason})"));
                }
                Note::Welcomed => {
                    welcomed = true;
                    self.refused_view = None;
                }
            }
        }
        welcomed
    }
}

#[derive(Debug)]
pub(crate) struct Engine {
    core: Mutex<Core>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) storage: Arc<dyn Storage>,
    /// Rings when there may be something to store.
    pub(crate) to_save: Notify,
    /// Rings when there may be something to send.
    pub(crate) to_send: Notify,
    /// Rings when the next deadline may have come nearer.
    pub(crate) to_tick: Notify,
    /// Rings when something was stored.
    pub(crate) stored: Notify,
    /// Rings when the application wants a connection now.
    pub(crate) to_connect: Notify,
    /// Changes with everything that a waiting caller may look for.
    progress: watch::Sender<()>,
    pub(crate) state: watch::Sender<ConnectionState>,
    phase: watch::Sender<Phase>,
    /// How many background tasks go on.
    tasks: watch::Sender<usize>,
    room: Arc<Semaphore>,
}

impl Engine {
    pub(crate) fn new(
        replica: Replica,
        runtime: Arc<dyn Runtime>,
        storage: Arc<dyn Storage>,
        token: Option<String>,
        state: ConnectionState,
    ) -> Self {
        let core = Core {
            replica,
            queue: VecDeque::new(),
            tickets: Tickets::default(),
            subscribers: Subscribers::default(),
            rejections: RejectionLog::default(),
            phase: Phase::Open,
            token,
            refused_view: None,
            storage_error: None,
        };
        Self {
            core: Mutex::new(core),
            runtime,
            storage,
            to_save: Notify::new(),
            to_send: Notify::new(),
            to_tick: Notify::new(),
            stored: Notify::new(),
            to_connect: Notify::new(),
            progress: watch::Sender::new(()),
            state: watch::Sender::new(state),
            phase: watch::Sender::new(Phase::Open),
            tasks: watch::Sender::new(0),
            room: Arc::new(Semaphore::new(MAX_QUEUED_TURNS)),
        }
    }

    /// A thread that panicked while it held the lock left the replica as one of its functions
    /// does, and these do not panic half way.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            wall_ms: self.runtime.now_ms(),
            elapsed: self.runtime.monotonic(),
        }
    }

    pub(crate) fn watch_progress(&self) -> watch::Receiver<()> {
        self.progress.subscribe()
    }

    pub(crate) fn watch_phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Passes on what the replica has to tell after it was given something, and wakes whom it
    /// concerns. Returns whether the server said welcome.
    pub(crate) fn settle(&self, mut core: MutexGuard<'_, Core>) -> bool {
        while core.replica.wants_run() {
            let run = RunId(self.runtime.random());
            if let Err(error) = core.replica.begin_run(run, self.now()) {
                tracing::debug!(%error, "drawing another run");
            }
        }
        let welcomed = core.pass_notes();
        let unsaved = core.replica.has_unsaved() || !core.queue.is_empty();
        drop(core);
        if unsaved {
            self.to_save.notify_one();
        }
        self.to_send.notify_one();
        self.progress.send_replace(());
        welcomed
    }

    /// Makes `writes` durable, all or none, and returns their ops.
    pub(crate) async fn write(&self, writes: Vec<LocalWrite>) -> Result<Written> {
        let turns = u32::try_from(turns(&writes).min(MAX_QUEUED_TURNS)).unwrap_or(u32::MAX);
        let room = self.room.clone().acquire_many_owned(turns).await;
        let room = room.map_err(|_| closed("write"))?;
        let receiver = {
            let mut core = self.lock();
            if core.phase != Phase::Open {
                return Err(closed("write"));
            }
            for write in &writes {
                core.replica.check(write)?;
            }
            if writes.is_empty() {
                return Ok((Vec::new(), core.tickets.issue(&[])));
            }
            let (done, receiver) = oneshot::channel();
            core.queue.push_back(Group {
                writes,
                done,
                _room: room,
            });
            receiver
        };
        self.to_save.notify_one();
        receiver.await.map_err(|_| closed("write"))?
    }

    /// Goes on to a later phase.
    pub(crate) fn enter(&self, phase: Phase) {
        let mut core = self.lock();
        if core.phase >= phase {
            return;
        }
        core.phase = phase;
        if phase == Phase::Closed {
            core.queue.clear();
            core.tickets.close();
            core.subscribers.close();
        }
        drop(core);
        if phase == Phase::Closed {
            self.state.send_replace(ConnectionState::Closed);
        }
        self.phase.send_replace(phase);
        self.progress.send_replace(());
        self.to_save.notify_one();
    }

    /// Counts a background task; it ends when the returned value is dropped.
    pub(crate) fn begin_task(self: &Arc<Self>) -> Task {
        self.tasks.send_modify(|tasks| *tasks += 1);
        Task {
            engine: self.clone(),
        }
    }

    /// Waits until at most `count` background tasks go on.
    pub(crate) async fn tasks_down_to(&self, count: usize) {
        let mut tasks = self.tasks.subscribe();
        // The sender lives as long as the engine.
        let _count = tasks.wait_for(|tasks| *tasks <= count).await;
    }

    pub(crate) fn running_tasks(&self) -> usize {
        *self.tasks.borrow()
    }
}

/// A background task that goes on.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) engine: Arc<Engine>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.engine.tasks.send_modify(|tasks| *tasks -= 1);
        self.engine.to_save.notify_one();
        // A task ends when it is told to. One that ended by a panic, or with its runtime, leaves
        // nobody to answer those who wait, so nobody may wait any more.
        if self.engine.lock().phase == Phase::Open {
            tracing::warn!("a background task ended early; the grid is closed");
            self.engine.enter(Phase::Closed);
        }
    }
}

pub(crate) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Closed, operation, "the grid is closed")
}
