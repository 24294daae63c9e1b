//! The server: from its parts to a running thing, and to its end.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures::future::{Either, select};
use grid_core::op::RunId;
use grid_core::partition::TableSeed;
use grid_core::traits::{Journal, Listener, OwnershipWatch, Persistence, Runtime};
use grid_core::{Error, ErrorKind, History, PartitionId, Result};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::admin::{Admin, Office};
use crate::builder::{Parts, ServerBuilder};
use crate::config::Settings;
use crate::data_set::{DataSet, Found};
use crate::following::Following;
use crate::gateway::{Dispatch, GatewayContext, Stack, Views, accept, gateway_pipeline};
use crate::handle::Handle;
use crate::layer::route::Router;
use crate::lifecycle::{Lifecycle, LifecycleOwner, Phase};
use crate::new_history;
use crate::observations::Observations;
use crate::ownership_table::OwnershipTable;
use crate::partition_service::Partitions;
use crate::takeover::{Takeover, Unsettled};
use crate::vital_journal::VitalJournal;
use crate::worker::{Mailboxes, WorkerMessage, Workers, start_workers};

/// A running server.
///
/// It serves until [`Server::shutdown`]. Dropping it without one ends it where it stands, as a
/// crash would: nothing that was acknowledged is lost.
pub struct Server {
    handle: Handle,
    admin: Admin,
    history: History,
    listeners: Vec<Arc<dyn Listener>>,
    mailboxes: Mailboxes,
    runtime: Arc<dyn Runtime>,
    journal: Arc<dyn Journal>,
    persistence: Arc<dyn Persistence>,
    settings: Arc<Settings>,
    lifecycle: LifecycleOwner,
    /// Closed when the last connection is gone.
    connections: mpsc::Receiver<()>,
    /// Closed when the last flusher has ended.
    flushers: mpsc::Receiver<()>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

impl Server {
    /// What a server is made of.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The URL of the first listener, with the real port; none when there is no listener.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        self.listeners.first().map(|listener| listener.url())
    }

    /// The line of sequences that it is on; a restore from a backup may have begun another.
    #[must_use]
    pub fn history(&self) -> History {
        self.history
    }

    /// The program's own way in.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// An operator's way in.
    #[must_use]
    pub fn admin(&self) -> Admin {
        self.admin.clone()
    }

    pub(crate) async fn start(mut parts: Parts) -> Result<Self> {
        let (lifecycle, life) = LifecycleOwner::new();
        parts.journal = Arc::new(VitalJournal::new(parts.journal, life.clone()));
        let count = parts.settings.partition_count;
        let table = Arc::new(OwnershipTable::new(parts.node.clone(), count));
        // From before anything is owned, so that no change is missed.
        let watch = parts.ownership.watch().await?;
        let observations = Arc::new(Observations::default());
        let opened = open(&parts, &table, &observations).await?;
        let data_set = opened.takeover.data_set;
        let shards = opened.shards;
        let workers = start_workers(&parts, data_set, shards, &table, &observations, &life);
        follow_owners(&parts, &opened.takeover, watch, &workers.mailboxes, &life);
        let left = opened.unsettled;
        opened.takeover.start(left, &workers.mailboxes, &life);
        let server = Self::open_doors(parts, data_set, table, observations, workers, lifecycle);
        Ok(server)
    }

