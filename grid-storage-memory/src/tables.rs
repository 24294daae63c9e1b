//! The tables of a local store.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use grid_core::replica::{Loader, Replica};
use grid_core::traits::{Batch, Entry, Page, Table, Write};
use grid_core::{Error, ErrorKind, Namespace, Result, RunId};

use crate::MAX_VALUE_BYTES;
use crate::error;

/// The rows of one table, in the order of their keys.
pub type Rows = BTreeMap<Bytes, Bytes>;

/// What a [`crate::MemoryStorage`] holds, for those who need not wait for it: tests that drive a
/// replica by hand, and look at its rows or damage them.
///
/// ```
/// use grid_core::op::Action;
/// use grid_core::protocol::Selector;
/// use grid_core::replica::LocalWrite;
/// use grid_core::{Key, MapName, Namespace, RunId};
/// use grid_storage_memory::Tables;
///
/// let mut tables = Tables::default();
/// let mut replica = tables.load(Namespace::default(), RunId(1))?;
/// let write = LocalWrite {
///     map: MapName::new("notes")?,
///     key: Key::new("n1")?,
///     action: Action::Remove,
///     if_version: None,
///     schema: 0,
///     ack: None,
/// };
/// let mut save = replica.begin_save(vec![write], 1_000)?.unwrap();
/// tables.apply(std::mem::take(&mut save.batch))?;
/// replica.saved(save);
/// // As if the program had been started again:
/// assert_eq!(tables.load(Namespace::default(), RunId(2))?.pending(), 1);
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables(BTreeMap<Table, Rows>);

impl Tables {
    /// The value of one key.
    #[must_use]
    pub fn get(&self, table: &Table, key: &[u8]) -> Option<&Bytes> {
        self.0.get(table)?.get(key)
    }

    /// All rows of a table, in order.
    pub fn rows(&self, table: &Table) -> impl Iterator<Item = Entry> {
        let rows = self.0.get(table).into_iter().flatten();
        rows.map(entry)
    }

    /// The rows of a table, to be changed behind the replica's back.
    pub fn rows_mut(&mut self, table: &Table) -> &mut Rows {
        self.0.entry(table.clone()).or_default()
    }

    /// As [`grid_core::traits::Storage::scan`].
    pub(crate) fn scan(&self, table: &Table, after: Option<&[u8]>, limit: usize) -> Page {
        let Some(rows) = self.0.get(table) else {
            return Page::default();
        };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut range = rows.range::<[u8], _>((start, Bound::Unbounded));
        Page {
            entries: range.by_ref().take(limit.max(1)).map(entry).collect(),
            more: range.next().is_some(),
        }
    }

    /// Applies a batch, all of it or nothing.
    ///
    /// # Errors
    /// `Conflict` when its precondition does not hold, `TooLarge` when a value exceeds
    /// [`MAX_VALUE_BYTES`].
    pub fn apply(&mut self, batch: Batch) -> Result<()> {
        self.check(&batch)?;
        for write in batch.writes {
            self.change(write);
        }
        Ok(())
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        for write in &batch.writes {
            if let Write::Put { value, .. } = write
                && value.len() > MAX_VALUE_BYTES
            {
                return Err(error::too_large("apply batch", value.len()));
            }
        }
        let Some(precondition) = &batch.precondition else {
            return Ok(());
        };
        if self.get(&Table::Meta, &precondition.key) == precondition.equals.as_ref() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "apply batch",
            "the precondition does not hold; read the key again",
        )
        .with("key", precondition.key.escape_ascii()))
    }

    fn change(&mut self, write: Write) {
        match write {
            Write::Put { table, key, value } => {
                // A value cut out of a frame must not keep the frame alive for as long as it lives.
                let (key, value) = (Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value));
                self.0.entry(table).or_default().insert(key, value);
            }
            Write::Delete { table, key } => {
                if let Some(rows) = self.0.get_mut(&table) {
                    rows.remove(&key);
                }
            }
            Write::DeleteRange { table, from, to } => {
                if let Some(rows) = self.0.get_mut(&table) {
                    remove_range(rows, &from, to.as_ref());
                }
            }
        }
    }

    /// The replica that a program makes of them, with `run` as its own.
    ///
    /// # Errors
    /// `Corrupt` when a row is damaged, `Version` when a later version of the program wrote them,
    /// `Invalid` when the run was used before.
    pub fn load(&self, namespace: Namespace, run: RunId) -> Result<Replica> {
        let mut loader = Loader::new(namespace);
        // The row that tells the layout comes first.
        let (first, rest): (Vec<_>, Vec<_>) = self
            .rows(&Table::Meta)
            .partition(|row| row.key == Loader::FORMAT_KEY);
        for entry in first.iter().chain(&rest) {
            loader.meta(entry)?;
        }
        for entry in self.rows(&Table::Log) {
            loader.log(&entry)?;
        }
        for map in loader.maps() {
            for entry in self.rows(&Table::Records(map.clone())) {
                loader.record(&map, &entry)?;
            }
        }
        loader.finish(run)
    }
}

fn entry((key, value): (&Bytes, &Bytes)) -> Entry {
    Entry {
        key: key.clone(),
        value: value.clone(),
    }
}

fn remove_range(rows: &mut Rows, from: &Bytes, to: Option<&Bytes>) {
    if to.is_some_and(|to| to <= from) {
        return;
    }
    let end = to.cloned().map_or(Bound::Unbounded, Bound::Excluded);
    rows.extract_if((Bound::Included(from.clone()), end), |_, _| true)
        .for_each(drop);
}
