//! A local store in memory, of which a test can look at every row.

use std::collections::BTreeMap;

use bytes::Bytes;
use grid_core::traits::{Batch, Entry, Table, Write};

#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    rows: BTreeMap<Table, BTreeMap<Bytes, Bytes>>,
}

impl Store {
    pub(crate) fn apply(&mut self, batch: &Batch) {
        for write in &batch.writes {
            match write.clone() {
                Write::Put { table, key, value } => {
                    self.rows.entry(table).or_default().insert(key, value);
                }
                Write::Delete { table, key } => {
                    self.rows.entry(table).or_default().remove(&key);
                }
                Write::DeleteRange { table, from, to } => {
                    self.rows.entry(table).or_default().retain(|key, _| {
                        let within = *key >= from && to.as_ref().is_none_or(|to| key < to);
                        !within
                    });
                }
            }
        }
    }

    pub(crate) fn entries(&self, table: &Table) -> Vec<Entry> {
        let rows = self.rows.get(table).into_iter().flatten();
        rows.map(|(key, value)| Entry {
            key: key.clone(),
            value: value.clone(),
        })
        .collect()
    }
}
