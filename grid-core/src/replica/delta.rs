//! Changes of the confirmed state that the server sends: deltas, snapshots, and the word that
//! there are none.

use std::collections::BTreeSet;

use super::receive::protocol;
use super::replica::Replica;
use super::row::record_row;
use super::view::{Progress, RepairStage, progress_key};
use crate::address::{Key, MapName, PartitionId};
use crate::error::Result;
use crate::protocol::{CaughtUp, Delta, DeltaMode};
use crate::record::{Record, Sequence};
use crate::traits::{Table, Write};

impl Replica {
    pub(super) fn on_delta(&mut self, delta: &Delta) -> Result<()> {
        let Some(name) = self.map_of_view(delta.view)? else {
            return Ok(());
        };
        let partition = delta.partition;
        self.enter_history(&name);
        let known = if delta.continued {
            self.continue_delta(&name, delta)?
        } else {
            self.begin_delta(&name, delta)?
        };
        for record in &delta.records {
            if delta.mode != DeltaMode::Changes || record.sequence > known {
                self.put_confirmed(&name, delta, record)?;
            }
        }
        if let Some(root) = delta.root {
            self.end_delta(&name, delta, root)?;
        }
        self.settle_reached(&name, partition);
        self.tell_synced(&name);
        Ok(())
    }

    /// Checks that the delta goes on where the one before it stopped. Returns the sequence up to
    /// which changes are known already.
    fn continue_delta(&mut self, name: &MapName, delta: &Delta) -> Result<Sequence> {
        let map = self.map_mut(name);
        let key = progress_key(delta.partition, delta.mode);
        let progress = map.view.progress.get(&key);
        progress
            .filter(|progress| progress.mode == delta.mode && progress.from == delta.from)
            .map(|progress| progress.known)
            .ok_or_else(|| protocol("a delta continues one that did not begin"))
    }

    /// Checks that the delta follows on what is held, and makes ready for its records. One that was
    /// broken off before is forgotten: its cursor did not move. Returns the sequence up to which
    /// changes are known already.
    fn begin_delta(&mut self, name: &MapName, delta: &Delta) -> Result<Sequence> {
        let partition = delta.partition;
        let map = self.map_mut(name);
        let known = map.confirmed.cursor(partition).unwrap_or(Sequence::ZERO);
        let mut unseen = BTreeSet::new();
        match delta.mode {
            DeltaMode::Changes => {
                if delta.from > known {
                    return Err(protocol("changes are missing between two deltas")
                        .with("map", name)
                        .with("partition", partition)
                        .with("from", delta.from)
                        .with("cursor", known));
                }
            }
            DeltaMode::Snapshot => {
                let asked =
                    map.view.unanswered.contains(&partition) || map.view.is_repairing(partition);
                // A frame that comes twice: the cursor has gone on since.
                if !asked && delta.to < known {
                    return Err(protocol("a snapshot is older than what came after it")
                        .with("map", name)
                        .with("partition", partition)
                        .with("snapshot", delta.to)
                        .with("cursor", known));
                }
                unseen = map.confirmed.keys_in(partition).cloned().collect();
            }
            DeltaMode::Repair => {
                let repair = map.view.repairs.get(&partition);
                let fetching = repair
                    .is_some_and(|repair| matches!(repair.stage, RepairStage::Fetching { .. }));
                if !fetching {
                    return Err(protocol("records arrived that were not asked for"));
                }
            }
        }
        let progress = Progress {
            mode: delta.mode,
            from: delta.from,
            known,
            unseen,
        };
        let key = progress_key(partition, delta.mode);
        map.view.progress.insert(key, progress);
        Ok(known)
    }

    /// Overwrites the confirmed entry of the record's key.
    fn put_confirmed(&mut self, name: &MapName, delta: &Delta, record: &Record) -> Result<()> {
        let partition = delta.partition;
        self.see(record.stamp.hlc);
        let map = self
            .maps
            .get_mut(name)
            .ok_or_else(|| protocol("no such map"))?;
        if !map.selector.matches(&record.key) {
            return Err(protocol("a record lies outside of its view").with("key", &record.key));
        }
        let progress = progress_key(partition, delta.mode);
        if let Some(progress) = map.view.progress.get_mut(&progress) {
            progress.unseen.remove(&record.key);
        }
        let key = &record.key;
        let changed = map.change(key, &mut self.notes, |map| match &record.value {
            Some(value) => map.confirmed.put(partition, record, value),
            None => map.confirmed.remove(key),
        });
        if changed {
            let table = Table::Records(name.clone());
            let key = key.bytes().clone();
            self.unsaved.push(match record.value {
                Some(_) => Write::Put {
                    table,
                    key,
                    value: record_row(partition, record),
                },
                None => Write::Delete { table, key },
            });
        }
        Ok(())
    }

