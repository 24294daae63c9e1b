//! # A local store with a bug that only a power cut shows
//!
//! [`FlashStorage`] writes row by row to a chip that keeps what it was given. It has two ways to
//! apply a batch:
//!
//! - [`Apply::InPlace`] writes each row where it belongs. Everything passes on the desk, bad
//!   networks and lost servers too. But when the power goes between two rows, half a batch stays.
//! - [`Apply::Journalled`] writes the batch beside the rows first, and a mark that it is complete
//!   last. Whoever opens the chip finishes what is marked and drops what is not.
//!
//! `tests/simulation.rs` runs the grid's client on both. The simulator finds the bug of the first
//! and makes the run that shows it small.
//!
//! Run it: `cargo test -p faulty-storage`.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grid_core::export::async_trait;
use grid_core::export::bytes::Bytes;
use grid_core::traits::{Batch, Entry, Page, Storage, StorageCapabilities, Table, Write};
use grid_core::{Error, ErrorKind, Result};
use grid_testkit::scenario::{DeviceStore, Medium};
use grid_testkit::sim::SimRuntime;

type Rows = BTreeMap<(Table, Bytes), Bytes>;

/// How a batch comes to the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// Row by row, where they belong.
    InPlace,
    /// Beside the rows, with a mark at the end, and then where they belong.
    Journalled,
}

/// What the chip holds: it outlives the process and the power.
#[derive(Debug, Default)]
struct Chip {
    rows: Rows,
    /// A batch that is being applied, and whether all of it is there.
    journal: Vec<Write>,
    complete: bool,
}

impl Chip {
    fn write(&mut self, write: Write) {
        match write {
            Write::Put { table, key, value } => drop(self.rows.insert((table, key), value)),
            Write::Delete { table, key } => drop(self.rows.remove(&(table, key))),
            Write::DeleteRange { table, from, to } => self.rows.retain(|(of, key), _| {
                *of != table || *key < from || to.as_ref().is_some_and(|to| key >= to)
            }),
        }
    }

    /// Finishes the batch that was complete when the power went, and drops one that was not.
    fn recover(&mut self) {
        let journal = std::mem::take(&mut self.journal);
        if std::mem::take(&mut self.complete) {
            for write in journal {
                self.write(write);
            }
        }
    }
}

/// A store on a chip, opened.
#[derive(Debug)]
pub struct FlashStorage {
    chip: Arc<Mutex<Chip>>,
    apply: Apply,
    medium: Medium,
    closed: Mutex<bool>,
}

impl FlashStorage {
    fn chip(&self) -> Result<MutexGuard<'_, Chip>> {
        if *lock(&self.closed) {
            return Err(Error::new(ErrorKind::Closed, "use store", "it was closed"));
        }
        Ok(lock(&self.chip))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Storage for FlashStorage {
    fn capabilities(&self) -> StorageCapabilities {
        StorageCapabilities {
            survives_process: true,
            survives_power_loss: true,
            exclusive: false,
            max_value_bytes: usize::MAX,
        }
    }

    async fn get(&self, table: &Table, key: &[u8]) -> Result<Option<Bytes>> {
        let place = (table.clone(), Bytes::copy_from_slice(key));
        Ok(self.chip()?.rows.get(&place).cloned())
    }

    async fn scan(&self, table: &Table, after: Option<&[u8]>, limit: usize) -> Result<Page> {
        let after = Bytes::copy_from_slice(after.unwrap_or_default());
        let chip = self.chip()?;
        let rest = chip
            .rows
            .range((Excluded((table.clone(), after)), Unbounded));
        let mut rest = rest.take_while(|((of, _), _)| of == table);
        let entry = |((_, key), value): (&(Table, Bytes), &Bytes)| Entry {
            key: key.clone(),
            value: value.clone(),
        };
        let entries = rest.by_ref().take(limit).map(entry).collect();
        let more = rest.next().is_some();
        Ok(Page { entries, more })
    }

    async fn apply(&self, batch: Batch) -> Result<()> {
        if let Some(wanted) = &batch.precondition {
            let place = (Table::Meta, wanted.key.clone());
            if self.chip()?.rows.get(&place) != wanted.equals.as_ref() {
                let message = "the precondition does not hold";
                return Err(Error::new(ErrorKind::Conflict, "apply batch", message));
            }
        }
        // What a batch left behind that failed half way.
        self.chip()?.journal.clear();
        for write in batch.writes {
            // The chip may fail here, between two rows, and the power may go.
            self.medium.begin("write row").await?;
            let mut chip = self.chip()?;
            match self.apply {
                Apply::InPlace => chip.write(write),
                Apply::Journalled => chip.journal.push(write),
            }
        }
        if self.apply == Apply::Journalled {
            self.medium.begin("mark batch as complete").await?;
            let mut chip = self.chip()?;
            chip.complete = true;
            chip.recover();
        }
        Ok(())
    }

    async fn flush(&self) -> Result<()> {
        self.chip().map(drop)
    }

    async fn close(&self) -> Result<()> {
        *lock(&self.closed) = true;
        Ok(())
    }
}

/// The chip of one simulated device.
#[derive(Debug)]
pub struct Flash {
    chip: Arc<Mutex<Chip>>,
    apply: Apply,
}

impl Flash {
    /// An empty chip.
    #[must_use]
    pub fn new(apply: Apply) -> Self {
        Self {
            chip: Arc::default(),
            apply,
        }
    }
}

impl DeviceStore for Flash {
    fn open(&mut self, _runtime: &SimRuntime, medium: &Medium) -> Result<Arc<dyn Storage>, String> {
        lock(&self.chip).recover();
        Ok(Arc::new(FlashStorage {
            chip: self.chip.clone(),
            apply: self.apply,
            medium: medium.clone(),
            closed: Mutex::new(false),
        }))
    }
}
