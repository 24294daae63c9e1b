//! What several unit tests need.

use bytes::Bytes;
use futures::FutureExt;
use grid_core::op::{Action, Op};
use grid_core::partition::{
    Partition, PartitionConfig, Proposal, ProposalBatch, Rules, TableSeed, Timing,
};
use grid_core::traits::{Epoch, Owner};
use grid_core::{DigestKey, History, MapAddress, MapName, Namespace, PartitionId, RunId};

use crate::partition_service::Committed;

/// The run of [`op`].
pub(crate) const RUN: RunId = RunId(7);

pub(crate) fn owner(node: &str, epoch: u64) -> Owner {
    Owner {
        node: node.to_owned(),
        epoch: Epoch(epoch),
    }
}

/// What `future` comes to, which has nothing to wait for.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing to wait for")
}

/// The map `m`.
pub(crate) fn address() -> MapAddress {
    MapAddress {
        namespace: Namespace::default(),
        map: MapName::new("m").unwrap(),
    }
}

/// Op `number` of [`RUN`], which puts a byte to `k` of the map `m`; a test changes what it is
/// about.
pub(crate) fn op(number: u64) -> Op {
    grid_testkit::op(RUN, number)
}

pub(crate) fn put(value: Bytes) -> Action {
    Action::Put {
        value,
        ttl_ms: None,
    }
}

/// `op`, as ada's.
pub(crate) fn proposal(op: Op) -> Proposal {
    Proposal {
        principal: "ada".into(),
        timing: Timing::Client { offset_ms: 0 },
        address: address(),
        op,
        veto: None,
    }
}

pub(crate) fn partition(id: u16) -> Partition {
    Partition::new(PartitionConfig {
        id: PartitionId(id),
        history: History(5),
        digest_key: DigestKey(1),
        seed: TableSeed(3, 4),
    })
}

/// Takes `ops` into `partition`.
pub(crate) fn commit(partition: &mut Partition, ops: impl IntoIterator<Item = Op>) -> Committed {
    let batch = ProposalBatch {
        proposals: ops.into_iter().map(proposal).collect(),
        ..ProposalBatch::default()
    };
    let decided = partition.decide(&batch, 1_000_000, &Rules::default());
    let applied = partition.apply(&decided.effects).unwrap();
    Committed {
        effects: decided.effects,
        applied,
        outcomes: decided.outcomes,
    }
}
