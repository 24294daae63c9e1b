//! Making a replica from what its store holds.

use std::collections::BTreeMap;

use super::interval_set::IntervalSet;
use super::log_position::LogPosition;
use super::overlay::Overlaid;
use super::replica::Replica;
use super::row::{FORMAT_KEY, MetaRow, first_of_log_key, read_record_row};
use crate::address::{MapName, Namespace};
use crate::clock::Clock;
use crate::codec::decode_ops;
use crate::error::{Error, ErrorKind, Result};
use crate::hlc::Hlc;
use crate::mutation::{Mutation, planted};
use crate::op::{Op, RunId};
use crate::traits::Entry;

/// Takes the rows of a store, in any order within a table: all of `Meta` first, then those of
/// `Log` and of the tables of records that [`Loader::maps`] names; then makes the replica.
///
/// The row of `Meta` under [`Loader::FORMAT_KEY`], if there is one, comes before all others: what
/// the rows of a later program mean is not for this one to guess.
#[derive(Debug)]
pub struct Loader {
    replica: Replica,
    fresh: bool,
    floor: Hlc,
    runs: BTreeMap<RunId, u64>,
    settled: BTreeMap<RunId, IntervalSet>,
    cursors: Vec<MetaRow>,
    rows: BTreeMap<LogPosition, Vec<Op>>,
}

impl Loader {
    /// The key of the row that tells which layout the store has.
    pub const FORMAT_KEY: &'static [u8] = FORMAT_KEY;

    /// Starts with nothing; the store belongs to `namespace`.
    #[must_use]
    pub fn new(namespace: Namespace) -> Self {
        Self {
            replica: Replica::new(namespace),
            fresh: true,
            floor: Hlc::ZERO,
            runs: BTreeMap::new(),
            settled: BTreeMap::new(),
            cursors: Vec::new(),
            rows: BTreeMap::new(),
        }
    }

    /// Takes one row of the table `Meta`.
    ///
    /// # Errors
    /// `Corrupt` when the row is damaged, `Version` when a later program wrote the store,
    /// `Conflict` when it belongs to another namespace.
    pub fn meta(&mut self, entry: &Entry) -> Result<()> {
        match MetaRow::decode(entry)? {
            None => {}
            Some(MetaRow::Format(_)) => self.fresh = false,
            Some(MetaRow::Namespace(namespace)) => {
                let wanted = &self.replica.namespace;
                if namespace != *wanted {
                    let message = format!(
                        "the store holds data of the namespace `{namespace}`, not of `{wanted}`: \
                         use a store for each"
                    );
                    return Err(Error::new(ErrorKind::Conflict, "open store", message));
                }
            }
            Some(MetaRow::Clock(hlc)) => self.floor = self.floor.max(hlc),
            Some(MetaRow::DataSet(data_set)) => self.replica.data_set = Some(data_set),
            Some(MetaRow::Map(name, row)) => {
                let map = self.replica.map_mut(&name);
                map.definition = Some(row.definition);
                map.history = row.history;
                map.selector = row.selector;
            }
            Some(row @ MetaRow::Cursor(..)) => self.cursors.push(row),
            Some(MetaRow::Fates(fates)) => self.replica.fates = fates,
            Some(MetaRow::Run(run, ordinal)) => {
                self.runs.insert(run, ordinal);
            }
            Some(MetaRow::Settled(run, numbers)) => {
                self.settled.insert(run, numbers);
            }
        }
        Ok(())
    }

    /// The maps whose records the store holds.
    #[must_use]
    pub fn maps(&self) -> Vec<MapName> {
        self.replica.maps.keys().cloned().collect()
    }

    /// Takes one row of the table `Log`.
    ///
    /// # Errors
    /// `Corrupt` when the row is damaged.
    pub fn log(&mut self, entry: &Entry) -> Result<()> {
        let number = first_of_log_key(&entry.key)?;
        let ops = decode_ops(&entry.value)?;
        let ordinal = ops.first().and_then(|op| self.runs.get(&op.id.run));
        let Some(&ordinal) = ordinal else {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "open store",
                "a row of the outbox is empty or of a run that the store does not know",
            ));
        };
        self.rows.insert(LogPosition { ordinal, number }, ops);
        Ok(())
    }

    /// Takes one row of the records of `map`.
    ///
    /// # Errors
    /// `Corrupt` when the row is damaged.
    pub fn record(&mut self, map: &MapName, entry: &Entry) -> Result<()> {
        let (partition, record) = read_record_row(&entry.value)?;
        let Some(value) = &record.value else {
            return Ok(());
        };
        let hlc = record.stamp.hlc;
        self.replica.confirmed_hlc = self.replica.confirmed_hlc.max(hlc);
        let digest_key = self.replica.data_set.map(|data_set| data_set.digest_key);
        let map = self.replica.map_mut(map);
        map.confirmed.set_digest_key(digest_key.unwrap_or_default());
        map.change(&record.key, &mut Vec::new(), |map| {
            map.confirmed.put(partition, &record, value)
        });
        Ok(())
    }

    /// Whether `run` can be the present run: it is not 0 and was never used in this store.
    #[must_use]
    pub fn is_fresh_run(&self, run: RunId) -> bool {
        run.0 != 0 && !self.runs.contains_key(&run)
    }

    /// The replica, with `run` as its present run; see [`Loader::is_fresh_run`].
    ///
    /// # Errors
    /// `Invalid` when the run was used before. `Corrupt` when two runs have one place.
    pub fn finish(mut self, run: RunId) -> Result<Replica> {
        let digest_key = self.replica.data_set.map(|data_set| data_set.digest_key);
        for map in self.replica.maps.values_mut() {
            map.confirmed.set_digest_key(digest_key.unwrap_or_default());
        }
        for (id, ordinal) in &self.runs {
            let settled = self.settled.remove(id).unwrap_or_default();
            if !self.replica.outbox.load_run(*id, *ordinal, settled) {
                let message = "two runs of the outbox have one place";
                return Err(Error::new(ErrorKind::Corrupt, "open store", message));
            }
        }
        self.load_cursors();
        for (at, ops) in std::mem::take(&mut self.rows) {
            self.load_row(at, ops);
        }
        let mut replica = self.replica;
        replica.clock = if planted(Mutation::ForgetHlcHighWater) {
            Clock::new(Hlc::ZERO)
        } else {
            Clock::new(self.floor.max(replica.confirmed_hlc))
        };
        replica.enter_run(run)?;
        if self.fresh {
            replica.unsaved.push(MetaRow::format().put());
            let namespace = replica.namespace.clone();
            replica.unsaved.push(MetaRow::Namespace(namespace).put());
        }
        Ok(replica)
    }

    /// Cursors count only in the history that the map is on.
    fn load_cursors(&mut self) {
        for row in std::mem::take(&mut self.cursors) {
            let MetaRow::Cursor(name, partition, history, sequence) = row else {
                continue;
            };
            if let Some(map) = self.replica.maps.get_mut(&name)
                && map.history == history
            {
                map.confirmed.set_cursor(partition, sequence);
            }
        }
    }

    fn load_row(&mut self, at: LogPosition, ops: Vec<Op>) {
        let replica = &mut self.replica;
        for position in replica.outbox.add_row(at.ordinal, at.number, ops) {
            let Some(op) = replica
                .outbox
                .get(position)
                .map(|pending| pending.op.clone())
            else {
                continue;
            };
            self.floor = self.floor.max(op.hlc);
            let map = replica.map_mut(&op.map);
            map.change(&op.key, &mut Vec::new(), |map| {
                map.overlay.push(&op.key, Overlaid::new(position, &op));
            });
        }
    }
}
