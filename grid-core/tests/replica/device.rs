//! One client: a replica, its store, and what its application saw.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grid_core::op::Action;
use grid_core::protocol::{Message, Selector, Verdict};
use grid_core::replica::{LocalWrite, Note, Now, Replica};
use grid_core::{Key, MapName, Namespace, OpId, RunId, Stamp};
use grid_storage_memory::Tables;

#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) replica: Replica,
    pub(crate) store: Tables,
    /// Its wall clock minus the server's.
    pub(crate) fast_ms: i64,
    pub(crate) verdicts: BTreeMap<OpId, Verdict>,
    /// Ops whose verdict the present process told.
    told: BTreeSet<OpId>,
    pub(crate) changes: Vec<(MapName, Key)>,
    pub(crate) synced: Vec<bool>,
    next_run: u64,
}

pub(crate) fn put(map: &MapName, key: &Key, value: u64) -> LocalWrite {
    LocalWrite {
        map: map.clone(),
        key: key.clone(),
        action: Action::Put {
            value: encoded(value),
            ttl_ms: None,
        },
        if_version: None,
        schema: 0,
        ack: None,
    }
}

pub(crate) fn remove(map: &MapName, key: &Key) -> LocalWrite {
    LocalWrite {
        action: Action::Remove,
        ..put(map, key, 0)
    }
}

/// CBOR of a number below 2^32.
pub(crate) fn encoded(value: u64) -> bytes::Bytes {
    let value = u32::try_from(value).unwrap();
    let mut bytes = vec![0x1a];
    bytes.extend(value.to_be_bytes());
    bytes.into()
}

pub(crate) fn decoded(value: &[u8]) -> u64 {
    u32::from_be_bytes(value[1..].try_into().unwrap()).into()
}

impl Device {
    pub(crate) fn new(first_run: u64) -> Self {
        let store = Tables::default();
        let mut device = Self {
            replica: store.load(Namespace::default(), RunId(first_run)).unwrap(),
            store,
            fast_ms: 0,
            verdicts: BTreeMap::new(),
            told: BTreeSet::new(),
            changes: Vec::new(),
            synced: Vec::new(),
            next_run: first_run + 1,
        };
        device.save(0);
        device
    }

    pub(crate) fn now(&self, world_ms: u64) -> Now {
        Now {
            wall_ms: world_ms.saturating_add_signed(self.fast_ms),
            elapsed: Duration::from_millis(world_ms),
        }
    }

    /// Makes `writes`, and all that waits, durable.
    pub(crate) fn write(&mut self, writes: Vec<LocalWrite>, world_ms: u64) -> Vec<OpId> {
        let now = self.now(world_ms);
        let Some(mut save) = self.replica.begin_save(writes, now.wall_ms).unwrap() else {
            return Vec::new();
        };
        let stored = self.store.apply(std::mem::take(&mut save.batch));
        stored.unwrap();
        let ops = save.ops().collect();
        self.replica.saved(save);
        self.note();
        ops
    }

    pub(crate) fn save(&mut self, world_ms: u64) {
        self.write(Vec::new(), world_ms);
    }

    /// The store takes nothing of `writes`, nor of what waits.
    pub(crate) fn fail(&mut self, writes: Vec<LocalWrite>, world_ms: u64) {
        let now = self.now(world_ms);
        if let Some(save) = self.replica.begin_save(writes, now.wall_ms).unwrap() {
            self.replica.failed(save);
        }
        self.note();
    }

    pub(crate) fn receive(&mut self, message: Message, world_ms: u64) -> grid_core::Result<()> {
        let now = self.now(world_ms);
        let received = self.replica.receive(message, now);
        if self.replica.wants_run() {
            let run = self.draw_run();
            self.replica.begin_run(run, now).unwrap();
        }
        self.note();
        received
    }

    pub(crate) fn draw_run(&mut self) -> RunId {
        self.next_run += 1;
        RunId(self.next_run)
    }

    /// Opens the store anew; what was not saved is lost.
    pub(crate) fn restart(&mut self, maps: &[&MapName]) {
        let run = self.draw_run();
        self.replica = self.store.load(Namespace::default(), run).unwrap();
        self.told.clear();
        for map in maps {
            self.replica.open_map(map, Selector::All).unwrap();
        }
        self.note();
    }

    pub(crate) fn note(&mut self) {
        for note in self.replica.take_notes() {
            match note {
                Note::Decided { op, verdict, .. } => {
                    // A verdict is told once, even if the server told it on two connections, and
                    // a later process is told the same.
                    assert!(self.told.insert(op), "{op}");
                    let before = self.verdicts.insert(op, verdict.clone());
                    assert!(before.is_none_or(|before| before == verdict), "{op}");
                }
                Note::Changed { map, key } => self.changes.push((map, key)),
                Note::Synced { synced, .. } => self.synced.push(synced),
                Note::ViewRefused { .. } | Note::Welcomed => {}
            }
        }
    }

    /// What the application sees.
    pub(crate) fn seen(&self, map: &MapName) -> BTreeMap<Key, u64> {
        let seen: BTreeMap<Key, u64> = self
            .replica
            .entries(map, 0)
            .map(|(key, value)| (key.clone(), decoded(value)))
            .collect();
        assert_eq!(self.replica.len(map, 0), seen.len());
        for (key, value) in &seen {
            let one = self.replica.get(map, key, 0).map(|value| decoded(value));
            assert_eq!(one, Some(*value));
        }
        seen
    }

    pub(crate) fn get(&self, map: &MapName, key: &Key) -> Option<u64> {
        self.replica.get(map, key, 0).map(|value| decoded(value))
    }

    pub(crate) fn version(&self, map: &MapName, key: &Key) -> Stamp {
        self.replica.version(map, key)
    }
}
