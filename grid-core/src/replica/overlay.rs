//! The overlay of one map: its pending ops by key, laid over the confirmed state.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::log_position::LogPosition;
use crate::address::Key;
use crate::hlc::Hlc;
use crate::op::{Action, Op};

/// What a pending op makes of its key.
#[derive(Debug, Clone)]
pub(super) struct Overlaid {
    pub(super) position: LogPosition,
    /// `None`: the op removes the entry.
    pub(super) value: Option<Bytes>,
    pub(super) expires_at_ms: Option<u64>,
    /// The base of an op that is made on top of this one.
    pub(super) rests_on: Hlc,
}

impl Overlaid {
    pub(super) fn new(position: LogPosition, op: &Op) -> Self {
        match &op.action {
            Action::Put { value, ttl_ms } => Self {
                position,
                value: Some(value.clone()),
                expires_at_ms: ttl_ms.map(|ttl| op.hlc.millis().saturating_add(ttl)),
                rests_on: op.base,
            },
            Action::Remove => Self {
                position,
                value: None,
                expires_at_ms: None,
                rests_on: Hlc::ZERO,
            },
        }
    }
}

/// Pending ops of one map by key, those of one key in log order.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    keys: BTreeMap<Key, Vec<Overlaid>>,
    /// Ops of all keys.
    count: usize,
}

impl Overlay {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many ops there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Adds an op that comes after all others of its key.
    pub(super) fn push(&mut self, key: &Key, overlaid: Overlaid) {
        self.count += 1;
        match self.keys.get_mut(key) {
            Some(ops) => ops.push(overlaid),
            None => {
                self.keys.insert(key.clone(), vec![overlaid]);
            }
        }
    }

    pub(super) fn remove(&mut self, key: &Key, position: LogPosition) {
        if let Some(ops) = self.keys.get_mut(key) {
            let before = ops.len();
            ops.retain(|op| op.position != position);
            self.count -= before - ops.len();
            if ops.is_empty() {
                self.keys.remove(key);
            }
        }
    }

    /// The op that decides what is seen of `key`.
    pub(super) fn last(&self, key: &Key) -> Option<&Overlaid> {
        self.keys.get(key)?.last()
    }

    /// The server gave an op its final stamp: that is what later ops on the key rest on.
    pub(super) fn accepted(&mut self, key: &Key, position: LogPosition, stamp: Hlc) {
        let ops = self.keys.get_mut(key).into_iter().flatten();
        for op in ops.filter(|op| op.position == position && op.value.is_some()) {
            op.rests_on = stamp;
        }
    }

    /// The deciding op of every key, in key order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Overlaid)> {
        self.keys
            .iter()
            .filter_map(|(key, ops)| Some((key, ops.last()?)))
    }
}
