//! Backups of what is under a server, and what one that was put back to a backup still knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::partition::Partition;
use grid_core::traits::{Journal, Persistence, Position, RecordCursor};
use grid_core::{ErrorKind, History, OpId, PartitionId, Result, Sequence};
use grid_server::Server;
use grid_server::journal::LocalJournal;
use grid_server::recovery::replay_journal;

use super::contents::{Contents, versions};
use super::database::Database;
use super::event::Event;
use super::fault::BackupPart;
use super::server_side::journal_options;
use super::world::{DIRECTOR, World, lock, server_party};
use crate::ModelDisk;

/// The pseudo partition under which a data set keeps its history.
const IDENTITY: PartitionId = PartitionId::IDENTITY;

/// A server's database and disk as they were at one instant.
#[derive(Debug)]
pub(super) struct Backup {
    database: Box<dyn Database>,
    disk: ModelDisk,
}

/// What a server that was put back to a backup still knows.
#[derive(Debug)]
pub struct Remains {
    partitions: BTreeMap<PartitionId, Partition>,
    new_history: bool,
}

impl Remains {
    /// Whether the server knows the verdict of an op that was decided in this partition.
    #[must_use]
    pub fn has_decided(&self, partition: PartitionId, op: OpId) -> bool {
        let partition = self.partitions.get(&partition);
        partition.is_some_and(|partition| partition.has_decided(op))
    }

    /// Up to which change the server knows a partition.
    #[must_use]
    pub fn sequence(&self, partition: PartitionId) -> Sequence {
        let partition = self.partitions.get(&partition);
        partition.map_or(Sequence::ZERO, |known| known.sequence().max(known.newest()))
    }

    /// The versions that the server knows, partition by partition.
    pub(super) fn versions(
        &self,
    ) -> impl Iterator<Item = (PartitionId, RecordCursor, Sequence)> + '_ {
        let partitions = self.partitions.iter();
        partitions.flat_map(|(id, partition)| {
            versions(partition).map(move |(cursor, sequence)| (*id, cursor, sequence))
        })
    }

    /// Whether its cursors are of another history than those before.
    #[must_use]
    pub fn is_new_history(&self) -> bool {
        self.new_history
    }
}

/// What there is to be known before a server that was put back starts.
#[derive(Debug)]
pub(super) struct Candidates {
    history: Option<History>,
    database: Arc<Contents>,
    /// What the journal leads to, if it fits the database.
    whole: Option<BTreeMap<PartitionId, Partition>>,
}

impl Candidates {
    /// What `server`, which has just started on it, has to know.
    ///
    /// # Errors
    /// When it should not have started.
    fn choose(self, server: &Server) -> std::result::Result<Remains, String> {
        let new_history = Some(server.history()) != self.history;
        let partitions = if new_history {
            self.database.copies()
        } else {
            self.whole
                .ok_or("a server serves though its database does not fit its journal")?
        };
        Ok(Remains {
            partitions,
            new_history,
        })
    }
}

impl World {
    /// Takes a backup of what is under a server, in place of the one before.
    pub(super) fn back_up(&self, server: usize) {
        let Some(database) = lock(&self.database).copy() else {
            return;
        };
        self.with_server(server, |side| {
            let disk = side.disk.copy();
            // As a snapshot of a volume is: what was not synced may be in it or not.
            disk.crash();
            disk.set_capacity(usize::MAX);
            side.backup = Some(Backup { database, disk });
        });
    }

    /// Puts what is under a server, which is down, back to its backup; false when there is none.
    pub(super) fn put_back(&self, server: usize, part: BackupPart) -> bool {
        let put_back = self.with_server(server, |side| {
            let backup = side.backup.as_ref()?;
            let (database, disk) = (backup.database.copy()?, backup.disk.copy());
            if part != BackupPart::Disk {
                *lock(&self.database) = database;
            }
            if part != BackupPart::Database {
                side.disk = disk;
            }
            // Whoever puts something back sees to it that the server starts with its database:
            // without it, it would serve what a journal has that may be an old one.
            side.database_medium.mend();
            side.put_back = true;
            side.ordered = false;
            Some(())
        });
        put_back.flatten().is_some()
    }

    /// The operator of a server that was put back and does not start on that orders a new history;
    /// false when it was not put back, or the order was given already.
    pub(super) fn order_new_history(&self, server: usize) -> bool {
        let ordered = self.with_server(server, |side| {
            side.put_back && !std::mem::replace(&mut side.ordered, true)
        });
        ordered == Some(true)
    }

    /// Reads what is under a server that was put back; none if it was not.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(super) async fn candidates(
        &self,
        server: usize,
    ) -> std::result::Result<Option<Candidates>, String> {
        let disk = self.with_server(server, |side| side.put_back.then(|| side.disk.copy()));
        let Some(disk) = disk.flatten() else {
            return Ok(None);
        };
        let persistence = lock(&self.database).connect()?;
        let runtime = Arc::new(self.runtime(DIRECTOR));
        let journal = LocalJournal::open(Arc::new(disk), runtime, journal_options()).await;
        let count = self.simulation.settings.partition_count;
        let read = read(&*persistence, journal.ok().as_ref(), count).await;
        let read = read.map_err(|error| error.to_string())?;
        self.emit(Event::Holds(read.database.clone()));
        Ok(Some(read))
    }

    /// Tells what a server that was put back, and is up again, knows.
    pub(super) fn is_back(&self, server: usize, candidates: Candidates, running: &Server) {
        self.with_server(server, |side| {
            side.put_back = false;
            side.ordered = false;
        });
        match candidates.choose(running) {
            Ok(remains) => self.emit(Event::PutBack {
                server: server_party(server),
                remains: Arc::new(remains),
            }),
            Err(failure) => self.fail(failure),
        }
    }
}

/// Reads a database, and the journal after it.
async fn read(
    persistence: &dyn Persistence,
    journal: Option<&LocalJournal>,
    count: u16,
) -> Result<Candidates> {
    let history = persistence.load_state(IDENTITY).await?;
    let database = Arc::new(Contents::read(persistence, count).await?);
    let mut candidates = Candidates {
        history: history.map(|state| state.history),
        database: database.clone(),
        whole: journal.map(|_| BTreeMap::new()),
    };
    for (id, partition, position) in database.partitions() {
        if let (Some(whole), Some(journal)) = (&mut candidates.whole, journal) {
            match replay(partition.clone(), position, journal).await? {
                Some(partition) => {
                    whole.insert(id, partition);
                }
                None => candidates.whole = None,
            }
        }
    }
    Ok(candidates)
}

/// The partition with what the journal has after `position`; none if the two do not fit.
async fn replay(
    mut partition: Partition,
    mut position: Position,
    journal: &LocalJournal,
) -> Result<Option<Partition>> {
    let id = partition.id();
    let extent = journal.extent(id).await?;
    if position < extent.truncated || position > extent.tail {
        return Ok(None);
    }
    match replay_journal(&mut partition, &mut position, journal, |_, _| ()).await {
        Err(error) if error.kind() == ErrorKind::Diverged => return Ok(None),
        replayed => replayed?,
    };
    partition.finish_replay();
    Ok((partition.newest() <= partition.sequence()).then_some(partition))
}