    /// Lets everybody in who may: clients, the program, operators.
    fn open_doors(
        parts: Parts,
        data_set: DataSet,
        table: Arc<OwnershipTable>,
        observations: Arc<Observations>,
        workers: Workers,
        lifecycle: LifecycleOwner,
    ) -> Self {
        let settings = parts.settings;
        let mailboxes = workers.mailboxes;
        let router = Router::new(table.clone(), observations.clone(), &settings);
        let views = Arc::new(Views::default());
        let dispatch = Dispatch::new(
            mailboxes.clone(),
            views.clone(),
            data_set.history,
            router.spread(),
        );
        let handle = Handle::new(
            mailboxes.clone(),
            dispatch.clone(),
            router.clone(),
            RunId(parts.runtime.random() | 1),
            settings.max_value_bytes as usize,
        );
        let stack = Stack {
            settings: &settings,
            runtime: &parts.runtime,
            authenticator: parts.authenticator.clone(),
            policy: parts.policy,
            router,
            layers: parts.layers,
        };
        let pipeline = gateway_pipeline(stack, dispatch);
        let seats = settings.max_connections.min(Semaphore::MAX_PERMITS);
        let context = GatewayContext {
            runtime: parts.runtime.clone(),
            settings: settings.clone(),
            codecs: parts.codecs,
            authenticator: parts.authenticator,
            pipeline,
            mailboxes: mailboxes.clone(),
            views,
            history: data_set.history,
            digest_key: data_set.digest_key,
            lifecycle: lifecycle.life().clone(),
            seats: Arc::new(Semaphore::new(seats)),
            last_session: Arc::new(AtomicU64::new(0)),
        };
        let admin = Admin::new(Office {
            desks: workers.desks,
            history: data_set.history,
            persistence: parts.persistence.clone(),
            runtime: parts.runtime.clone(),
            handle: handle.clone(),
            settings: settings.clone(),
            table,
            observations,
            life: lifecycle.life().clone(),
            seats: context.seats.clone(),
            last_session: context.last_session.clone(),
        });
        let connections = accept_all(&context, &parts.listeners);
        Self {
            handle,
            admin,
            history: data_set.history,
            listeners: parts.listeners,
            mailboxes,
            runtime: parts.runtime,
            journal: parts.journal,
            persistence: parts.persistence,
            settings,
            lifecycle,
            connections,
            flushers: workers.flushers,
        }
    }

    /// Completes when the server has ended without having been told to: one of its tasks panicked,
    /// or its journal was closed under it. Its log tells which.
    /// Nothing that was acknowledged is lost; a new server on the same journal and persistence
    /// goes on.
    pub async fn failed(&self) {
        self.lifecycle.life().reached(Phase::Over).await;
    }

    /// Stops accepting, finishes what was taken, writes everything to the database, and closes. Who
    /// waits for the database to have a write is told so, if that is within `drain_ms`.
    ///
    /// # Errors
    /// As those of the journal's and the persistence's close; the server has ended all the same.
    pub async fn shutdown(mut self) -> Result<()> {
        self.lifecycle.enter(Phase::Draining);
        for listener in &self.listeners {
            listener.close().await;
        }
        let mut stopping = Vec::with_capacity(self.mailboxes.len());
        for worker in 0..self.mailboxes.len() {
            let (stopped, finished) = oneshot::channel();
            let stop = WorkerMessage::Stop(stopped);
            self.mailboxes.send(worker, stop).await?;
            stopping.push(finished);
        }
        // All of them wait at once for what the database is to have.
        for finished in stopping {
            finished.await.map_err(|_| {
                Error::new(
                    ErrorKind::Internal,
                    "shut down",
                    "a worker ended before it was told to",
                )
            })?;
        }
        self.lifecycle.enter(Phase::Drained);
        // Nothing is ever sent here: it closes when the last task that holds the other end is done.
        let _ = self.flushers.recv().await;
        let timeout = self
            .runtime
            .sleep(Duration::from_millis(self.settings.drain_ms) * 2);
        let gone = self.connections.recv();
        futures::pin_mut!(gone);
        if let Either::Right(_) = select(gone, timeout).await {
            tracing::warn!("some clients did not take their goodbye");
        }
        self.lifecycle.enter(Phase::Over);
        self.journal.close().await?;
        self.persistence.close().await
    }
}

/// What a server starts with.
struct Opened {
    takeover: Takeover,
    shards: Vec<Partitions>,
    /// What is left to be done when the database is back, if it is away.
    unsettled: Option<Unsettled>,
}

/// Follows the ownership table from now on.
fn follow_owners(
    parts: &Parts,
    takeover: &Takeover,
    watch: Box<dyn OwnershipWatch>,
    mailboxes: &Mailboxes,
    life: &Lifecycle,
) {
    let following = Following {
        ownership: parts.ownership.clone(),
        table: takeover.table.clone(),
        mailboxes: mailboxes.clone(),
        runtime: parts.runtime.clone(),
        partition_count: takeover.data_set.partition_count,
    };
    following.start(watch, life);
}

/// Lets clients in. What is returned closes when the last of them is gone.
fn accept_all(context: &GatewayContext, listeners: &[Arc<dyn Listener>]) -> mpsc::Receiver<()> {
    let (alive, connections) = mpsc::channel(1);
    for listener in listeners {
        let accepting = accept(context.clone(), listener.clone(), alive.clone());
        context.runtime.spawn("accept", Box::pin(accepting));
    }
    connections
}

