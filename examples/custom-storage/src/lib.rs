//! # A local store of one's own, in about 60 lines
//!
//! `OneMapStorage` keeps all tables in one ordered map in memory. It shows what a `Storage` has to
//! do, and `tests/conformance.rs` shows the one macro line by which the grid's suite says whether
//! it does: `grid_testkit::storage_conformance!(conformance, Fixture);`
//!
//! Run it: `cargo test -p custom-storage`.
//!
//! To use it, hand it to the client's builder as an `Arc<dyn Storage>`. To give it a URL scheme,
//! export a `DRIVER` as the backends in this repository do. The guide's chapter on writing a
//! backend tells what the trait promises, and why.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Mutex, PoisonError};

use grid_core::export::async_trait;
use grid_core::export::bytes::Bytes;
use grid_core::traits::{Batch, Entry, Page, Storage, StorageCapabilities, Table, Write};
use grid_core::{Error, ErrorKind, Result};

type Rows = BTreeMap<(Table, Bytes), Bytes>;

/// A local store in one map; `None` once it is closed.
#[derive(Debug)]
pub struct OneMapStorage(Mutex<Option<Rows>>);

impl Default for OneMapStorage {
    fn default() -> Self {
        Self(Mutex::new(Some(Rows::new())))
    }
}

impl OneMapStorage {
    fn with<T>(&self, work: impl FnOnce(&mut Rows) -> Result<T>) -> Result<T> {
        let closed = || Error::new(ErrorKind::Closed, "use store", "it was closed");
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(rows.as_mut().ok_or_else(closed)?)
    }
}

#[async_trait]
impl Storage for OneMapStorage {
    // What a store cannot do it declares, so that nobody has to find out.
    fn capabilities(&self) -> StorageCapabilities {
        StorageCapabilities {
            survives_process: false,
            survives_power_loss: false,
            exclusive: false,
            max_value_bytes: usize::MAX,
        }
    }

    async fn get(&self, table: &Table, key: &[u8]) -> Result<Option<Bytes>> {
        let place = (table.clone(), Bytes::copy_from_slice(key));
        self.with(|rows| Ok(rows.get(&place).cloned()))
    }

    async fn scan(&self, table: &Table, after: Option<&[u8]>, limit: usize) -> Result<Page> {
        let after = (
            table.clone(),
            Bytes::copy_from_slice(after.unwrap_or_default()),
        );
        self.with(|rows| {
            let rest = rows.range((Excluded(after), Unbounded));
            let mut rest = rest.take_while(|((of, _), _)| of == table);
            let entry = |((_, key), value): (&(Table, Bytes), &Bytes)| Entry {
                key: key.clone(),
                value: value.clone(),
            };
            let entries = rest.by_ref().take(limit).map(entry).collect();
            let more = rest.next().is_some();
            Ok(Page { entries, more })
        })
    }

    async fn apply(&self, batch: Batch) -> Result<()> {
        self.with(|rows| {
            // All checks come before the first change, so a batch that fails changes nothing.
            if let Some(wanted) = batch.precondition
                && rows.get(&(Table::Meta, wanted.key)) != wanted.equals.as_ref()
            {
                let message = "the precondition does not hold";
                return Err(Error::new(ErrorKind::Conflict, "apply batch", message));
            }
            for write in batch.writes {
                match write {
                    Write::Put { table, key, value } => drop(rows.insert((table, key), value)),
                    Write::Delete { table, key } => drop(rows.remove(&(table, key))),
                    Write::DeleteRange { table, from, to } => rows.retain(|(of, key), _| {
                        *of != table || *key < from || to.as_ref().is_some_and(|to| key >= to)
                    }),
                }
            }
            Ok(())
        })
    }

    async fn flush(&self) -> Result<()> {
        self.with(|_| Ok(()))
    }

    async fn close(&self) -> Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}
