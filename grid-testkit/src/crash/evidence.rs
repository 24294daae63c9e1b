//! What a judge is shown.

use std::collections::BTreeMap;

use bytes::Bytes;
use grid_core::{PartitionId, Sequence, Stamp};

use super::ledger::Ledger;
use super::stream::Stream;

/// A map and a key.
pub type Place = (String, String);

/// What a party holds of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The value as CBOR; none for a tombstone.
    pub value: Option<Bytes>,
    /// The version.
    pub stamp: Stamp,
    /// Where it stands in its partition's order; none where the party does not say so.
    pub sequence: Option<Sequence>,
}

/// What a party holds of all entries, tombstones included if it shows them.
pub type State = BTreeMap<Place, Held>;

/// What a server shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerState {
    /// Its live entries.
    pub state: State,
    /// The sequence of each partition that a map lies in.
    pub sequences: BTreeMap<PartitionId, Sequence>,
}

/// What a system of record holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Database {
    /// Its entries and tombstones.
    pub state: State,
    /// The sequence of each partition's state record.
    pub sequences: BTreeMap<PartitionId, Sequence>,
    /// How many changes of entries the partitions have gone through by that, all together: epoch
    /// records are no changes, and take up a sequence as well.
    pub changes: u64,
    /// Versions that it refused and that were put aside.
    pub dead_letters: u64,
}

impl Database {
    /// Whether the server is ahead of it in no partition.
    #[must_use]
    pub fn has_caught_up(&self, server: &ServerState) -> bool {
        server.sequences.iter().all(|(partition, sequence)| {
            let stored = self.sequences.get(partition).copied();
            stored.unwrap_or_default() >= *sequence
        })
    }
}

/// Everything, at a moment at which nobody writes, every op is decided, every client is level and
/// the database has caught up.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The ops, and what clients were told.
    pub ledger: &'a Ledger,
    /// What a subscriber saw all along.
    pub stream: &'a Stream,
    /// The server's state, as a newcomer is told it.
    pub server: &'a ServerState,
    /// The database's state, read past the server.
    pub database: &'a Database,
    /// What each client shows to its program.
    pub clients: &'a [State],
}
