//! Checks of what asks for data.

use grid_core::address::Placement;
use grid_core::limits::{MAX_ITEMS_PER_MESSAGE, MAX_KEY_BYTES};
use grid_core::protocol::{Read, ReadTarget, Repair, RepairStep, Selector, Stored, Subscribe};
use grid_core::{MapAddress, PartitionId, Result};

use super::error::{broken, too_many_views};
use super::limits::Limits;
use crate::sessions::Session;

pub(super) fn check_subscribe(
    limits: &Limits,
    session: &Session,
    subscribe: &Subscribe,
) -> Result<()> {
    if session.views().len() >= limits.max_views {
        return Err(too_many_views(limits.max_views));
    }
    check_selector(&subscribe.selector)?;
    let address = MapAddress {
        namespace: session.namespace().clone(),
        map: subscribe.map.clone(),
    };
    let placement = Placement::new(&address, limits.spread, limits.partition_count);
    let mut cursor: Vec<PartitionId> = subscribe.cursor.iter().map(|(id, _)| *id).collect();
    cursor.sort_unstable();
    if cursor.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(broken("a cursor names a partition twice"));
    }
    let known: Vec<PartitionId> = placement.partitions().collect();
    match cursor.iter().find(|partition| !known.contains(partition)) {
        Some(stranger) => Err(broken(format!(
            "a cursor names partition {stranger}, where the map `{}` is not",
            subscribe.map
        ))),
        None => Ok(()),
    }
}

fn check_selector(selector: &Selector) -> Result<()> {
    match selector {
        Selector::Prefix(prefix) if prefix.len() > MAX_KEY_BYTES => Err(broken(format!(
            "a prefix of {} bytes; keys have at most {MAX_KEY_BYTES}",
            prefix.len()
        ))),
        _ => Ok(()),
    }
}

pub(super) fn check_stored(limits: &Limits, stored: &[Stored]) -> Result<()> {
    stored
        .iter()
        .try_for_each(|each| check_partition(limits, each.partition))
}

pub(super) fn check_repair(limits: &Limits, session: &Session, repair: &Repair) -> Result<()> {
    check_partition(limits, repair.partition)?;
    if !session.views().contains(&repair.view) {
        return Err(broken("a repair of a view that is not followed"));
    }
    let items = match &repair.step {
        RepairStep::Nodes { parents, .. } => parents.len(),
        RepairStep::Leaves { leaves, .. } => leaves.len(),
        RepairStep::Fetch { keys } => keys.len(),
        RepairStep::Snapshot => 1,
    };
    if items == 0 || items > MAX_ITEMS_PER_MESSAGE {
        return Err(broken(format!("a repair step of {items} items")));
    }
    Ok(())
}

pub(super) fn check_read(read: &Read) -> Result<()> {
    match &read.target {
        ReadTarget::Page { limit: 0, .. } => Err(broken("a page of no entries")),
        ReadTarget::Page { selector, .. } => check_selector(selector),
        ReadTarget::Key(_) => Ok(()),
    }
}

fn check_partition(limits: &Limits, partition: PartitionId) -> Result<()> {
    if partition.0 < limits.partition_count {
        return Ok(());
    }
    Err(broken(format!(
        "partition {partition}; there are {}",
        limits.partition_count
    )))
}
