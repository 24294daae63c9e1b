//! The servers of a run: what of them outlives a crash, and the server while it is up.

use std::sync::Arc;

use grid_core::traits::{Listener, Ownership, Runtime};
use grid_core::{Error, ErrorKind};
use grid_server::journal::{JournalOptions, LocalJournal};
use grid_server::{MemoryJournal, Server};

use super::backup::Backup;
use super::database::Database;
use super::database_trouble::DatabaseTrouble;
use super::disk::SimDisk;
use super::event::EventLog;
use super::medium::Medium;
use super::owners::Owners;
use super::shared_journal::{AppendFaults, SharedJournal};
use super::sim_persistence::{SimPersistence, Takes};
use super::simulation::Simulation;
use super::tokens::{TokenDoor, Tokens};
use super::watched_journal::WatchedJournal;
use crate::ModelDisk;
use crate::hooks::HookedJournal;

/// Small, so that segments turn over within a run.
const SEGMENT_BYTES: u64 = 16 * 1024;

/// What several servers share: in a run with one server, each start makes its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    pub(super) journal: MemoryJournal,
    pub(super) owners: Owners,
}

/// A server's way to what it shares with others.
pub(super) struct WayToShared {
    pub(super) journal: SharedJournal,
    pub(super) ownership: Arc<dyn Ownership>,
}

/// What of a server outlives its crashes, and the server while it is up.
#[derive(Debug)]
pub(super) struct ServerSide {
    pub(super) disk: ModelDisk,
    pub(super) disk_medium: Medium,
    pub(super) database_medium: Medium,
    /// What goes wrong with appends to a journal that is shared.
    pub(super) append_faults: AppendFaults,
    pub(super) running: Option<Server>,
    pub(super) backup: Option<Backup>,
    /// Whether it was put back to the backup, and was not up since.
    pub(super) put_back: bool,
    /// Whether its operator orders a new history when it starts.
    pub(super) ordered: bool,
}

/// All that a server needs to start, taken out of the world's locks.
pub(super) struct Start {
    pub(super) name: String,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) disk: ModelDisk,
    pub(super) disk_medium: Medium,
    pub(super) database_medium: Medium,
    pub(super) database_trouble: DatabaseTrouble,
    pub(super) shared: Option<WayToShared>,
    pub(super) tokens: Tokens,
    pub(super) events: EventLog,
    pub(super) new_history: bool,
}

/// Why a server did not start.
#[derive(Debug)]
pub(super) struct NotStarted {
    pub(super) message: String,
    /// Whether its operator has to order a new history.
    pub(super) diverged: bool,
}

impl From<Error> for NotStarted {
    fn from(error: Error) -> Self {
        Self {
            message: error.to_string(),
            diverged: error.kind() == ErrorKind::Diverged,
        }
    }
}

impl From<String> for NotStarted {
    fn from(message: String) -> Self {
        Self {
            message,
            diverged: false,
        }
    }
}

/// How the servers' journals are kept.
pub(super) fn journal_options() -> JournalOptions {
    JournalOptions {
        segment_bytes: SEGMENT_BYTES,
        ..JournalOptions::default()
    }
}

impl Start {
    /// Starts the server on what is left of its disk and database.
    pub(super) async fn run(
        self,
        simulation: &Simulation,
        database: &std::sync::Mutex<Box<dyn Database>>,
    ) -> Result<Server, NotStarted> {
        let persistence = database
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .connect()?;
        let persistence = SimPersistence {
            medium: self.database_medium.clone(),
            trouble: self.database_trouble,
            runtime: self.runtime.clone(),
            takes: Takes {
                inner: persistence,
                events: self.events.clone(),
            },
        };
        let watch = WatchedJournal {
            server: self.database_medium.party(),
            partitions: simulation.settings.partition_count,
            events: self.events,
        };
        let door = TokenDoor {
            tokens: self.tokens,
            runtime: self.runtime.clone(),
        };
        let mut builder = Server::builder();
        builder = match self.shared {
            Some(shared) => builder
                .journal(Arc::new(HookedJournal::new(
                    Arc::new(shared.journal),
                    watch,
                )))
                .ownership(shared.ownership),
            None => {
                let disk = SimDisk::new(self.disk, self.disk_medium);
                let journal =
                    LocalJournal::open(Arc::new(disk), self.runtime.clone(), journal_options())
                        .await?;
                builder.journal(Arc::new(HookedJournal::new(Arc::new(journal), watch)))
            }
        };
        builder = builder
            .runtime(self.runtime)
            .node(self.name)
            .persistence(Arc::new(persistence))
            .authenticator(Arc::new(door))
            .policy(simulation.policy.clone())
            .listen(self.listener)
            .new_history(self.new_history)
            .settings(simulation.settings.clone());
        if let Some(resolver) = &simulation.resolver {
            builder = builder.resolver(resolver.clone());
        }
        for codec in &simulation.codecs {
            builder = builder.codec(codec.clone());
        }
        for layer in &simulation.layers {
            builder = builder.layer(layer.clone());
        }
        Ok(builder.start().await?)
    }
}
