//! What a replica tells the application.

use crate::address::{Key, MapName};
use crate::op::OpId;
use crate::protocol::{RejectReason, Verdict};

/// Something that the application may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// What is seen of this key is another than before; read it to learn what.
    Changed {
        /// The map.
        map: MapName,
        /// The key.
        key: Key,
    },
    /// The map became level with the server, or is no longer known to be.
    Synced {
        /// The map.
        map: MapName,
        /// Whether it is level.
        synced: bool,
    },
    /// The server decided an op; told once for each op.
    Decided {
        /// The op.
        op: OpId,
        /// Its map.
        map: MapName,
        /// Its key.
        key: Key,
        /// What became of it.
        verdict: Verdict,
    },
    /// The server does not let the map be followed.
    ViewRefused {
        /// The map.
        map: MapName,
        /// Why, for code.
        reason: RejectReason,
        /// Why, for people.
        message: String,
    },
    /// A connection is ready: the server said welcome.
    Welcomed,
}
