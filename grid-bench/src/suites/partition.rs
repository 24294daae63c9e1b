//! What one core puts through a partition: from a client's frame to the event for subscribers,
//! with the journal in memory.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use grid_core::codec::CborCodec;
use grid_core::partition::{
    Partition, PartitionConfig, Proposal, ProposalBatch, Rules, TableSeed, Timing, View,
};
use grid_core::protocol::{
    Delta, DeltaMode, Message, Selector, Verdict, ViewId, read_frame, write_frame,
};
use grid_core::traits::CodecLimits;
use grid_core::{
    DigestKey, Error, ErrorKind, History, MapAddress, Namespace, PartitionId, Result, Sequence,
};

use super::sample::{BATCH, START_MS, address, frame, push};
use crate::clock::Laps;
use crate::figure::{Better, Figure};

const ENTRIES: u32 = 1_000_000;
/// A few milliseconds of work, so that on a busy machine some rounds are not interrupted.
const FRAMES_PER_ROUND: u32 = 100;
/// Of these the quickest counts.
const ROUNDS: u32 = 100;

/// Measures every case.
pub(super) fn measure() -> Result<Vec<Figure>> {
    let mut bench = Bench::new(ENTRIES)?;
    let rounds = (0..ROUNDS)
        .map(|_| bench.round(FRAMES_PER_ROUND))
        .collect::<Result<Vec<Steps>>>()?;
    let ops = f64::from(FRAMES_PER_ROUND * BATCH);
    let quickest = |time: fn(&Steps) -> Duration| {
        let quickest = rounds.iter().map(time).min().unwrap_or_default();
        quickest.as_secs_f64()
    };
    let step = |case, time| Figure {
        suite: "partition",
        case,
        metric: "ns",
        value: quickest(time) * 1e9 / ops,
        unit: "ns",
        better: Better::Lower,
        target: None,
        limit: None,
    };
    Ok(vec![
        Figure {
            suite: "partition",
            case: "apply",
            metric: "ops_per_s",
            value: ops / quickest(Steps::sum),
            unit: "/s",
            better: Better::Higher,
            target: Some(1_500_000.0),
            // From memory's latency, as a prototype met it.
            limit: Some(2_700_000.0),
        },
        step("step_decode", |steps| steps.decode),
        step("step_decide", |steps| steps.decide),
        step("step_journal", |steps| steps.journal),
        step("step_apply", |steps| steps.apply),
        step("step_event", |steps| steps.event),
    ])
}

/// Where the time of a round went.
#[derive(Debug, Default)]
struct Steps {
    decode: Duration,
    decide: Duration,
    journal: Duration,
    apply: Duration,
    event: Duration,
}

impl Steps {
    fn sum(&self) -> Duration {
        self.decode + self.decide + self.journal + self.apply + self.event
    }
}

/// A full partition, a subscriber's view of it, and a client that overwrites entries at random.
#[derive(Debug)]
struct Bench {
    entries: u32,
    partition: Partition,
    address: MapAddress,
    view: View,
    rules: Rules,
    limits: CodecLimits,
    principal: Arc<str>,
    /// The number of the client's last op.
    pushed: u64,
    chance: u32,
}

impl Bench {
    fn new(entries: u32) -> Result<Self> {
        let address = address()?;
        let partition = Partition::new(PartitionConfig {
            id: PartitionId(0),
            history: History(1),
            digest_key: DigestKey(2),
            seed: TableSeed(3, 4),
        });
        let mut bench = Self {
            entries,
            view: partition.open_view(&address, &Selector::All),
            partition,
            address,
            rules: Rules::default(),
            limits: CodecLimits::default(),
            principal: "client".into(),
            pushed: 0,
            chance: 0x9e37_79b9,
        };
        bench.fill()?;
        Ok(bench)
    }

    /// Writes every entry once.
    fn fill(&mut self) -> Result<()> {
        for first in (0..self.entries).step_by(BATCH as usize) {
            let entries = first..self.entries.min(first + BATCH);
            let frame = self.frame_of(entries)?;
            let batch = self.decode(frame)?;
            let decided = self.partition.decide(&batch, self.now_ms(), &self.rules);
            self.partition.apply(&decided.effects)?;
        }
        self.view = self.partition.open_view(&self.address, &Selector::All);
        Ok(())
    }

