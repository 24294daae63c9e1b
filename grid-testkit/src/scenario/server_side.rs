//! The servers of a run: what of them outlives a crash, and the server while it is up.

use std::sync::Arc;

use grid_core::Result;
use grid_core::traits::{Journal, Listener, Ownership, Runtime};
use grid_server::journal::{JournalOptions, LocalJournal};
use grid_server::{LocalOwnership, MemoryJournal, Server};

use super::database::{Database, SimPersistence};
use super::disk::SimDisk;
use super::event::EventLog;
use super::medium::Medium;
use super::simulation::Simulation;
use super::tokens::Tokens;
use crate::ModelDisk;

/// Small, so that segments turn over within a run.
const SEGMENT_BYTES: u64 = 16 * 1024;

/// What several servers share: in a run with one server, each start makes its own.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    journal: MemoryJournal,
    ownership: Arc<LocalOwnership>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            journal: MemoryJournal::new(),
            ownership: Arc::new(LocalOwnership::new()),
        }
    }
}

/// What of a server outlives its crashes, and the server while it is up.
#[derive(Debug)]
pub(super) struct ServerSide {
    pub(super) disk: ModelDisk,
    pub(super) disk_medium: Medium,
    pub(super) database_medium: Medium,
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
    pub(super) shared: Option<Shared>,
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
        let journal = self.journal().await.map_err(|error| error.to_string())?;
        let mut builder = Server::builder()
            .runtime(self.runtime)
            .node(self.name)
            .journal(journal)
            .persistence(Arc::new(persistence))
            .authenticator(Arc::new(self.tokens))
            .policy(simulation.policy.clone())
            .listen(self.listener)
            .settings(simulation.settings.clone());
        if let Some(shared) = self.shared {
            let ownership: Arc<dyn Ownership> = shared.ownership;
            builder = builder.ownership(ownership);
        }
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

    async fn journal(&self) -> Result<Arc<dyn Journal>> {
        if let Some(shared) = &self.shared {
            return Ok(Arc::new(shared.journal.clone()));
        }
        let options = JournalOptions {
            segment_bytes: SEGMENT_BYTES,
            ..JournalOptions::default()
        };
        let disk = SimDisk::new(self.disk.clone(), self.disk_medium.clone());
        let journal = LocalJournal::open(Arc::new(disk), self.runtime.clone(), options).await?;
        Ok(Arc::new(journal))
    }
}
