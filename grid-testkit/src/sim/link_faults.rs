//! How links fail.

use serde::{Deserialize, Serialize};

/// How the links of the world treat frames. Chances are per frame, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFaults {
    /// Least and most time on the way, in milliseconds.
    pub delay_ms: (u64, u64),
    /// A frame vanishes though the connection lives on. No stream transport does this; the
    /// protocol has to notice all the same.
    pub drop_percent: u64,
    /// A frame arrives twice.
    pub duplicate_percent: u64,
    /// A frame overtakes the one before it.
    pub reorder_percent: u64,
    /// A frame arrives with some of its bits inverted.
    pub corrupt_percent: u64,
    /// The connection breaks; what is on the way is lost.
    pub reset_percent: u64,
}

impl LinkFaults {
    /// A network that only takes its time.
    #[must_use]
    pub fn healthy() -> Self {
        Self {
            delay_ms: (1, 20),
            drop_percent: 0,
            duplicate_percent: 0,
            reorder_percent: 0,
            corrupt_percent: 0,
            reset_percent: 0,
        }
    }
}