    /// Takes `frames` frames through all steps. Making them is not timed.
    fn round(&mut self, frames: u32) -> Result<Steps> {
        let frames: Vec<Bytes> = (0..frames)
            .map(|_| self.next_frame())
            .collect::<Result<_>>()?;
        let mut steps = Steps::default();
        let mut journal = Vec::with_capacity(frames.len());
        let mut event = BytesMut::new();
        let mut laps = Laps::start();
        for frame in frames {
            let batch = self.decode(frame)?;
            laps.add_to(&mut steps.decode);
            let decided = self.partition.decide(&batch, self.now_ms(), &self.rules);
            laps.add_to(&mut steps.decide);
            journal.push(decided.effects.encode());
            laps.add_to(&mut steps.journal);
            let applied = self.partition.apply(&decided.effects)?;
            laps.add_to(&mut steps.apply);
            let change = self
                .view
                .advance(&self.partition, &decided.effects, &applied);
            let delta = Message::Delta(Delta {
                view: ViewId(1),
                partition: self.partition.id(),
                mode: DeltaMode::Changes,
                continued: false,
                from: change.as_ref().map_or(Sequence::ZERO, |change| change.from),
                to: self.partition.sequence(),
                records: change.map_or_else(Vec::new, |change| {
                    change.records.into_iter().cloned().collect()
                }),
                root: Some(self.view.root()),
            });
            event.clear();
            write_frame(&CborCodec, &delta, &mut event)?;
            laps.add_to(&mut steps.event);
            if decided
                .outcomes
                .iter()
                .any(|each| each.verdict != Verdict::Accepted)
            {
                return Err(unexpected("an op was not accepted"));
            }
        }
        black_box((journal, event));
        Ok(steps)
    }

    /// The frame of the client's next push, for entries at random.
    fn next_frame(&mut self) -> Result<Bytes> {
        let entries: Vec<u32> = (0..BATCH).map(|_| self.random_entry()).collect();
        self.frame_of(entries)
    }

    fn frame_of(&mut self, entries: impl IntoIterator<Item = u32>) -> Result<Bytes> {
        let previous = self.pushed;
        let entries = entries.into_iter().inspect(|_| self.pushed += 1);
        frame(&push(previous, entries)?)
    }

    fn decode(&self, frame: Bytes) -> Result<ProposalBatch> {
        let Message::Push(push) = read_frame(&CborCodec, frame, &self.limits)? else {
            return Err(unexpected("a push became another message"));
        };
        let proposals = push
            .ops
            .into_iter()
            .map(|op| Proposal {
                principal: self.principal.clone(),
                timing: Timing::Client { offset_ms: 0 },
                address: MapAddress {
                    namespace: Namespace::clone(&self.address.namespace),
                    map: op.map.clone(),
                },
                op,
                veto: None,
            })
            .collect();
        Ok(ProposalBatch {
            proposals,
            ..ProposalBatch::default()
        })
    }

    fn now_ms(&self) -> u64 {
        START_MS + self.pushed
    }

    /// Marsaglia's xorshift, so that every run writes the same entries.
    fn random_entry(&mut self) -> u32 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 17;
        self.chance ^= self.chance << 5;
        self.chance % self.entries
    }
}

fn unexpected(message: &str) -> Error {
    Error::new(ErrorKind::Internal, "measure partition", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_timed_overwrites_entries_and_keeps_the_view_level() {
        let mut bench = Bench::new(1_000).expect("a partition");
        let before = bench.view.root();
        let steps = bench.round(10).expect("ten frames");
        assert_eq!(bench.partition.live(&bench.address), 1_000);
        assert_eq!(bench.partition.sequence().0, u64::from(1_000 + 10 * BATCH));
        assert_ne!(bench.view.root(), before);
        let fresh = bench.partition.open_view(&bench.address, &Selector::All);
        assert_eq!(bench.view.root(), fresh.root());
        assert!(steps.decide > Duration::ZERO && steps.sum() > steps.decide);
    }
}
