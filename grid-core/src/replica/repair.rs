//! Repair by Merkle tree: finding what differs from the server, and making it equal.

use super::receive::protocol;
use super::replica::Replica;
use super::view::{Repair, RepairStage};
use crate::address::{MapName, PartitionId};
use crate::error::{Error, ErrorKind, Result};
use crate::merkle::{Descent, Difference, Progress};
use crate::protocol::{Message, RepairLeaves, RepairNodes, RepairStep};

/// How many repairs by descent are tried before everything is asked for.
const MOST_DESCENTS: u32 = 3;

impl Replica {
    /// Starts to repair one partition.
    pub(super) fn start_repair(&mut self, name: &MapName, partition: PartitionId) {
        self.repair_again(name, partition, 0);
    }

    fn repair_again(&mut self, name: &MapName, partition: PartitionId, failures: u32) {
        let (stage, step) = if failures < MOST_DESCENTS {
            let (descent, step) = Descent::start();
            (RepairStage::Descending(Box::new(descent)), step)
        } else {
            (RepairStage::Snapshot, RepairStep::Snapshot)
        };
        let map = self.map_mut(name);
        map.confirmed.build_index();
        let repair = Repair { stage, failures };
        map.view.repairs.insert(partition, repair);
        self.ask(name, partition, step);
    }

    fn ask(&mut self, name: &MapName, partition: PartitionId, step: RepairStep) {
        if let Some(view) = self.map_mut(name).view.id() {
            self.send(Message::Repair(crate::protocol::Repair {
                view,
                partition,
                step,
            }));
        }
    }

    pub(super) fn on_repair_nodes(&mut self, answer: &RepairNodes) -> Result<()> {
        let Some(name) = self.map_of_view(answer.view)? else {
            return Ok(());
        };
        let map = self.map_mut(&name);
        let own = map.confirmed.digests(answer.partition);
        let progress = match map.view.repairs.get_mut(&answer.partition) {
            Some(Repair {
                stage: RepairStage::Descending(descent),
                ..
            }) => descent.on_nodes(answer, own)?,
            _ => return Err(protocol("nodes were answered that were not asked for")),
        };
        self.on_progress(&name, answer.partition, progress)?;
        self.tell_synced(&name);
        Ok(())
    }

    pub(super) fn on_repair_leaves(&mut self, answer: &RepairLeaves) -> Result<()> {
        let Some(name) = self.map_of_view(answer.view)? else {
            return Ok(());
        };
        let map = self.map_mut(&name);
        let own = map.confirmed.digests(answer.partition);
        let progress = match map.view.repairs.get_mut(&answer.partition) {
            Some(Repair {
                stage: RepairStage::Descending(descent),
                ..
            }) => descent.on_leaves(answer, own)?,
            _ => return Err(protocol("leaves were answered that were not asked for")),
        };
        self.on_progress(&name, answer.partition, progress)?;
        self.tell_synced(&name);
        Ok(())
    }

    fn on_progress(
        &mut self,
        name: &MapName,
        partition: PartitionId,
        progress: Progress,
    ) -> Result<()> {
        match progress {
            Progress::Await => {}
            Progress::Ask(steps) => {
                for step in steps {
                    self.ask(name, partition, step);
                }
            }
            Progress::Snapshot => {
                self.set_stage(name, partition, RepairStage::Snapshot);
                self.ask(name, partition, RepairStep::Snapshot);
            }
            Progress::Finished(difference) => {
                return self.on_difference(name, partition, difference);
            }
        }
        Ok(())
    }

    /// The descent is over: asks for what is missing.
    fn on_difference(
        &mut self,
        name: &MapName,
        partition: PartitionId,
        difference: Difference,
    ) -> Result<()> {
        if difference.is_empty() {
            return self.on_repaired(name, partition, true);
        }
        let steps = difference.fetch_steps();
        if steps.is_empty() {
            // No answer will bring a root to compare with, so another descent does it.
            self.remove_strangers(name, partition, &difference.remove);
            return self.on_repaired(name, partition, false);
        }
        let stage = RepairStage::Fetching {
            answers: steps.len(),
            remove: difference.remove,
        };
        self.set_stage(name, partition, stage);
        for step in steps {
            self.ask(name, partition, step);
        }
        Ok(())
    }

    /// Removes entries that the server does not have, by hash of key and digest. A later event may
    /// have brought the key back: then the digest is another.
    fn remove_strangers(
        &mut self,
        name: &MapName,
        partition: PartitionId,
        strangers: &[(u64, u64)],
    ) {
        for (hash, short) in strangers {
            let found = self.map_mut(name).confirmed.by_hash(partition, *hash);
            if let Some((key, _)) = found.filter(|(_, digest)| digest.short() == *short) {
                self.remove_confirmed(name, &key);
            }
        }
    }

    fn set_stage(&mut self, name: &MapName, partition: PartitionId, stage: RepairStage) {
        if let Some(repair) = self.map_mut(name).view.repairs.get_mut(&partition) {
            repair.stage = stage;
        }
    }

    /// One answer to a fetch is complete; `root` is the server's at this moment.
    pub(super) fn on_fetched(
        &mut self,
        name: &MapName,
        partition: PartitionId,
        root: u128,
    ) -> Result<()> {
        let map = self.map_mut(name);
        let Some(Repair {
            stage: RepairStage::Fetching { answers, remove },
            ..
        }) = map.view.repairs.get_mut(&partition)
        else {
            return Err(protocol("records arrived that were not asked for"));
        };
        *answers = answers.saturating_sub(1);
        if *answers > 0 {
            return Ok(());
        }
        let strangers = std::mem::take(remove);
        self.remove_strangers(name, partition, &strangers);
        let equal = self.map_mut(name).confirmed.root(partition) == root;
        self.on_repaired(name, partition, equal)
    }

    /// A repair came to its end; `equal`: the roots agree now.
    pub(super) fn on_repaired(
        &mut self,
        name: &MapName,
        partition: PartitionId,
        equal: bool,
    ) -> Result<()> {
        let Some(repair) = self.map_mut(name).view.repairs.remove(&partition) else {
            return Ok(());
        };
        if equal {
            self.settle_reached(name, partition);
            return Ok(());
        }
        if repair.failures >= MOST_DESCENTS {
            let message = "all entries were sent anew and still the digests differ";
            return Err(Error::new(ErrorKind::Corrupt, "repair", message)
                .with("map", name)
                .with("partition", partition));
        }
        self.repair_again(name, partition, repair.failures + 1);
        Ok(())
    }
}
