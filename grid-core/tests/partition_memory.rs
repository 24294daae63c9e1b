//! What a write costs a partition in calls of the allocator.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod counting;

use bytes::Bytes;
use counting::asked;
use grid_core::op::{Action, Op};
use grid_core::partition::{
    Partition, PartitionConfig, Proposal, ProposalBatch, Rules, TableSeed, Timing, View,
};
use grid_core::protocol::Selector;
use grid_core::{
    DigestKey, History, Hlc, Key, MapAddress, MapName, Namespace, OpId, PartitionId, Record, RunId,
};

const NOW_MS: u64 = 1_700_000_000_000;
const ENTRIES: u64 = 1_000;
const VALUE_BYTES: usize = 100;

struct World {
    partition: Partition,
    address: MapAddress,
    view: View,
    /// The client's last op.
    pushed: u64,
    /// Stands for the frame that keys and values share.
    frame: Bytes,
}

impl World {
    /// A partition that is full, and whose log and runs have their room.
    fn new() -> Self {
        let address = MapAddress {
            namespace: Namespace::default(),
            map: MapName::new("m").unwrap(),
        };
        let partition = Partition::new(PartitionConfig {
            id: PartitionId(0),
            history: History(1),
            digest_key: DigestKey(2),
            seed: TableSeed(3, 4),
        });
        let frame = Bytes::from(vec![7; VALUE_BYTES]);
        let mut world = Self {
            view: partition.open_view(&address, &Selector::All),
            partition,
            address,
            pushed: 0,
            // Shared once before, so that sharing it again allocates nothing.
            frame: frame.slice(..),
        };
        for _ in 0..4 {
            let batch = world.batch(ENTRIES);
            world.write(&batch);
        }
        world
    }

    /// Overwrites of the first entries.
    fn batch(&mut self, ops: u64) -> ProposalBatch {
        let proposals = (0..ops).map(|entry| {
            self.pushed += 1;
            Proposal {
                principal: "ada".into(),
                timing: Timing::Client { offset_ms: 0 },
                address: self.address.clone(),
                op: Op {
                    id: OpId {
                        run: RunId(5),
                        number: self.pushed,
                    },
                    hlc: Hlc::new(NOW_MS - 1_000_000 + self.pushed, 0),
                    map: self.address.map.clone(),
                    key: Key::new(&format!("key {entry}")).unwrap(),
                    action: Action::Put {
                        value: self.frame.slice(..),
                        ttl_ms: None,
                    },
                    base: Hlc::ZERO,
                    if_version: None,
                    schema: 0,
                    ack: None,
                },
                veto: None,
            }
        });
        let proposals = proposals.collect::<Vec<_>>();
        // As the keys of a frame, which share its memory.
        for proposal in &proposals {
            drop(proposal.op.key.clone());
        }
        ProposalBatch {
            proposals,
            ..ProposalBatch::default()
        }
    }

    /// Decides, journals and applies a batch, and makes the records of its event.
    fn write(&mut self, batch: &ProposalBatch) {
        let decided = self.partition.decide(batch, NOW_MS, &Rules::default());
        let journalled = decided.effects.encode();
        let applied = self.partition.apply(&decided.effects).unwrap();
        let change = self
            .view
            .advance(&self.partition, &decided.effects, &applied)
            .unwrap();
        let records: Vec<Record> = change.records.into_iter().cloned().collect();
        assert_eq!(records.len(), batch.proposals.len());
        assert!(journalled.len() > VALUE_BYTES * records.len());
    }
}

#[test]
fn an_overwritten_entry_costs_one_allocation_its_own_copy() {
    let mut world = World::new();
    let mut overwrite = |ops| {
        let batch = world.batch(ops);
        asked(|| world.write(&batch))
    };
    let (few, many) = (overwrite(64), overwrite(512));
    assert!((64..96).contains(&few.calls), "{few:?} for 64 ops");
    // Besides the copies only tables that grow as the batch does.
    let more = many.calls - few.calls;
    assert!(
        (448..464).contains(&more),
        "{few:?} for 64 ops, {many:?} for 512"
    );
    // The copy, the journal batch, and what decisions, effects and events are made of.
    let each = (many.bytes - few.bytes) / 448;
    assert!(each < 800, "{each} bytes for each op");
}
