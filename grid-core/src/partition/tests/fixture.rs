//! A partition with a journal in memory, and short ways to propose ops.

use bytes::Bytes;

use crate::op::Action;
use crate::op::{Op, OpId};
use crate::partition::{
    Applied, Confirmation, Decided, Effects, Farewell, Partition, PartitionConfig, Proposal,
    ProposalBatch, Rules, TableSeed, Timing,
};
use crate::protocol::Verdict;
use crate::traits::{AddressedRecord, Position, StateRecord};
use crate::{
    DigestKey, History, Hlc, Key, MapAddress, MapName, Namespace, PartitionId, RunId, Sequence,
    Stamp,
};

pub(super) const NOW_MS: u64 = 1_700_000_000_000;

pub(super) fn config() -> PartitionConfig {
    PartitionConfig {
        id: PartitionId(3),
        history: History(11),
        digest_key: DigestKey(5),
        seed: TableSeed(1, 2),
    }
}

pub(super) fn address(map: &str) -> MapAddress {
    MapAddress {
        namespace: Namespace::default(),
        map: MapName::new(map).unwrap(),
    }
}

pub(super) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// An op of map `m` by run `run`, `ms` milliseconds after the start of time.
pub(super) fn put(run: u64, number: u64, ms: i64, name: &str, value: u8) -> Op {
    Op {
        action: Action::Put {
            value: Bytes::from(vec![value]),
            ttl_ms: None,
        },
        ..remove(run, number, ms, name)
    }
}

pub(super) fn remove(run: u64, number: u64, ms: i64, name: &str) -> Op {
    Op {
        id: OpId {
            run: RunId(run),
            number,
        },
        hlc: Hlc::new(NOW_MS.checked_add_signed(ms).unwrap(), 0),
        map: MapName::new("m").unwrap(),
        key: key(name),
        action: Action::Remove,
        base: Hlc::ZERO,
        if_version: None,
        schema: 0,
        ack: None,
    }
}

pub(super) fn proposal(op: Op) -> Proposal {
    Proposal {
        principal: format!("owner of {}", op.id.run).into(),
        timing: Timing::Client { offset_ms: 0 },
        address: address(op.map.as_str()),
        op,
        veto: None,
    }
}

pub(super) fn confirm(run: u64, through: u64) -> Confirmation {
    Confirmation {
        run: RunId(run),
        principal: format!("owner of {}", RunId(run)).into(),
        through,
    }
}

pub(super) fn farewell(run: u64) -> Farewell {
    Farewell {
        run: RunId(run),
        principal: format!("owner of {}", RunId(run)).into(),
    }
}

/// A partition, its journal, and the system of record as of the last save.
pub(super) struct World {
    pub(super) partition: Partition,
    pub(super) journal: Vec<Bytes>,
    pub(super) rules: Rules,
    pub(super) now_ms: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            partition: Partition::new(config()),
            journal: Vec::new(),
            rules: Rules::default(),
            now_ms: NOW_MS,
        }
    }

    /// Journals and applies effects.
    pub(super) fn take(&mut self, effects: &Effects) -> Applied {
        self.journal.push(effects.encode());
        self.partition.apply(effects).unwrap()
    }

    /// Decides, journals and applies a batch.
    pub(super) fn run(&mut self, batch: &ProposalBatch) -> (Decided, Applied) {
        let decided = self.partition.decide(batch, self.now_ms, &self.rules);
        assert_eq!(decided.outcomes.len(), batch.proposals.len());
        let applied = self.take(&decided.effects);
        (decided, applied)
    }

    /// The verdicts of ops pushed as one batch.
    pub(super) fn push(&mut self, ops: impl IntoIterator<Item = Op>) -> Vec<Verdict> {
        let batch = ProposalBatch {
            proposals: ops.into_iter().map(proposal).collect(),
            ..ProposalBatch::default()
        };
        let (decided, _) = self.run(&batch);
        decided
            .outcomes
            .into_iter()
            .map(|outcome| outcome.verdict)
            .collect()
    }

    pub(super) fn push_one(&mut self, op: Op) -> Verdict {
        self.push([op]).remove(0)
    }

    /// The live value of a key of map `m`.
    pub(super) fn value(&self, name: &str) -> Option<u8> {
        self.partition
            .get(&address("m"), &key(name))
            .and_then(|record| record.value)
            .map(|value| value[0])
    }

    pub(super) fn stamp(&self, name: &str) -> Stamp {
        self.partition.get(&address("m"), &key(name)).unwrap().stamp
    }

    /// A partition that starts from a system of record and replays the journal after it.
    pub(super) fn restart(&self, saved: &Saved) -> Partition {
        let (mut partition, position) = Partition::restore(config(), &saved.state).unwrap();
        for record in &saved.records {
            partition.load(record);
        }
        partition.finish_load();
        let replayed = usize::try_from(position.0).unwrap();
        for batch in &self.journal[replayed..] {
            partition.apply(&Effects::decode(batch).unwrap()).unwrap();
        }
        partition.finish_replay();
        partition
    }

    pub(super) fn save(&self) -> Saved {
        Saved {
            state: self.partition.save(Position(self.journal.len() as u64)),
            records: contents(&self.partition),
        }
    }
}

/// What a system of record holds of a partition.
pub(super) struct Saved {
    pub(super) state: StateRecord,
    pub(super) records: Vec<AddressedRecord>,
}

/// Everything a partition holds, tombstones included, in an order of its own content.
pub(super) fn contents(partition: &Partition) -> Vec<AddressedRecord> {
    let mut records: Vec<AddressedRecord> = partition
        .maps
        .iter()
        .flat_map(|map| {
            map.places().map(|(_, slot)| AddressedRecord {
                address: map.address().clone(),
                record: slot.record(),
            })
        })
        .collect();
    records.sort_by(|a, b| (&a.address, &a.record.key).cmp(&(&b.address, &b.record.key)));
    records
}

/// Asserts that two partitions answer everything alike.
pub(super) fn assert_same(left: &Partition, right: &Partition) {
    assert_eq!(left.save(Position(0)), right.save(Position(0)));
    assert_eq!(contents(left), contents(right));
    for address in left.maps() {
        let view = |partition: &Partition| {
            let all = crate::protocol::Selector::All;
            let view = partition.open_view(address, &all);
            (view.root(), view.last(), partition.live(address))
        };
        assert_eq!(view(left), view(right), "{address}");
        // The delta log, too: each change once, in the order of the sequences.
        let changes = |partition: &Partition| {
            let all = crate::protocol::Selector::All;
            partition.changes(address, &all, Sequence::ZERO, Sequence::ZERO, everything())
        };
        assert_eq!(changes(left), changes(right), "{address}");
    }
}

/// What a subscriber that has everything is told.
pub(super) fn everything() -> crate::partition::Budget {
    crate::partition::Budget {
        records: usize::MAX,
        bytes: usize::MAX,
    }
}

pub(super) fn sequence(number: u64) -> Sequence {
    Sequence(number)
}
