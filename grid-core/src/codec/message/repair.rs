//! The comparison of Merkle trees. Hashes are packed, as they do not compress; indexes are
//! distances, as they mostly ascend.

use super::{kind, start};
use crate::codec::reader::Reader;
use crate::codec::writer::Writer;
use crate::error::Result;
use crate::protocol::{Repair, RepairLeaves, RepairNodes, RepairStep, ViewId};

const NODES: u8 = 0;
const LEAVES: u8 = 1;
const FETCH: u8 = 2;
const SNAPSHOT: u8 = 3;

/// Writes node or leaf indexes, each as its distance from the one before.
fn write_indexes(writer: &mut Writer<'_>, indexes: &[u32]) {
    let mut before = 0;
    writer.items(indexes, |writer, index| {
        writer.i64(i64::from(*index) - before);
        before = i64::from(*index);
    });
}

fn read_indexes(reader: &mut Reader<'_>) -> Result<Vec<u32>> {
    let mut before = 0;
    reader.items(1, |reader| {
        let index = reader.i64()?.checked_add(before).map(u32::try_from);
        let Some(Ok(index)) = index else {
            return Err(reader.error("a node's index is out of range"));
        };
        before = i64::from(index);
        Ok(index)
    })
}

/// `[kind, view, partition, [step, …]]`
pub(super) fn write_repair(writer: &mut Writer<'_>, repair: &Repair) {
    start(writer, kind::REPAIR, 3);
    writer.u64(repair.view.0);
    writer.partition(repair.partition);
    match &repair.step {
        RepairStep::Nodes {
            bits,
            level,
            parents,
        } => {
            writer.tuple(4);
            writer.u64(NODES.into());
            writer.u64((*bits).into());
            writer.u64((*level).into());
            write_indexes(writer, parents);
        }
        RepairStep::Leaves { bits, leaves } => {
            writer.tuple(3);
            writer.u64(LEAVES.into());
            writer.u64((*bits).into());
            write_indexes(writer, leaves);
        }
        RepairStep::Fetch { keys } => {
            writer.tuple(2);
            writer.u64(FETCH.into());
            writer.packed(keys);
        }
        RepairStep::Snapshot => {
            writer.tuple(1);
            writer.u64(SNAPSHOT.into());
        }
    }
}

pub(super) fn read_repair(reader: &mut Reader<'_>) -> Result<Repair> {
    let view = ViewId(reader.u64()?);
    let partition = reader.partition()?;
    let mut tuple = reader.tuple(1)?;
    let step = match reader.u8()? {
        NODES => {
            reader.more(&mut tuple, 3)?;
            RepairStep::Nodes {
                bits: reader.u8()?,
                level: reader.u8()?,
                parents: read_indexes(reader)?,
            }
        }
        LEAVES => {
            reader.more(&mut tuple, 2)?;
            RepairStep::Leaves {
                bits: reader.u8()?,
                leaves: read_indexes(reader)?,
            }
        }
        FETCH => {
            reader.more(&mut tuple, 1)?;
            RepairStep::Fetch {
                keys: reader.packed()?,
            }
        }
        SNAPSHOT => RepairStep::Snapshot,
        other => return Err(reader.error(format!("repair step {other} is not known"))),
    };
    reader.end(tuple)?;
    Ok(Repair {
        view,
        partition,
        step,
    })
}

/// `[kind, view, partition, bits, level, parents, sums]`
pub(super) fn write_nodes(writer: &mut Writer<'_>, nodes: &RepairNodes) {
    start(writer, kind::REPAIR_NODES, 6);
    writer.u64(nodes.view.0);
    writer.partition(nodes.partition);
    writer.u64(nodes.bits.into());
    writer.u64(nodes.level.into());
    write_indexes(writer, &nodes.parents);
    writer.packed(&nodes.sums);
}

pub(super) fn read_nodes(reader: &mut Reader<'_>) -> Result<RepairNodes> {
    Ok(RepairNodes {
        view: ViewId(reader.u64()?),
        partition: reader.partition()?,
        bits: reader.u8()?,
        level: reader.u8()?,
        parents: read_indexes(reader)?,
        sums: reader.packed()?,
    })
}

/// `[kind, view, partition, bits, leaves, entries]`, an entry being key hash and digest.
pub(super) fn write_leaves(writer: &mut Writer<'_>, leaves: &RepairLeaves) {
    start(writer, kind::REPAIR_LEAVES, 5);
    writer.u64(leaves.view.0);
    writer.partition(leaves.partition);
    writer.u64(leaves.bits.into());
    write_indexes(writer, &leaves.leaves);
    writer.packed_pairs(&leaves.entries);
}

pub(super) fn read_leaves(reader: &mut Reader<'_>) -> Result<RepairLeaves> {
    Ok(RepairLeaves {
        view: ViewId(reader.u64()?),
        partition: reader.partition()?,
        bits: reader.u8()?,
        leaves: read_indexes(reader)?,
        entries: reader.packed_pairs()?,
    })
}
