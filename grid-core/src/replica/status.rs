//! A replica's state in figures.

use super::fate_counts::FateCounts;
use super::map_state::MapState;
use crate::address::{MapName, PartitionId};
use crate::op::RunId;
use crate::record::{History, Sequence};

/// What a replica holds and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The present run.
    pub run: RunId,
    /// Ops that are durable here and not settled.
    pub pending: usize,
    /// Ops that the server decided and that are settled, over all openings of the store.
    pub fates: FateCounts,
    /// Why the server has put ops off, for people, while the one that this was told about has to be
    /// pushed again. The server takes none before it.
    pub put_off: Option<String>,
    /// Whether a connection is ready.
    pub connected: bool,
    /// The maps, in the order of their names.
    pub maps: Vec<MapStatus>,
}

/// Where one map stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapStatus {
    /// The map.
    pub map: MapName,
    /// Entries confirmed by the server, as this replica has them.
    pub confirmed: usize,
    /// Entries that the application sees, pending ops included; also those that are due.
    pub entries: usize,
    /// Ops on the map that are durable here and not settled.
    pub pending: usize,
    /// Whether the map is level with the server on this connection.
    pub synced: bool,
    /// The history in which the cursor counts.
    pub history: History,
    /// Up to where the map is known, by partition.
    pub cursor: Vec<(PartitionId, Sequence)>,
}

impl MapStatus {
    pub(super) fn of(map: &MapState) -> Self {
        Self {
            map: map.name.clone(),
            confirmed: map.confirmed.entries().len(),
            entries: map.seen(),
            pending: map.overlay.len(),
            synced: map.view.is_synced(),
            history: map.history,
            cursor: map.confirmed.cursors(),
        }
    }
}
