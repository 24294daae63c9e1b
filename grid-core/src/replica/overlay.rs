//! The overlay of one map: its pending ops by key, laid over the confirmed state.

use std::collections::{BTreeMap, VecDeque};

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
///
/// A key may have any number of them, and they mostly go in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    keys: BTreeMap<Key, VecDeque<Overlaid>>,
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

    /// Adds an op at its place in the order.
    pub(super) fn push(&mut self, key: &Key, overlaid: Overlaid) {
        if !self.keys.contains_key(key) {
            self.keys.insert(key.clone(), VecDeque::with_capacity(1));
        }
        let Some(ops) = self.keys.get_mut(key) else {
            return;
        };
        match ops.binary_search_by_key(&overlaid.position, |op| op.position) {
            Ok(index) => ops[index] = overlaid,
            Err(index) => {
                ops.insert(index, overlaid);
                self.count += 1;
            }
        }
    }

    pub(super) fn remove(&mut self, key: &Key, position: LogPosition) {
        if let Some(ops) = self.keys.get_mut(key)
            && let Ok(index) = ops.binary_search_by_key(&position, |op| op.position)
        {
            ops.remove(index);
            self.count -= 1;
            if ops.is_empty() {
                self.keys.remove(key);
            }
        }
    }

    /// The op that decides what is seen of `key`.
    pub(super) fn last(&self, key: &Key) -> Option<&Overlaid> {
        self.keys.get(key)?.back()
    }

    /// Whether an earlier op on `key` than the one at `position` is pending.
    pub(super) fn has_before(&self, key: &Key, position: LogPosition) -> bool {
        let first = self.keys.get(key).and_then(VecDeque::front);
        first.is_some_and(|first| first.position < position)
    }

    /// The server gave an op its final stamp: that is what later ops on the key rest on.
    pub(super) fn accepted(&mut self, key: &Key, position: LogPosition, stamp: Hlc) {
        if let Some(ops) = self.keys.get_mut(key)
            && let Ok(index) = ops.binary_search_by_key(&position, |op| op.position)
            && ops[index].value.is_some()
        {
            ops[index].rests_on = stamp;
        }
    }

    /// The deciding op of every key, in key order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Overlaid)> {
        self.keys
            .iter()
            .filter_map(|(key, ops)| Some((key, ops.back()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MapName, OpId, RunId};

    fn position(number: u64) -> LogPosition {
        LogPosition { ordinal: 1, number }
    }

    fn overlaid(key: &Key, number: u64) -> Overlaid {
        let op = Op {
            id: OpId {
                run: RunId(1),
                number,
            },
            hlc: Hlc::new(number, 0),
            map: MapName::new("m").unwrap(),
            key: key.clone(),
            action: Action::Put {
                value: Bytes::from(number.to_be_bytes().to_vec()),
                ttl_ms: None,
            },
            base: Hlc::ZERO,
            if_version: None,
            schema: 0,
            ack: None,
        };
        Overlaid::new(position(number), &op)
    }

    /// Each step looked at every op of the key once: that took minutes.
    #[test]
    fn a_key_that_was_edited_very_often_settles_in_time_that_grows_with_the_edits() {
        const EDITS: u64 = 200_000;
        let key = Key::new("k").unwrap();
        let mut overlay = Overlay::default();
        for number in 1..=EDITS {
            overlay.push(&key, overlaid(&key, number));
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a test that takes minutes has failed"
        )]
        let start = std::time::Instant::now();
        for number in 1..=EDITS {
            assert_eq!(overlay.last(&key).unwrap().position, position(EDITS));
            overlay.accepted(&key, position(number), Hlc::new(number, 1));
            overlay.remove(&key, position(number));
            assert_eq!(overlay.len() as u64, EDITS - number);
        }
        assert!(overlay.is_empty());
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    #[test]
    fn ops_go_in_any_order_and_the_last_one_that_is_left_decides() {
        let key = Key::new("k").unwrap();
        let mut overlay = Overlay::default();
        for number in [2, 5, 9, 5] {
            overlay.push(&key, overlaid(&key, number));
        }
        assert_eq!(overlay.len(), 3, "an op is there once");
        overlay.accepted(&key, position(9), Hlc::new(77, 0));
        assert_eq!(overlay.last(&key).unwrap().rests_on, Hlc::new(77, 0));
        for (gone, left) in [(5, Some(9)), (9, Some(2)), (3, Some(2)), (2, None)] {
            overlay.remove(&key, position(gone));
            let last = overlay.last(&key).map(|op| op.position);
            assert_eq!(last, left.map(position));
        }
        assert_eq!(overlay.len(), 0);
    }
}
