//! A device's ops keep their order.

use std::collections::BTreeMap;

use grid_core::{OpId, PartitionId, RunId, Sequence};

use super::sent::sent_delta;
use crate::scenario::{Event, Invariant, View};

/// Within a partition, the ops of one run have their effects in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct DeviceOrder {
    seen: BTreeMap<(PartitionId, RunId), BTreeMap<Sequence, u64>>,
}

impl Invariant for DeviceOrder {
    fn name(&self) -> &'static str {
        "a device's ops keep their order"
    }

    fn observe(&mut self, event: &Event, _: &View<'_>) -> Result<(), String> {
        if let Event::PutBack { remains, .. } = event {
            for ((partition, _), run) in &mut self.seen {
                run.retain(|at, _| *at <= remains.sequence(*partition));
            }
        }
        let Some((_, delta)) = sent_delta(event) else {
            return Ok(());
        };
        for record in &delta.records {
            let OpId { run, number } = record.stamp.op;
            let run = self.seen.entry((delta.partition, run)).or_default();
            run.insert(record.sequence, number);
            let before = run.range(..record.sequence).next_back();
            let after = run.range(record.sequence.next()..).next();
            let in_order = before.is_none_or(|(_, earlier)| *earlier < number)
                && after.is_none_or(|(_, later)| number < *later);
            if !in_order {
                return Err(format!(
                    "op {} took effect at {}, between {before:?} and {after:?} of its run",
                    record.stamp.op, record.sequence
                ));
            }
        }
        Ok(())
    }
}
