//! The server's state machine, with clients that propose anything.

use std::collections::BTreeMap;

use bytes::Bytes;
use grid_core::op::RunId;
use grid_core::partition::{
    Budget, Confirmation, Decided, Effects, Farewell, Partition, PartitionConfig, Proposal,
    ProposalBatch, Rules, TableSeed, Timing, Veto, View,
};
use grid_core::protocol::{RejectReason, Selector, Verdict};
use grid_core::traits::{AddressedRecord, Position, StateRecord};
use grid_core::{DigestKey, History, MapAddress, MapName, Namespace, OpId, PartitionId, Sequence};

use crate::conversation::{self, NOW_MS};
use crate::script::Script;
use crate::target::{Seed, Target};

pub(super) const TARGET: Target = Target {
    name: "partition",
    promise: "every op gets one verdict and keeps it, sequences have no gaps, roots are true, and \
              replaying the journal gives the same state",
    run,
    seeds,
};

/// Most batches in one input.
const MOST_STEPS: usize = 60;
const EVERYTHING: Budget = Budget {
    records: usize::MAX,
    bytes: usize::MAX,
};
const DRIFT_MS: u64 = 5_000;

struct World {
    partition: Partition,
    journal: Vec<Bytes>,
    /// What a system of record held at some time: state, records, and how long the journal was.
    saved: Option<(StateRecord, Vec<AddressedRecord>)>,
    view: View,
    rules: Rules,
    now_ms: u64,
    /// The highest wall clock there was.
    latest_ms: u64,
    /// Whose runs are, and what became of their ops.
    verdicts: BTreeMap<OpId, Verdict>,
    last: ProposalBatch,
}

fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = World::new();
    for _ in 0..MOST_STEPS {
        if script.is_over() {
            break;
        }
        world.step(&mut script);
    }
    world.restart();
}

fn config() -> PartitionConfig {
    PartitionConfig {
        id: PartitionId(3),
        history: History(1),
        digest_key: DigestKey(5),
        seed: TableSeed(1, 2),
    }
}

fn address(name: &str) -> MapAddress {
    MapAddress {
        namespace: Namespace::default(),
        map: MapName::new(name).expect("a good name"),
    }
}

