//! Laws that hold for any sequence of batches.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::fixture::{
    World, address, assert_same, confirm, contents, everything, farewell, proposal, put, remove,
};
use crate::op::{Action, Op};
use crate::partition::{ProposalBatch, View};
use crate::protocol::{Selector, Verdict};
use crate::{Hlc, MapName, RunId, Sequence, Stamp};

/// One thing that happens to a partition.
#[derive(Debug, Clone)]
enum Step {
    /// Ops, each of one of four runs: run, map, key, milliseconds, what.
    Push(Vec<(u64, bool, u8, i64, What)>),
    /// The last batch of ops comes again.
    Again,
    Stored(u64, u64),
    Release(u64),
    /// Time goes by, and what is due is done.
    Housekeeping(u64),
    /// The system of record is brought up to date.
    Save,
}

#[derive(Debug, Clone)]
enum What {
    Put(u8),
    PutFor(u8, u64),
    Edit(u8, i64),
    PutIf(u8, i64),
    Remove,
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        4 => (0..3u8).prop_map(What::Put),
        1 => (0..3u8, 0..300u64).prop_map(|(value, ttl)| What::PutFor(value, ttl)),
        1 => (0..3u8, -200..200i64).prop_map(|(value, base)| What::Edit(value, base)),
        1 => (0..3u8, -50..50i64).prop_map(|(value, base)| What::PutIf(value, base)),
        2 => Just(What::Remove),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    // Few keys and few instants, so that versions tie often; some stamps lie far ahead.
    let ms = prop_oneof![8 => -50..50i64, 1 => 100_000..200_000i64];
    let op = (1..5u64, any::<bool>(), 0..12u8, ms, what());
    prop_oneof![
        8 => prop::collection::vec(op, 1..12).prop_map(Step::Push),
        2 => Just(Step::Again),
        1 => (1..5u64, 0..40u64).prop_map(|(run, through)| Step::Stored(run, through)),
        1 => (1..5u64).prop_map(Step::Release),
        2 => (0..200u64).prop_map(Step::Housekeeping),
        1 => Just(Step::Save),
    ]
}

/// Numbers ops as their runs would.
#[derive(Default)]
struct Runs(BTreeMap<u64, u64>);

impl Runs {
    fn op(&mut self, (run, other, name, ms, what): &(u64, bool, u8, i64, What)) -> Op {
        let number = self.0.entry(*run).or_default();
        *number += 1;
        let name = format!("{}/{name}", if name % 2 == 0 { "a" } else { "b" });
        let at = |ms: i64| put(1, 1, ms, "x", 0).hlc;
        let mut op = match what {
            What::Remove => remove(*run, *number, *ms, &name),
            What::Put(value)
            | What::PutFor(value, _)
            | What::Edit(value, _)
            | What::PutIf(value, _) => put(*run, *number, *ms, &name, *value),
        };
        match what {
            What::PutFor(value, ttl) => {
                op.action = Action::Put {
                    value: vec![*value].into(),
                    ttl_ms: Some(*ttl),
                };
            }
            What::Edit(_, base) => op.base = at(*base),
            What::PutIf(_, base) => {
                op.if_version = Some(Stamp {
                    hlc: at(*base),
                    ..op.stamp()
                });
            }
            What::Put(_) | What::Remove => {}
        }
        if *other {
            op.map = MapName::new("other").unwrap();
        }
        op
    }
}

