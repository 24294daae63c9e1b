//! The servers of a run: what of them outlives a crash, and the server while it is up.

use std::sync::Arc;

use grid_core::Result;
use grid_core::traits::{Journal, Listener, Ownership, Runtime};
use grid_server::journal::{JournalOptions, LocalJournal};
use grid_server::{MemoryJournal, Server};

use super::database::{Database, SimPersistence};
use super::disk::SimDisk;
use super::event::EventLog;
use super::medium::Medium;
use super::owners::Owners;
use super::shared_journal::{AppendFaults, SharedJournal};
use super::simulation::Simulation;
use super::tokens::{TokenDoor, Tokens};
use crate::ModelDisk;

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
}

/// All that a server needs to start, taken out of the world's locks.
pub(super) struct Start {
    pub(super) name: String,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) disk: ModelDisk,
    pub(super) disk_medium: Medium,
    pub(super) database_medium: Medium,
    pub(super) shared: Option<WayToShared>,
    pub(super) tokens: Tokens,
    pub(super) events: EventLog,
}

impl Start {
    /// Starts the server on what is left of its disk and database.
    pub(super) async fn run(
        self,
        simulation: &Simulation,
        database: &std::sync::Mutex<Box<dyn Database>>,
    ) -> std::result::Result<Server, String> {
        let persistence = database
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .connect()?;
        let medium = self.database_medium.clone();
        let persistence = SimPersistence::new(persistence, medium, self.events.clone());
        let door = TokenDoor {
            tokens: self.tokens,
            runtime: self.runtime.clone(),
        };
        let mut builder = Server::builder();
        builder = match self.shared {
            Some(shared) => builder
                .journal(Arc::new(shared.journal))
                .ownership(shared.ownership),
            None => {
                let disk = SimDisk::new(self.disk, self.disk_medium);
                let journal = local_journal(disk, &self.runtime).await;
                builder.journal(journal.map_err(|error| error.to_string())?)
            }
        };
        builder = builder
            .runtime(self.runtime)
            .node(self.name)
            .persistence(Arc::new(persistence))
            .authenticator(Arc::new(door))
            .policy(simulation.policy.clone())
            .listen(self.listener)
            .settings(simulation.settings.clone());
        if let Some(resolver) = &simulation.resolver {
            builder = builder.resolver(resolver.clone());
        }
        for codec in &simulation.codecs {
            builder = builder.codec(codec.clone());
        }
        for layer in &simulation.layers {
            let layer = layer.clone();
            builder = builder.layer(move |inner| layer(inner));
        }
        builder.start().await.map_err(|error| error.to_string())
    }
}

async fn local_journal(disk: SimDisk, runtime: &Arc<dyn Runtime>) -> Result<Arc<dyn Journal>> {
    let options = JournalOptions {
        segment_bytes: SEGMENT_BYTES,
        ..JournalOptions::default()
    };
    let journal = LocalJournal::open(Arc::new(disk), runtime.clone(), options).await?;
    Ok(Arc::new(journal))
}
