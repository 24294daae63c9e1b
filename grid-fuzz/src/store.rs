//! A client's store, and scripts that write it.

use bytes::Bytes;
use grid_core::op::Action;
use grid_core::protocol::Selector;
use grid_core::replica::{LocalWrite, Replica};
use grid_core::traits::{Batch, Table};
use grid_core::{Key, MapName, Namespace, Result, RunId};
use grid_storage_memory::Tables;

use crate::conversation::NOW_MS;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Store(Tables);

impl Store {
    /// The map of most records.
    pub(crate) fn map() -> MapName {
        MapName::new("m").expect("a good name")
    }

    /// The tables by the numbers that a script has for them.
    fn tables() -> [Table; 3] {
        [Table::Meta, Table::Log, Table::Records(Self::map())]
    }

    pub(crate) fn put(&mut self, table: u8, key: Bytes, value: Bytes) {
        let [meta, log, records] = Self::tables();
        let table = match table {
            0 => meta,
            1 => log,
            _ => records,
        };
        self.0.rows_mut(&table).insert(key, value);
    }

    pub(crate) fn apply(&mut self, batch: Batch) {
        let applied = self.0.apply(batch);
        applied.expect("what a replica stores is within bounds");
    }

    /// The replica that a program makes of it.
    ///
    /// # Errors
    /// As the loader's.
    pub(crate) fn load(&self, run: RunId) -> Result<Replica> {
        self.0.load(Namespace::default(), run)
    }

    /// The rows as a script of `put`s.
    pub(crate) fn script(&self) -> Vec<u8> {
        let mut script = Vec::new();
        for (number, table) in (0..).zip(Self::tables()) {
            for row in self.0.rows(&table) {
                script.push(number);
                for part in [row.key, row.value] {
                    let length = u16::try_from(part.len()).expect("rows of a seed are short");
                    script.extend(length.to_le_bytes());
                    script.extend(part);
                }
            }
        }
        script
    }

    /// The store of a device that wrote a little and never had a server.
    pub(crate) fn of_a_device() -> Self {
        let mut store = Self::default();
        let mut replica = store.load(RunId(5)).expect("an empty store");
        let map = Self::map();
        let opened = replica.open_map(&map, Selector::All);
        opened.expect("a map can be opened");
        let writes = ["a", "b", "a/1"].map(|key| LocalWrite {
            map: map.clone(),
            key: Key::new(key).expect("a good key"),
            action: Action::Put {
                value: vec![0x18, 0x2a].into(),
                ttl_ms: None,
            },
            if_version: None,
            schema: 0,
            ack: None,
        });
        let save = replica.begin_save(writes.to_vec(), NOW_MS);
        let save = save.expect("good writes").expect("something to save");
        store.apply(save.batch.clone());
        replica.saved(save);
        store
    }
}
