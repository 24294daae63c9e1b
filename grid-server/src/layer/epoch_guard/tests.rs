use std::sync::Arc;

use futures::FutureExt;
use grid_core::traits::{Epoch, Owner};
use grid_core::{ErrorKind, PartitionId};
use tower::{Layer, Service};

use super::EpochGuardLayer;
use crate::ownership_table::OwnershipTable;
use crate::partition_service::{PartWork, Work, WorkBatch};

fn owner(node: &str, epoch: u64) -> Owner {
    Owner {
        node: node.to_owned(),
        epoch: Epoch(epoch),
    }
}

#[test]
fn only_work_at_the_epoch_of_this_node_passes() {
    let table = Arc::new(OwnershipTable::new("here".to_owned(), 4));
    for (partition, epoch) in [(PartitionId(0), 5), (PartitionId(1), 6)] {
        table.changed(partition, &owner("here", epoch));
        table.serve(partition, Epoch(epoch));
    }
    table.changed(PartitionId(2), &owner("there", 5));
    let inner = tower::service_fn(|batch: WorkBatch| {
        std::future::ready(Ok::<_, std::convert::Infallible>(batch))
    });
    let mut service = EpochGuardLayer::new(table.clone()).layer(inner);
    let mut refusals = || {
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
        let Ok(batch) = service.call(batch).now_or_never().unwrap();
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
