//! A policy that a test can change.

use std::collections::BTreeSet;
use std::sync::Mutex;

use grid_core::MapName;
use grid_core::op::Op;
use grid_core::traits::{Decision, Policy, Principal};

/// Denies writes of the keys and reads of the maps that it holds.
#[derive(Debug, Default)]
pub(crate) struct Denied {
    keys: Mutex<BTreeSet<String>>,
    maps: Mutex<BTreeSet<String>>,
}

impl Denied {
    pub(crate) fn key(&self, key: &str) {
        self.keys.lock().unwrap().insert(key.to_owned());
    }

    pub(crate) fn map(&self, map: &str) {
        self.maps.lock().unwrap().insert(map.to_owned());
    }
}

impl Policy for Denied {
    fn may_write(&self, _principal: &Principal, op: &Op) -> Decision {
        if self.keys.lock().unwrap().contains(op.key.as_str()) {
            Decision::Deny("this key is not yours".to_owned())
        } else {
            Decision::Allow
        }
    }

    fn may_read(&self, _principal: &Principal, map: &MapName) -> Decision {
        if self.maps.lock().unwrap().contains(map.as_str()) {
            Decision::Deny("this map is not yours".to_owned())
        } else {
            Decision::Allow
        }
    }
}
