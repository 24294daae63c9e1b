//! The trace of a run: a running hash of everything that happened, in order.

use std::time::Duration;

use xxhash_rust::xxh3::Xxh3;

use super::executor::PartyId;

/// A running hash of events.
#[derive(Default)]
pub(super) struct Trace {
    hasher: Xxh3,
}

impl Trace {
    pub(super) fn record(&mut self, now: Duration, party: PartyId, what: &str, detail: u64) {
        self.hasher.update(&now.as_nanos().to_le_bytes());
        self.hasher.update(&party.0.to_le_bytes());
        self.hasher.update(what.as_bytes());
        self.hasher.update(&detail.to_le_bytes());
    }

    pub(super) fn hash(&self) -> u64 {
        self.hasher.digest()
    }
}