impl World {
    fn new() -> Self {
        let partition = Partition::new(config());
        let view = partition.open_view(&address("m"), &Selector::Prefix("a".to_owned()));
        Self {
            partition,
            journal: Vec::new(),
            saved: None,
            view,
            rules: Rules {
                allowed_drift_ms: DRIFT_MS,
                retention_ms: 60_000,
                resolver: None,
            },
            now_ms: NOW_MS,
            latest_ms: NOW_MS,
            verdicts: BTreeMap::new(),
            last: ProposalBatch::default(),
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(12) {
            0..=5 => {
                let batch = batch(script);
                self.decide(&batch);
                self.last = batch;
            }
            6 => {
                let again = self.last.clone();
                self.decide(&again);
            }
            7 => {
                self.now_ms += u64::from(script.short());
                self.latest_ms = self.latest_ms.max(self.now_ms);
                let stored = Sequence(self.partition.sequence().0 >> script.below(2));
                let partition = &self.partition;
                let effects = partition.housekeeping(self.now_ms, &self.rules, stored);
                // What is forgotten may be decided anew.
                self.verdicts.clear();
                self.take(&effects);
            }
            8 => self.now_ms = self.now_ms.saturating_sub(u64::from(script.short())),
            9 => self.save(),
            10 => self.restart(),
            _ => self.read(script),
        }
    }

    fn decide(&mut self, batch: &ProposalBatch) {
        let before = self.partition.sequence();
        let decided = self.partition.decide(batch, self.now_ms, &self.rules);
        let again = self.partition.decide(batch, self.now_ms, &self.rules);
        assert_eq!(decided, again, "deciding changes nothing");
        assert_eq!(self.partition.sequence(), before);
        self.check_verdicts(batch, &decided);
        self.take(&decided.effects);
    }

    fn check_verdicts(&mut self, batch: &ProposalBatch, decided: &Decided) {
        assert_eq!(decided.outcomes.len(), batch.proposals.len());
        for (proposal, outcome) in batch.proposals.iter().zip(&decided.outcomes) {
            let verdict = &outcome.verdict;
            if let Verdict::Restamped(hlc) = verdict {
                // A run keeps its order, even behind what a wall clock allowed that went back.
                let bound = self.latest_ms + DRIFT_MS + 1;
                assert!(hlc.millis() <= bound || *hlc < proposal.op.hlc, "{hlc}");
            }
            if matches!(
                verdict,
                Verdict::Rejected {
                    reason: RejectReason::ForeignRun,
                    ..
                }
            ) {
                continue;
            }
            // An op below the highest that was decided counts as decided, whatever it was.
            let id = proposal.op.id;
            if let Some(known) = self.verdicts.insert(id, verdict.clone()) {
                assert_eq!(*verdict, known, "{id} is decided once");
            }
        }
        for said in &batch.stored {
            // The server may forget what the client says that it has stored, even of this batch.
            self.verdicts.retain(|op, _| op.run != said.run);
        }
    }

    fn take(&mut self, effects: &Effects) {
        let bytes = effects.encode();
        let read = Effects::decode(&bytes).expect("what was just written");
        assert_eq!(read, *effects);
        let mut next = self.partition.sequence();
        for (_, record) in effects.records() {
            next = next.next();
            assert_eq!(record.sequence, next, "no gaps");
        }
        let applied = self.partition.apply(effects).expect("it follows");
        assert_eq!(self.partition.sequence(), next);
        if effects.records().len() > 0 {
            let twice = self.partition.apply(effects);
            assert!(twice.is_err(), "no batch takes effect twice");
        }
        self.journal.push(bytes);
        self.view.advance(&self.partition, effects, &applied);
        let opened = self
            .partition
            .open_view(self.view.address(), self.view.selector());
        assert_eq!(
            self.view.root(),
            opened.root(),
            "a root that follows is true"
        );
    }

    fn records(&self) -> Vec<AddressedRecord> {
        self.partition.records_after(Sequence::ZERO)
    }

    fn save(&mut self) {
        let position = Position(self.journal.len() as u64);
        self.saved = Some((self.partition.save(position), self.records()));
    }

    /// The process dies and is started again.
    fn restart(&mut self) {
        let mut partition = Partition::new(config());
        let mut position = Position(0);
        if let Some((state, records)) = &self.saved {
            let restored = Partition::restore(config(), state);
            (partition, position) = restored.expect("what was saved");
            records.iter().for_each(|record| partition.load(record));
        }
        partition.finish_load();
        let from = usize::try_from(position.0).expect("a short journal");
        for batch in &self.journal[from..] {
            let effects = Effects::decode(batch).expect("what was journalled");
            partition.apply(&effects).expect("it follows");
        }
        partition.finish_replay();
        assert_eq!(
            partition.save(Position(0)),
            self.partition.save(Position(0))
        );
        let before = self.records();
        self.partition = partition;
        assert_eq!(self.records(), before);
        let opened = self
            .partition
            .open_view(self.view.address(), self.view.selector());
        assert_eq!(self.view.root(), opened.root());
    }

    /// Reading in pieces gives what reading at once gives.
    fn read(&self, script: &mut Script<'_>) {
        let map = address("m");
        let selector = conversation::selector(script);
        let after = Sequence(self.partition.sequence().0 >> script.below(4));
        let whole = self
            .partition
            .changes(&map, &selector, after, after, EVERYTHING);
        assert!(whole.complete);
        let piece = Budget {
            records: 1 + usize::from(script.below(3)),
            bytes: 1 + usize::from(script.below(64)),
        };
        let (mut read, mut through) = (Vec::new(), after);
        loop {
            let next = self
                .partition
                .changes(&map, &selector, through, after, piece);
            read.extend(next.records);
            if next.complete {
                break;
            }
            assert!(next.through > through, "every piece gets further");
            through = next.through;
        }
        assert_eq!(read, whole.records);
        let page = self.partition.page(&map, &selector, None, EVERYTHING);
        let keys: Vec<_> = page.records.iter().map(|record| &record.key).collect();
        assert!(keys.is_sorted() && keys.iter().all(|key| selector.matches(key)));
        for record in &page.records {
            assert_eq!(self.partition.get(&map, &record.key).as_ref(), Some(record));
        }
    }
}

fn principal(script: &mut Script<'_>) -> &'static str {
    if script.rarely(8) { "bob" } else { "ada" }
}

fn batch(script: &mut Script<'_>) -> ProposalBatch {
    ProposalBatch {
        proposals: script.list(8, proposal),
        stored: script.list(2, |script| Confirmation {
            run: RunId(script.below(4).into()),
            principal: principal(script).into(),
            through: script.number(),
        }),
        released: script.list(1, |script| Farewell {
            run: RunId(script.below(4).into()),
            principal: principal(script).into(),
        }),
    }
}

fn proposal(script: &mut Script<'_>) -> Proposal {
    let run = RunId(1 + u64::from(script.below(3)));
    let number = 1 + script.number() % (u64::MAX - 1);
    let op = conversation::op(script, run, number);
    Proposal {
        principal: principal(script).into(),
        timing: match script.below(8) {
            0 => Timing::Server,
            1 => Timing::Client {
                offset_ms: script.number().cast_signed(),
            },
            _ => Timing::Client { offset_ms: 0 },
        },
        address: MapAddress {
            namespace: Namespace::default(),
            map: op.map.clone(),
        },
        op,
        veto: script.rarely(16).then(|| Veto {
            reason: RejectReason::Forbidden,
            message: "no".to_owned(),
        }),
    }
}

fn seeds() -> Vec<Seed> {
    let seed = |number: u16| {
        let bytes = (0..500_u16).map(|place| (place.wrapping_mul(57) ^ number).to_le_bytes()[0]);
        Seed::new(format!("life-{number}"), bytes.collect::<Vec<_>>())
    };
    [1, 5, 9, 64, 127, 200].map(seed).to_vec()
}
