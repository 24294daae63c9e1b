//! No op takes effect twice.

use std::collections::BTreeMap;

use crate::history::event::Happening;
use crate::history::operation::Operations;
use crate::history::violation::{Guarantee, Violation};

pub(super) fn check(operations: &Operations<'_>) -> Result<(), Violation> {
    // Several parties may tell of one change, and one party twice: an event comes at least once.
    let mut by_op = BTreeMap::new();
    let mut by_sequence = BTreeMap::new();
    for (moment, event) in operations.history.events().iter().enumerate() {
        let Happening::Applied(applied) = &event.happening else {
            continue;
        };
        let line = (applied.history, applied.partition, applied.sequence);
        let (first, before) = *by_op
            .entry((applied.history, applied.id))
            .or_insert((line, moment));
        if first != line {
            let what = format!(
                "op {} is applied as sequence {} of partition {} and as {} of {}",
                applied.id, first.2, first.1, applied.sequence, applied.partition
            );
            let moments = [before, moment];
            return Err(operations.broken(Guarantee::AppliedOnce, what, &[], &moments));
        }
        let (first, before) = *by_sequence.entry(line).or_insert((applied.id, moment));
        if first != applied.id {
            let what = format!(
                "sequence {} of partition {} is op {first}, and op {}",
                applied.sequence, applied.partition, applied.id
            );
            let moments = [before, moment];
            return Err(operations.broken(Guarantee::AppliedOnce, what, &[], &moments));
        }
    }
    Ok(())
}