/// Plays steps, and calls `check` after each with what was applied.
fn play(steps: &[Step], mut check: impl FnMut(&World, bool)) -> World {
    let mut world = World::new();
    world.rules.retention_ms = 640;
    let (mut runs, mut last) = (Runs::default(), Vec::new());
    for step in steps {
        let mut save = false;
        let mut batch = ProposalBatch::default();
        match step {
            Step::Push(ops) => {
                last = ops.iter().map(|op| proposal(runs.op(op))).collect();
                batch.proposals.clone_from(&last);
            }
            Step::Again => batch.proposals.clone_from(&last),
            Step::Stored(run, through) => batch.stored.push(confirm(*run, *through)),
            Step::Release(run) => batch.released.push(farewell(*run)),
            Step::Housekeeping(ms) => {
                world.now_ms += ms;
                let effects = world.partition.housekeeping(
                    world.now_ms,
                    &world.rules,
                    world.partition.sequence(),
                );
                world.take(&effects);
            }
            Step::Save => save = true,
        }
        if !batch.is_empty() {
            world.run(&batch);
        }
        check(&world, save);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn replay_from_any_save_gives_the_state_that_was_there(
        steps in prop::collection::vec(step(), 1..30)
    ) {
        let mut saves = Vec::new();
        let world = play(&steps, |world, save| {
            if save || saves.is_empty() {
                saves.push(world.save());
            }
        });
        let newest = contents(&world.partition);
        for mut saved in saves {
            assert_same(&world.restart(&saved), &world.partition);
            // The records may be newer than the state record, never older.
            for each in &mut saved.records {
                let newer = newest
                    .iter()
                    .find(|n| (&n.address, &n.record.key) == (&each.address, &each.record.key));
                if let Some(newer) = newer {
                    each.clone_from(newer);
                }
            }
            assert_same(&world.restart(&saved), &world.partition);
        }
    }

    #[test]
    fn roots_of_views_and_trees_equal_those_computed_anew(
        steps in prop::collection::vec(step(), 1..30)
    ) {
        let prefix = Selector::Prefix("a/".to_owned());
        play(&steps, |world, _| {
            for map in ["m", "other"] {
                for selector in [&Selector::All, &prefix] {
                    let view = world.partition.open_view(&address(map), selector);
                    let sum = contents(&world.partition)
                        .iter()
                        .filter(|each| each.address == address(map))
                        .filter(|each| selector.matches(&each.record.key))
                        .filter_map(|each| crate::DigestKey(5).record(&each.record))
                        .fold(0u128, |sum, entry| sum.wrapping_add(entry.digest));
                    assert_eq!(view.root(), sum);
                }
            }
        });
    }

    #[test]
    fn a_subscriber_that_follows_events_holds_what_the_partition_holds(
        pushes in prop::collection::vec(
            prop::collection::vec((1..5u64, any::<bool>(), 0..12u8, -50..50i64, what()), 1..8),
            1..20,
        )
    ) {
        let mut world = World::new();
        let mut runs = Runs::default();
        let prefix = Selector::Prefix("a/".to_owned());
        let mut views: Vec<View> = [Selector::All, prefix]
            .iter()
            .map(|selector| world.partition.open_view(&address("m"), selector))
            .collect();
        let mut held = vec![BTreeMap::new(); views.len()];
        let mut cursors = vec![Sequence::ZERO; views.len()];
        for ops in &pushes {
            let batch = ProposalBatch {
                proposals: ops.iter().map(|op| proposal(runs.op(op))).collect(),
                ..ProposalBatch::default()
            };
            let before = world.partition.sequence();
            let (decided, applied) = world.run(&batch);
            let accepted = decided
                .effects
                .records()
                .map(|(_, record)| record.sequence)
                .collect::<Vec<_>>();
            let expected: Vec<_> = (1..=accepted.len() as u64)
                .map(|step| Sequence(before.0 + step))
                .collect();
            prop_assert_eq!(accepted, expected, "free of gaps");
            for (at, view) in views.iter_mut().enumerate() {
                let change = view.advance(&world.partition, &decided.effects, &applied);
                let Some(change) = change else { continue };
                prop_assert!(change.from <= cursors[at] && cursors[at] < change.to);
                cursors[at] = change.to;
                for record in change.records {
                    held[at].insert(record.key.clone(), record.clone());
                }
                let truth = world.partition.changes(
                    &address("m"), view.selector(), Sequence::ZERO, Sequence::ZERO, everything(),
                );
                let mut truth = truth.records;
                truth.sort_by(|a, b| a.key.cmp(&b.key));
                prop_assert_eq!(held[at].values().cloned().collect::<Vec<_>>(), truth);
            }
        }
    }

    #[test]
    fn the_outcome_does_not_depend_on_the_order_of_runs_or_on_batching(
        ops in prop::collection::vec((1..5u64, Just(false), 0..6u8, -50..50i64, prop_oneof![
            (0..3u8).prop_map(What::Put), Just(What::Remove),
        ]), 1..24),
        order in Just(vec![1u64, 2, 3, 4]).prop_shuffle(),
        size in 1..7usize,
    ) {
        let mut runs = Runs::default();
        let ops: Vec<Op> = ops.iter().map(|op| runs.op(op)).collect();
        let mut together = World::new();
        together.push(ops.clone());
        let mut apart = World::new();
        let by_run: Vec<Op> = order
            .iter()
            .flat_map(|run| ops.iter().filter(|op| op.id.run == RunId(*run)).cloned())
            .collect();
        for chunk in by_run.chunks(size) {
            apart.push(chunk.to_vec());
        }
        let strip = |world: &World| {
            let mut records = contents(&world.partition);
            for each in &mut records {
                each.record.sequence = Sequence::ZERO;
            }
            records
        };
        prop_assert_eq!(strip(&together), strip(&apart));
    }

    #[test]
    fn every_op_gets_one_verdict_and_keeps_it(
        steps in prop::collection::vec(step(), 1..20)
    ) {
        // Nothing is stored or forgotten here, so an op pushed again is answered as before.
        let steps: Vec<Step> = steps
            .into_iter()
            .filter(|step| matches!(step, Step::Push(_) | Step::Housekeeping(_)))
            .collect();
        let mut runs = Runs::default();
        let mut world = World::new();
        let mut given: Vec<(Op, Verdict)> = Vec::new();
        for step in &steps {
            match step {
                Step::Push(ops) => {
                    let ops: Vec<Op> = ops.iter().map(|op| runs.op(op)).collect();
                    let verdicts = world.push(ops.clone());
                    given.extend(ops.into_iter().zip(verdicts));
                }
                Step::Housekeeping(ms) => world.now_ms += ms,
                _ => {}
            }
        }
        for (op, verdict) in given {
            prop_assert_eq!(world.push_one(op.clone()), verdict.clone());
            if let Verdict::Restamped(hlc) = verdict {
                prop_assert!(hlc < op.hlc);
                prop_assert!(hlc > Hlc::ZERO);
            }
        }
    }
}
