//! The order that decides a merge, alone and in the server.

use std::cmp::Ordering;

use grid_core::lww_map::merge;
use grid_core::op::{Action, Op};
use grid_core::partition::{
    Budget, Partition, PartitionConfig, Proposal, ProposalBatch, Rules, TableSeed, Timing,
};
use grid_core::protocol::Verdict;
use grid_core::traits::{AddressedRecord, LastWriterWins, Position, StateRecord};
use grid_core::{
    DigestKey, History, Hlc, MapAddress, MapName, Namespace, OpId, PartitionId, Record, RunId,
    Sequence, Stamp,
};

use crate::versions::{all, key};

/// A wall clock after all versions, and before any of them ends.
const NOW_MS: u64 = 50;
const EVERYTHING: Budget = Budget {
    records: usize::MAX,
    bytes: usize::MAX,
};

/// The order as the design says it: time, run, number, tombstone, value, lifetime.
fn by_the_book(left: &Record, right: &Record) -> Ordering {
    let parts = |record: &Record| {
        let Stamp { hlc, op } = record.stamp;
        let value = record.value.clone().unwrap_or_default();
        (
            (hlc.millis(), hlc.counter()),
            (op.run.0, op.number),
            u8::from(record.value.is_none()),
            value.to_vec(),
            record.expires_at_ms,
        )
    };
    parts(left).cmp(&parts(right))
}

#[test]
fn every_two_versions_are_ordered_by_all_their_parts_in_turn() {
    let all = all();
    assert_eq!(all.len(), 108);
    for left in &all {
        for right in &all {
            assert_eq!(left.merge_order(right), by_the_book(left, right));
            let same = left == right;
            assert_eq!(left.merge_order(right).is_eq(), same, "{left:?} {right:?}");
        }
    }
}

fn address() -> MapAddress {
    MapAddress {
        namespace: Namespace::default(),
        map: MapName::new("m").unwrap(),
    }
}

const CONFIG: PartitionConfig = PartitionConfig {
    id: PartitionId(0),
    history: History(1),
    digest_key: DigestKey(1),
    seed: TableSeed(1, 2),
};

/// A partition that starts from a system of record with this version: so versions may have one
/// stamp, which the ops of one run never have.
fn partition_with(version: &Record) -> Partition {
    let state = StateRecord {
        sequence: Sequence(1),
        ..Partition::new(CONFIG).save(Position(0))
    };
    let (mut partition, _) = Partition::restore(CONFIG, &state).unwrap();
    partition.load(&AddressedRecord {
        address: address(),
        record: Record {
            sequence: Sequence(1),
            ..version.clone()
        },
    });
    partition.finish_load();
    partition.finish_replay();
    partition
}

fn rules() -> Rules {
    Rules {
        allowed_drift_ms: 1_000,
        ..Rules::default()
    }
}

/// The op that writes this version.
fn op_of(version: &Record) -> Op {
    let hlc = version.stamp.hlc;
    let action = version.value.as_ref().map_or(Action::Remove, |value| {
        let ends = version.expires_at_ms;
        Action::Put {
            value: value.clone(),
            ttl_ms: ends.map(|ends| ends - hlc.millis()),
        }
    });
    Op {
        id: version.stamp.op,
        hlc,
        map: address().map,
        key: version.key.clone(),
        action,
        base: Hlc::ZERO,
        if_version: None,
        schema: 0,
        ack: None,
    }
}

fn propose(partition: &mut Partition, ops: impl IntoIterator<Item = Op>) -> Vec<Verdict> {
    let proposals = ops.into_iter().map(|op| Proposal {
        principal: "ada".into(),
        timing: Timing::Client { offset_ms: 0 },
        address: address(),
        op,
        veto: None,
    });
    let batch = ProposalBatch {
        proposals: proposals.collect(),
        ..ProposalBatch::default()
    };
    let decided = partition.decide(&batch, NOW_MS, &rules());
    partition.apply(&decided.effects).unwrap();
    let outcomes = decided.outcomes.into_iter();
    outcomes.map(|outcome| outcome.verdict).collect()
}

/// What the partition holds of the key, tombstones too, without its sequence.
fn held(partition: &Partition) -> Option<Record> {
    let all = partition.records_after(Sequence::ZERO);
    assert!(all.len() <= 1);
    all.into_iter().next().map(|found| Record {
        sequence: Sequence::ZERO,
        ..found.record
    })
}

#[test]
fn a_server_decides_every_two_versions_by_the_same_order() {
    // A tombstone with a lifetime is nothing that an op can write.
    let all: Vec<Record> = all()
        .into_iter()
        .filter(|version| version.value.is_some() || version.expires_at_ms.is_none())
        .collect();
    for current in &all {
        for incoming in &all {
            let mut partition = partition_with(current);
            let verdict = propose(&mut partition, [op_of(incoming)]).remove(0);
            let winner = merge(&LastWriterWins, Some(current), incoming);
            let expected = winner.clone().unwrap_or_else(|| current.clone());
            assert_eq!(held(&partition), Some(expected), "{current:?} {incoming:?}");
            let accepted = winner.is_some() || current == incoming;
            assert_eq!(
                verdict,
                if accepted {
                    Verdict::Accepted
                } else {
                    Verdict::Superseded(current.stamp)
                }
            );
        }
    }
}

/// All orders of `items`.
fn orders<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let mut orders = vec![Vec::new()];
    for item in items {
        orders = orders
            .into_iter()
            .flat_map(|order| {
                (0..=order.len()).map(move |place| {
                    let mut longer = order.clone();
                    longer.insert(place, item.clone());
                    longer
                })
            })
            .collect();
    }
    orders
}

#[test]
fn every_order_and_split_of_three_ops_of_three_runs_comes_to_the_same() {
    // Stamps that tie in time; the second and third op tie in their number, too.
    let choices: Vec<Record> = all()
        .into_iter()
        .filter(|version| version.expires_at_ms.is_none() && version.stamp.op.number == 1)
        .filter(|version| version.stamp.op.run == RunId(1))
        .collect();
    let of_run = |version: &Record, run: u64| {
        let mut version = version.clone();
        version.stamp.op = OpId {
            run: RunId(run),
            number: 1,
        };
        version
    };
    for a in &choices {
        for b in &choices {
            for c in &choices {
                let versions = [of_run(a, 1), of_run(b, 2), of_run(c, 3)];
                let winner = versions.iter().max_by(|a, b| by_the_book(a, b));
                for order in orders(&versions) {
                    for split in 0..=order.len() {
                        let mut partition = Partition::new(CONFIG);
                        let (first, second) = order.split_at(split);
                        propose(&mut partition, first.iter().map(op_of));
                        propose(&mut partition, second.iter().map(op_of));
                        // Once more, as after a connection that broke before the ack.
                        propose(&mut partition, order.iter().map(op_of));
                        assert_eq!(held(&partition).as_ref(), winner);
                        let live = partition.page(
                            &address(),
                            &grid_core::protocol::Selector::All,
                            None,
                            EVERYTHING,
                        );
                        let exists = winner.is_some_and(|winner| winner.value.is_some());
                        assert_eq!(live.records.len(), usize::from(exists));
                        assert_eq!(partition.get(&address(), &key()).is_some(), exists);
                    }
                }
            }
        }
    }
}
