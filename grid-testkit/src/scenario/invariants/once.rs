//! No op takes effect twice.

use std::collections::BTreeMap;

use bytes::Bytes;
use grid_core::{OpId, PartitionId, Sequence};

use super::sent::sent_delta;
use crate::scenario::{Event, Invariant, View};

/// A version has one place in its partition's order. A merge rule of an app's own may change a
/// value under the version that it merged into; the same value never comes twice.
#[derive(Debug, Default)]
pub(super) struct AppliedOnce {
    places: BTreeMap<(OpId, Option<Bytes>), (PartitionId, Sequence)>,
}

impl Invariant for AppliedOnce {
    fn name(&self) -> &'static str {
        "an op is applied at most once"
    }

    fn observe(&mut self, event: &Event, _: &View<'_>) -> Result<(), String> {
        if let Event::PutBack { remains, .. } = event {
            // What came later may come again, elsewhere.
            self.places
                .retain(|_, (partition, at)| *at <= remains.sequence(*partition));
        }
        let Some((_, delta)) = sent_delta(event) else {
            return Ok(());
        };
        for record in &delta.records {
            let version = (record.stamp.op, record.value.clone());
            let place = (delta.partition, record.sequence);
            let known = *self.places.entry(version).or_insert(place);
            if known != place {
                return Err(format!(
                    "op {} on {} stands at {known:?} and at {place:?}",
                    record.stamp.op, record.key
                ));
            }
        }
        Ok(())
    }
}
