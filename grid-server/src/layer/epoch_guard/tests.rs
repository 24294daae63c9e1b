use std::sync::Arc;

use grid_core::traits::Epoch;
use grid_core::{ErrorKind, PartitionId};

use super::EpochGuardLayer;
use crate::layer::testing::through;
use crate::ownership_table::OwnershipTable;
use crate::partition_service::{PartWork, Work, WorkBatch};
use crate::support::owner;

#[test]
fn only_work_at_the_epoch_of_this_node_passes() {
    let table = Arc::new(OwnershipTable::new("here".to_owned(), 4));
    for (partition, epoch) in [(PartitionId(0), 5), (PartitionId(1), 6)] {
        table.changed(partition, &owner("here", epoch));
        table.serve(partition, Epoch(epoch));
    }
    table.changed(PartitionId(2), &owner("there", 5));
    let layer = EpochGuardLayer::new(table.clone());
    let refusals = || {
        let parts = (0..4).map(|id| PartWork {
            partition: PartitionId(id),
            epoch: Epoch(5),
            work: Work::Housekeeping,
            refusal: None,
        });
        let batch = WorkBatch {
            parts: parts.collect(),
            early: None,
        };
        let batch = through(&layer, batch);
        let refused = batch.parts.iter().map(|part| {
            part.refusal
                .as_ref()
                .map(|error| (error.kind(), error.is_retryable()))
        });
        refused.collect::<Vec<_>>()
    };
    let refused = Some((ErrorKind::Unavailable, true));
    assert_eq!(refusals(), [None, refused, refused, refused]);
    // The table is asked each time.
    table.changed(PartitionId(0), &owner("there", 6));
    assert_eq!(refusals(), [refused, refused, refused, refused]);
}
