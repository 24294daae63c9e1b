//! A store that is a few ordered maps, and can be copied.

use std::collections::BTreeMap;

use bytes::Bytes;
use grid_core::replica::{Loader, Replica};
use grid_core::traits::{Batch, Entry, Table, Write};
use grid_core::{Namespace, RunId};

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Store {
    pub(crate) tables: BTreeMap<Table, BTreeMap<Bytes, Bytes>>,
}

impl Store {
    pub(crate) fn apply(&mut self, batch: Batch) {
        for write in batch.writes {
            match write {
                Write::Put { table, key, value } => {
                    self.tables.entry(table).or_default().insert(key, value);
                }
                Write::Delete { table, key } => {
                    self.tables.entry(table).or_default().remove(&key);
                }
                Write::DeleteRange { table, from, to } => {
                    let within =
                        |key: &Bytes| *key >= from && to.as_ref().is_none_or(|to| key < to);
                    let rows = self.tables.entry(table).or_default();
                    rows.retain(|key, _| !within(key));
                }
            }
        }
    }

    pub(crate) fn rows(&self, table: &Table) -> Vec<Entry> {
        self.tables
            .get(table)
            .into_iter()
            .flatten()
            .map(|(key, value)| Entry {
                key: key.clone(),
                value: value.clone(),
            })
            .collect()
    }

    pub(crate) fn load(&self, run: RunId) -> Replica {
        let mut loader = Loader::new(Namespace::default());
        for entry in self.rows(&Table::Meta) {
            loader.meta(&entry).unwrap();
        }
        for entry in self.rows(&Table::Log) {
            loader.log(&entry).unwrap();
        }
        for map in loader.maps() {
            for entry in self.rows(&Table::Records(map.clone())) {
                loader.record(&map, &entry).unwrap();
            }
        }
        loader.finish(run).unwrap()
    }
}
