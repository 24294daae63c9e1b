//! What became of a write, as the application learns it.

use std::fmt;

use grid_core::protocol::RejectReason;
use grid_core::{Key, MapName, OpId, Stamp};

/// What the server made of a write that it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// The write took effect.
    Acked,
    /// A later version was there already; the write had its turn and lost.
    Superseded {
        /// The version that won.
        by: Stamp,
    },
}

/// The server refused a write for good; the client has undone it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The write.
    pub op: OpId,
    /// Its map.
    pub map: MapName,
    /// Its key.
    pub key: Key,
    /// Why, for code.
    pub reason: RejectReason,
    /// Why, for people.
    pub message: String,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the server rejected the write of `{}` in `{}`: {} ({})",
            self.key, self.map, self.message, self.reason
        )
    }
}

impl std::error::Error for Rejected {}

/// Why a write has no [`Fate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAcked {
    /// The server refused it for good.
    Rejected(Rejected),
    /// The grid was closed first. The write is kept on this device and goes out when the store is
    /// opened again.
    Closed,
}

impl NotAcked {
    /// The rejection, if it is one.
    #[must_use]
    pub fn rejected(&self) -> Option<&Rejected> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            Self::Closed => None,
        }
    }
}

impl fmt::Display for NotAcked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Closed => f.write_str(
                "the grid was closed before the server answered; the write is kept on this device",
            ),
        }
    }
}

impl std::error::Error for NotAcked {}