    pub(super) fn remove_confirmed(&mut self, name: &MapName, key: &Key) {
        let Some(map) = self.maps.get_mut(name) else {
            return;
        };
        if map.change(key, &mut self.notes, |map| map.confirmed.remove(key)) {
            self.unsaved.push(Write::Delete {
                table: Table::Records(name.clone()),
                key: key.bytes().clone(),
            });
        }
    }

    fn end_delta(&mut self, name: &MapName, delta: &Delta, root: u128) -> Result<()> {
        let partition = delta.partition;
        let map = self.map_mut(name);
        let unseen = map
            .view
            .progress
            .remove(&progress_key(partition, delta.mode))
            .map(|progress| progress.unseen);
        for key in unseen.into_iter().flatten() {
            self.remove_confirmed(name, &key);
        }
        if delta.mode == DeltaMode::Repair {
            return self.on_fetched(name, partition, root);
        }
        let map = self.map_mut(name);
        map.view.unanswered.remove(&partition);
        let cursor = map.confirmed.cursor(partition);
        let snapshot = delta.mode == DeltaMode::Snapshot;
        if !snapshot && cursor.is_some_and(|cursor| delta.to < cursor) {
            // An event from before the answer that this replica has: nothing new.
            return Ok(());
        }
        map.confirmed.set_cursor(partition, delta.to);
        self.unsaved.cursors.insert((name.clone(), partition));
        self.compare(name, partition, root, snapshot)
    }

    /// Compares roots, and repairs what differs.
    fn compare(
        &mut self,
        name: &MapName,
        partition: PartitionId,
        root: u128,
        snapshot: bool,
    ) -> Result<()> {
        let map = self.map_mut(name);
        let equal = map.confirmed.root(partition) == root;
        match (map.view.is_repairing(partition), snapshot) {
            // Roots cannot agree before the repair is done.
            (true, false) => return Ok(()),
            (true, true) => return self.on_repaired(name, partition, equal),
            (false, _) if equal => {}
            (false, _) => self.start_repair(name, partition),
        }
        Ok(())
    }

    pub(super) fn on_caught_up(&mut self, caught_up: &CaughtUp) -> Result<()> {
        let Some(name) = self.map_of_view(caught_up.view)? else {
            return Ok(());
        };
        self.enter_history(&name);
        let map = self.map_mut(&name);
        let listed: Vec<PartitionId> = if caught_up.cursor.is_empty() {
            map.view.unanswered.clear();
            map.confirmed
                .cursors()
                .into_iter()
                .map(|(partition, _)| partition)
                .collect()
        } else {
            caught_up
                .cursor
                .iter()
                .map(|(partition, _)| *partition)
                .collect()
        };
        for (partition, sequence) in &caught_up.cursor {
            let map = self.map_mut(&name);
            let awaited = map.view.unanswered.remove(partition);
            // Should changes have been on their way, they were broken off for this.
            let changes = progress_key(*partition, DeltaMode::Changes);
            map.view.progress.remove(&changes);
            let cursor = map.confirmed.cursor(*partition);
            // A frame that comes twice resets once: the cursor has gone on since.
            let reset = caught_up.reset && awaited;
            if reset || cursor.is_none_or(|cursor| cursor < *sequence) {
                map.confirmed.set_cursor(*partition, *sequence);
                self.unsaved.cursors.insert((name.clone(), *partition));
            }
        }
        let map = self.map_mut(&name);
        let own = listed.iter().fold(0u128, |sum, partition| {
            sum.wrapping_add(map.confirmed.root(*partition))
        });
        if own != caught_up.root && listed.is_empty() {
            let message = "the server stands where this replica never was";
            return Err(protocol(message).with("map", name));
        }
        if own != caught_up.root {
            for partition in &listed {
                if !self.map_mut(&name).view.is_repairing(*partition) {
                    self.start_repair(&name, *partition);
                }
            }
        }
        let unnamed = caught_up.cursor.is_empty();
        for partition in listed {
            if unnamed {
                self.wait_for_cursor(&name, partition);
            }
            self.settle_reached(&name, partition);
        }
        self.tell_synced(&name);
        Ok(())
    }
}
