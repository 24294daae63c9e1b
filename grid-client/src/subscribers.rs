//! What changed for each subscriber and was not told yet: bounded, coalesced by key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grid_core::{Key, MapName};
use tokio::sync::Notify;

/// Most changed keys that wait for one subscriber; beyond that it is told everything anew.
pub(crate) const MAX_WAITING_KEYS: usize = 65_536;

/// What one subscriber has to be told.
#[derive(Debug)]
pub(crate) struct Waiting {
    map: MapName,
    prefix: String,
    keys: BTreeSet<Key>,
    everything: bool,
    synced: Option<bool>,
    notify: Arc<Notify>,
}

/// The next thing to tell a subscriber.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    Everything,
    Keys(Vec<Key>),
    Synced(bool),
}

#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    next: u64,
    by_id: BTreeMap<u64, Waiting>,
    by_map: BTreeMap<MapName, BTreeSet<u64>>,
}

impl Subscribers {
    pub(crate) fn add(&mut self, map: &MapName, prefix: &str) -> (u64, Arc<Notify>) {
        let id = self.next;
        self.next += 1;
        let notify = Arc::new(Notify::new());
        let waiting = Waiting {
            map: map.clone(),
            prefix: prefix.to_owned(),
            keys: BTreeSet::new(),
            everything: true,
            synced: None,
            notify: notify.clone(),
        };
        self.by_id.insert(id, waiting);
        self.by_map.entry(map.clone()).or_default().insert(id);
        (id, notify)
    }

    pub(crate) fn remove(&mut self, id: u64) {
        if let Some(waiting) = self.by_id.remove(&id)
            && let Some(ids) = self.by_map.get_mut(&waiting.map)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_map.remove(&waiting.map);
            }
        }
    }

    fn each(&mut self, map: &MapName, mut tell: impl FnMut(&mut Waiting)) {
        for id in self.by_map.get(map).into_iter().flatten() {
            if let Some(waiting) = self.by_id.get_mut(id) {
                tell(waiting);
                waiting.notify.notify_one();
            }
        }
    }

    pub(crate) fn changed(&mut self, map: &MapName, key: &Key) {
        self.each(map, |waiting| {
            if waiting.everything || !key.as_str().starts_with(&waiting.prefix) {
                return;
            }
            waiting.keys.insert(key.clone());
            if waiting.keys.len() > MAX_WAITING_KEYS {
                waiting.keys.clear();
                waiting.everything = true;
            }
        });
    }

    pub(crate) fn synced(&mut self, map: &MapName, synced: bool) {
        self.each(map, |waiting| waiting.synced = Some(synced));
    }

    /// Takes what there is to tell, values before the word that the map is level.
    pub(crate) fn take(&mut self, id: u64, most_keys: usize) -> Option<Tell> {
        let waiting = self.by_id.get_mut(&id)?;
        if waiting.everything {
            waiting.everything = false;
            waiting.keys.clear();
            waiting.synced = None;
            return Some(Tell::Everything);
        }
        if !waiting.keys.is_empty() {
            let keys = std::iter::from_fn(|| waiting.keys.pop_first())
                .take(most_keys)
                .collect();
            return Some(Tell::Keys(keys));
        }
        waiting.synced.take().map(Tell::Synced)
    }

    /// Wakes everybody, so that they see that the grid is closed.
    pub(crate) fn close(&mut self) {
        for waiting in self.by_id.values() {
            waiting.notify.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_coalesced_bounded_and_told_before_the_sync() {
        let mut subscribers = Subscribers::default();
        let map = MapName::new("m").unwrap();
        let key = |number: usize| Key::new(&format!("k{number:06}")).unwrap();
        let (id, _notify) = subscribers.add(&map, "k");
        subscribers.changed(&map, &key(1));
        assert_eq!(subscribers.take(id, 10), Some(Tell::Everything));
        assert_eq!(subscribers.take(id, 10), None);

        subscribers.synced(&map, true);
        subscribers.changed(&map, &key(2));
        subscribers.changed(&map, &key(1));
        subscribers.changed(&map, &key(2));
        subscribers.changed(&map, &Key::new("other").unwrap());
        subscribers.changed(&MapName::new("n").unwrap(), &key(3));
        assert_eq!(subscribers.take(id, 1), Some(Tell::Keys(vec![key(1)])));
        assert_eq!(subscribers.take(id, 10), Some(Tell::Keys(vec![key(2)])));
        assert_eq!(subscribers.take(id, 10), Some(Tell::Synced(true)));
        assert_eq!(subscribers.take(id, 10), None);

        for number in 0..=MAX_WAITING_KEYS {
            subscribers.changed(&map, &key(number));
        }
        // The snapshot says itself whether the map is level.
        subscribers.synced(&map, false);
        assert_eq!(subscribers.take(id, 10), Some(Tell::Everything));
        assert_eq!(subscribers.take(id, 10), None);
        subscribers.remove(id);
        assert!(subscribers.by_map.is_empty());
    }
}