/// How many workers there are.
fn worker_count(settings: &Settings) -> usize {
    match settings.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        workers => workers,
    }
    .min(settings.partition_count.into())
}

/// Brings the data set back, by a new history if that is needed and ordered.
async fn open(
    parts: &Parts,
    table: &Arc<OwnershipTable>,
    observations: &Arc<Observations>,
) -> Result<Opened> {
    match open_as_it_is(parts, table, observations).await {
        Err(error) if parts.new_history && error.kind() == ErrorKind::Diverged => {
            tracing::warn!(%error, "a new history is ordered");
            let (journal, persistence) = (&parts.journal, &parts.persistence);
            new_history::begin(journal, persistence, &parts.runtime, &parts.settings).await?;
            open_as_it_is(parts, table, observations).await
        }
        Ok(opened) if parts.new_history => {
            tracing::warn!(
                "the order of a new history is not needed: journal and database fit together, and \
                 nothing was discarded; start without it"
            );
            Ok(opened)
        }
        opened => opened,
    }
}

async fn open_as_it_is(
    parts: &Parts,
    table: &Arc<OwnershipTable>,
    observations: &Arc<Observations>,
) -> Result<Opened> {
    let found = Found::read(&parts.journal, &parts.persistence).await?;
    if parts.new_history {
        found.check_not_empty()?;
    }
    let takeover = Takeover {
        table: table.clone(),
        journal: parts.journal.clone(),
        persistence: parts.persistence.clone(),
        runtime: parts.runtime.clone(),
        data_set: found.data_set(&*parts.runtime, &parts.settings)?,
        seed: TableSeed(parts.runtime.random(), parts.runtime.random()),
        has_peers: parts.has_peers,
        observations: observations.clone(),
        settings: parts.settings.clone(),
    };
    let (shards, mut unsettled) = recover_all(parts, &takeover, found.is_away()).await?;
    let data_set = takeover.data_set;
    found.complete_journal(&data_set, &parts.journal).await?;
    match found.complete_database(&data_set, &parts.persistence).await {
        Err(error) if error.is_retryable() && !parts.new_history => {
            tracing::warn!(
                %error,
                "the database is away: what the journal has is served, and the rest when it is back"
            );
            takeover.is_away(&error);
            unsettled.get_or_insert_default();
        }
        completed => completed?,
    }
    if parts.persistence.capabilities().survives_power_loss {
        forget_stored(&parts.journal, &shards).await?;
    }
    Ok(Opened {
        takeover,
        shards,
        unsettled,
    })
}

/// Lets the journal forget what the database has for certain: a flush tells it only of partitions
/// that change.
async fn forget_stored(journal: &Arc<dyn Journal>, shards: &[Partitions]) -> Result<()> {
    for (id, owned) in shards.iter().flatten() {
        if let Some(through) = owned.backing.forgettable() {
            journal.truncate(*id, through).await?;
        }
    }
    Ok(())
}

/// Makes this node the owner of all partitions that no other node owns, and brings them back: from
/// the journal alone where the database is away, as far as that is enough.
async fn recover_all(
    parts: &Parts,
    takeover: &Takeover,
    mut is_away: bool,
) -> Result<(Vec<Partitions>, Option<Unsettled>)> {
    let workers = worker_count(&parts.settings);
    let mut shards: Vec<Partitions> = (0..workers).map(|_| Partitions::new()).collect();
    let mut left = Unsettled::default();
    let table = &takeover.table;
    for id in (0..takeover.data_set.partition_count).map(PartitionId) {
        let written = parts.journal.extent(id).await?.epoch;
        let Some(epoch) = table.acquire(&parts.ownership, id, written).await? else {
            continue;
        };
        let loaded = if is_away {
            None
        } else {
            match takeover.load(id, epoch).await {
                Err(error) if error.is_retryable() && !parts.new_history => {
                    // The journal's errors keep a server from starting.
                    match parts.persistence.load_state(id).await {
                        Err(away) if away.is_retryable() => is_away = true,
                        _ => return Err(error),
                    }
                    None
                }
                loaded => Some(loaded?),
            }
        };
        let owned = match loaded {
            Some(owned) => owned,
            None => {
                let owned = takeover.load_alone(id, epoch).await?;
                owned.iter().for_each(|owned| left.add(owned));
                owned
            }
        };
        if let Some(owned) = owned {
            shards[usize::from(id.0) % workers].insert(id, owned);
            table.serve(id, epoch);
        }
    }
    Ok((shards, is_away.then_some(left)))
}
