//! Every op has one fate, one call and one version.

use std::collections::BTreeMap;

use grid_core::{OpId, Stamp};

use crate::history::operation::Operations;
use crate::history::violation::{Guarantee, Violation};

pub(super) fn check(operations: &Operations<'_>) -> Result<(), Violation> {
    for (index, op) in operations.all.iter().enumerate() {
        if let Some((_, fate)) = op.end()
            && let Some((_, other)) = op.ends.iter().find(|(_, end)| !end.agrees_with(fate))
        {
            let what = format!("{} is told two fates: {fate}, and {other}", op.name());
            return Err(operations.broken(Guarantee::OneFate, what, &[index], &[]));
        }
        let first = op.id.and_then(|id| operations.by_id.get(&id));
        if let Some((first, id)) = first.copied().zip(op.id)
            && first != index
        {
            let what = format!("op {id} is two calls");
            return Err(operations.broken(Guarantee::OneFate, what, &[first, index], &[]));
        }
    }
    check_versions(operations)
}

/// No op has two versions.
fn check_versions(operations: &Operations<'_>) -> Result<(), Violation> {
    let mut told: BTreeMap<OpId, (Stamp, usize)> = BTreeMap::new();
    for (moment, event) in operations.history.events().iter().enumerate() {
        let mut two = None;
        event.happening.versions(&mut |version| {
            let (first, before) = *told.entry(version.op).or_insert((version, moment));
            if first != version {
                two = Some((first, before, version));
            }
        });
        if let Some((first, before, version)) = two {
            let what = format!("op {} is at {first}, and at {version}", version.op);
            let moments = [before, moment];
            return Err(operations.broken(Guarantee::OneFate, what, &[], &moments));
        }
    }
    Ok(())
}
