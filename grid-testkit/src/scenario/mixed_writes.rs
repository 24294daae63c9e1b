//! The workload and policy of simulations that name none: every kind of write, on few keys.

use async_trait::async_trait;
use grid_core::MapName;
use grid_core::op::Op;
use grid_core::traits::{Decision, Policy, Principal};

use super::device::{Device, Turn};
use super::ledger::FinalState;
use super::workload::{Check, Workload};

/// Keys that start with this nobody may write.
pub const FORBIDDEN_PREFIX: &str = "no/";

/// Puts, removals, conditional puts, reads and forbidden writes of all devices on the same few keys
/// of two maps.
#[derive(Debug, Clone)]
pub struct MixedWrites {
    /// How many keys there are in each map; few, so that devices meet on them.
    pub keys: u64,
    /// How many of a hundred writes remove.
    pub removals: u64,
}

impl Default for MixedWrites {
    fn default() -> Self {
        Self {
            keys: 12,
            removals: 25,
        }
    }
}

const MAPS: [&str; 2] = ["lists", "notes-2"];

#[async_trait]
impl Workload for MixedWrites {
    fn maps(&self) -> Vec<String> {
        MAPS.map(str::to_owned).to_vec()
    }

    async fn run(&self, device: &Device, turn: &Turn) -> Check {
        let map = if turn.chance(50) { MAPS[0] } else { MAPS[1] };
        let key = format!("k{}/x", turn.below(self.keys));
        // Unique in the run, so that a value says who wrote it.
        let value =
            u64::try_from(device.number()).unwrap_or(0) * 1_000_000 + u64::from(turn.number());
        let kind = turn.below(100);
        if kind < self.removals {
            return device.remove(map, &key).await;
        }
        match kind {
            90.. => {
                let key = format!("{FORBIDDEN_PREFIX}{}", turn.below(3));
                device.put(map, &key, &value).await
            }
            80.. => device.put_if_unchanged(map, &key, &value).await,
            75.. => device.get(map, &key).map(|_| ()),
            _ => device.put(map, &key, &value).await,
        }
    }

    fn check(&self, state: &FinalState) -> Check {
        let mut keys = state.keys();
        match keys.find(|(_, key)| key.starts_with(FORBIDDEN_PREFIX)) {
            Some((map, key)) => Err(format!("{map}/{key}: a forbidden write left a trace")),
            None => Ok(()),
        }
    }
}

/// Nobody may write keys that start with [`FORBIDDEN_PREFIX`].
#[derive(Debug, Clone, Copy, Default)]
pub struct NoForbiddenKeys;

impl Policy for NoForbiddenKeys {
    fn may_write(&self, _: &Principal, op: &Op) -> Decision {
        if op.key.as_str().starts_with(FORBIDDEN_PREFIX) {
            return Decision::Deny("this key is not for writing".to_owned());
        }
        Decision::Allow
    }

    fn may_read(&self, _: &Principal, _: &MapName) -> Decision {
        Decision::Allow
    }
}
