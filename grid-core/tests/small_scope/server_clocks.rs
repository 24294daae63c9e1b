//! Every short life of a partition's clock: stamps of its own and of clients, at wall times that go
//! back and forth, over restarts.

use bytes::Bytes;
use grid_core::op::{Action, Op};
use grid_core::partition::{
    Effects, Partition, PartitionConfig, Proposal, ProposalBatch, Rules, TableSeed, Timing,
};
use grid_core::protocol::Verdict;
use grid_core::traits::{AddressedRecord, Position, StateRecord};
use grid_core::{
    DigestKey, History, Hlc, MapAddress, MapName, Namespace, OpId, PartitionId, RunId, Sequence,
};

use crate::lives::each_life;
use crate::versions::key;

/// How far a client's stamp may lie ahead, in milliseconds.
const DRIFT_MS: u64 = 10;
/// Wall times, in milliseconds: back by more than the drift, back, and forward.
const WALL_MS: [u64; 3] = [100, 995, 1_000];
/// Things that happen in one life; all of 12 ^ 4 lives are lived.
const LENGTH: u32 = 4;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The server writes.
    Own(u64),
    /// A client's op with this stamp arrives.
    Client(u64, Hlc),
    /// The process dies, and starts from the journal, or from what was saved and the journal.
    Restart,
    Save,
}

/// Stamps at the edge of the drift with a full counter, beyond it, and of the past.
fn steps() -> Vec<Step> {
    let mut steps = WALL_MS.map(Step::Own).to_vec();
    for now_ms in [995, 1_000] {
        let edge = Hlc::new(now_ms + DRIFT_MS, u16::MAX);
        let past = Hlc::new(now_ms - 1, u16::MAX);
        for stamp in [edge, edge.next(), past] {
            steps.push(Step::Client(now_ms, stamp));
        }
    }
    // A wall clock that went back makes a stamp of a moment ago one of the future.
    steps.push(Step::Client(100, Hlc::new(1_000, 0)));
    steps.extend([Step::Restart, Step::Save]);
    steps
}

#[derive(Debug)]
struct Owner {
    partition: Partition,
    journal: Vec<Bytes>,
    saved: Option<(StateRecord, Vec<AddressedRecord>)>,
    /// The highest stamp of the server's own that was told, and the highest of all.
    own: Hlc,
    highest: Hlc,
    number: u64,
    /// The highest wall time at which anything was decided.
    latest_ms: u64,
}

fn config() -> PartitionConfig {
    PartitionConfig {
        id: PartitionId(0),
        history: History(1),
        digest_key: DigestKey(1),
        seed: TableSeed(1, 2),
    }
}

impl Owner {
    fn new() -> Self {
        Self {
            partition: Partition::new(config()),
            journal: Vec::new(),
            saved: None,
            own: Hlc::ZERO,
            highest: Hlc::ZERO,
            number: 0,
            latest_ms: 0,
        }
    }

    fn records(&self) -> Vec<AddressedRecord> {
        self.partition.records_after(Sequence::ZERO)
    }

    /// The verdict of one op, and the time of the version that stands after it.
    fn decide(&mut self, timing: Timing, now_ms: u64, hlc: Hlc) -> (Verdict, Hlc) {
        self.number += 1;
        let map = MapName::new("m").unwrap();
        let proposal = Proposal {
            principal: "ada".into(),
            timing,
            address: MapAddress {
                namespace: Namespace::default(),
                map: map.clone(),
            },
            op: Op {
                id: OpId {
                    run: RunId(if timing == Timing::Server { 1 } else { 2 }),
                    number: self.number,
                },
                hlc,
                map,
                key: key(),
                action: Action::Put {
                    value: Bytes::from_static(b"\x01"),
                    ttl_ms: None,
                },
                base: Hlc::ZERO,
                if_version: None,
                schema: 0,
                ack: None,
            },
            veto: None,
        };
        let batch = ProposalBatch {
            proposals: vec![proposal],
            ..ProposalBatch::default()
        };
        let rules = Rules {
            allowed_drift_ms: DRIFT_MS,
            ..Rules::default()
        };
        let mut decided = self.partition.decide(&batch, now_ms, &rules);
        self.journal.push(decided.effects.encode());
        self.partition.apply(&decided.effects).unwrap();
        let stands = self.records()[0].record.stamp.hlc;
        (decided.outcomes.remove(0).verdict, stands)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Own(now_ms) => {
                let (verdict, issued) = self.decide(Timing::Server, now_ms, Hlc::ZERO);
                assert_eq!(verdict, Verdict::Accepted);
                assert!(issued > self.own, "never again, never back");
                assert!(issued > self.highest, "after everything it holds");
                (self.own, self.highest) = (issued, issued);
                self.latest_ms = self.latest_ms.max(now_ms);
                let bound = Hlc::new(self.latest_ms + DRIFT_MS, u16::MAX);
                let steps = u64::from(LENGTH);
                let most = bound.as_u64() + steps;
                assert!(issued.as_u64() <= most, "{issued} is ahead of any clock");
            }
            Step::Client(now_ms, stamp) => self.client(now_ms, stamp),
            Step::Restart => self.restart(),
            Step::Save => {
                let position = Position(self.journal.len() as u64);
                self.saved = Some((self.partition.save(position), self.records()));
            }
        }
    }

    fn client(&mut self, now_ms: u64, stamp: Hlc) {
        let timing = Timing::Client { offset_ms: 0 };
        let (verdict, stands) = self.decide(timing, now_ms, stamp);
        let accepted = match verdict {
            Verdict::Accepted => stamp,
            Verdict::Restamped(hlc) => {
                // Only behind another op of a run whose own stamps go back.
                let behind = self.highest.next();
                assert!(
                    hlc < stamp.max(behind.next()),
                    "nobody wins by a fast clock"
                );
                hlc
            }
            Verdict::Superseded(_) => {
                assert!(stands >= self.highest);
                return;
            }
            Verdict::Rejected { message, .. } => panic!("{message}"),
        };
        assert_eq!(stands, accepted, "what was accepted stands");
        // The same time again wins by its op's number.
        assert!(accepted >= self.highest, "it has won");
        self.latest_ms = self.latest_ms.max(now_ms);
        let bound = Hlc::new(self.latest_ms + DRIFT_MS, u16::MAX);
        let order = self.highest.next();
        assert!(accepted <= bound.max(order), "{accepted} is ahead");
        self.highest = accepted;
    }

    fn restart(&mut self) {
        let mut partition = Partition::new(config());
        let mut from = Position(0);
        if let Some((state, records)) = &self.saved {
            (partition, from) = Partition::restore(config(), state).unwrap();
            records.iter().for_each(|record| partition.load(record));
        }
        partition.finish_load();
        let from = usize::try_from(from.0).unwrap();
        for batch in &self.journal[from..] {
            let effects = Effects::decode(batch).unwrap();
            partition.apply(&effects).unwrap();
        }
        partition.finish_replay();
        self.partition = partition;
    }
}

#[test]
fn no_short_life_of_a_partition_stamps_back_or_ahead() {
    let lives = each_life(&steps(), LENGTH, |life| {
        let mut owner = Owner::new();
        life.iter().for_each(|step| owner.step(*step));
    });
    assert_eq!(lives, 12_usize.pow(4));
}
