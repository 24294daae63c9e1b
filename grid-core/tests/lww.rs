//! The laws of merging, over domains so small that ties are the rule, and the convergence of
//! replicas whatever happens on the way.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::cmp::Ordering;

use bytes::Bytes;
use common::random::Random;
use grid_core::lww_map::merge;
use grid_core::traits::{LastWriterWins, Resolution, Resolver};
use grid_core::{Hlc, Key, LwwMap, OpId, Record, RunId, Sequence, Stamp};
use proptest::prelude::*;

/// A version from small numbers: most pairs of stamps tie in one part or in all.
fn version(
    key: u8,
    (hlc, run, number): (u64, u64, u64),
    value: Option<u8>,
    expiry: Option<u64>,
) -> Record {
    Record {
        key: Key::new(&format!("k{key}")).unwrap(),
        value: value.map(|value| Bytes::from(vec![value])),
        stamp: Stamp {
            hlc: Hlc::from_u64(hlc),
            op: OpId {
                run: RunId(run),
                number,
            },
        },
        sequence: Sequence::ZERO,
        expires_at_ms: expiry,
    }
}

/// Every version of one key in a domain of two values for each part.
fn domain() -> Vec<Record> {
    let mut all = Vec::new();
    for stamp in 0..8_u64 {
        for value in [None, Some(1), Some(2)] {
            for expiry in [None, Some(5)] {
                let stamp = (stamp >> 2, stamp >> 1 & 1, stamp & 1);
                all.push(version(0, stamp, value, expiry));
            }
        }
    }
    all
}

fn join(resolver: &dyn Resolver, left: &Record, right: &Record) -> Record {
    merge(resolver, Some(left), right).unwrap_or_else(|| left.clone())
}

/// The first law that `resolver` breaks on `domain`.
fn broken_law(resolver: &dyn Resolver, domain: &[Record]) -> Option<&'static str> {
    for a in domain {
        if merge(resolver, Some(a), a).is_some() {
            return Some("idempotence");
        }
        for b in domain {
            let ab = join(resolver, a, b);
            if ab != join(resolver, b, a) {
                return Some("commutativity");
            }
            // Monotone: what went in is included in what came out.
            if join(resolver, &ab, a) != ab || join(resolver, &ab, b) != ab {
                return Some("monotonicity");
            }
            for c in domain {
                if join(resolver, &ab, c) != join(resolver, a, &join(resolver, b, c)) {
                    return Some("associativity");
                }
            }
        }
    }
    None
}

/// The wrong rule that the order of a merge guards against: stamps alone decide.
#[derive(Debug)]
struct StopsAtTheStamp;

impl Resolver for StopsAtTheStamp {
    fn name(&self) -> &'static str {
        "stops-at-the-stamp"
    }

    fn resolve(&self, current: &Record, incoming: &Record) -> Resolution {
        if incoming.stamp > current.stamp {
            Resolution::TakeIncoming
        } else {
            Resolution::KeepCurrent
        }
    }
}

/// A lawful rule that combines: the union of the bits of both values.
#[derive(Debug)]
struct Union;

impl Resolver for Union {
    fn name(&self) -> &'static str {
        "union"
    }

    fn resolve(&self, current: &Record, incoming: &Record) -> Resolution {
        let bits = |record: &Record| record.value.as_ref().map_or(0, |value| value[0]);
        let union = bits(current) | bits(incoming);
        Resolution::Combine((union != 0).then(|| Bytes::from(vec![union])))
    }
}

/// A rule that makes up its mind by who came last.
#[derive(Debug)]
struct ArrivalOrder;

impl Resolver for ArrivalOrder {
    fn name(&self) -> &'static str {
        "arrival-order"
    }

    fn resolve(&self, current: &Record, incoming: &Record) -> Resolution {
        if current == incoming {
            Resolution::KeepCurrent
        } else {
            Resolution::TakeIncoming
        }
    }
}

#[test]
fn last_writer_wins_keeps_every_law_on_every_tie() {
    assert_eq!(broken_law(&LastWriterWins, &domain()), None);
}

#[test]
fn a_rule_that_combines_keeps_every_law_with_its_stamps_and_expiries() {
    assert_eq!(broken_law(&Union, &domain()), None);
}

#[test]
fn the_laws_are_seen_to_break() {
    assert_eq!(
        broken_law(&StopsAtTheStamp, &domain()),
        Some("commutativity")
    );
    assert_eq!(broken_law(&ArrivalOrder, &domain()), Some("commutativity"));
}

#[test]
fn the_order_of_a_merge_is_total_and_in_the_promised_sequence_of_parts() {
    let domain = domain();
    for a in &domain {
        for b in &domain {
            let order = a.merge_order(b);
            assert_eq!(order, b.merge_order(a).reverse());
            assert_eq!(order == Ordering::Equal, a == b, "{a:?} {b:?}");
            let parts = |r: &Record| {
                let stamp = (r.stamp.hlc, r.stamp.op.run, r.stamp.op.number);
                (stamp, r.value.is_none(), r.value.clone(), r.expires_at_ms)
            };
            assert_eq!(order, parts(a).cmp(&parts(b)));
        }
    }
}

fn a_version() -> impl Strategy<Value = Record> {
    let stamp = (0_u64..3, 0_u64..2, 0_u64..2);
    let value = prop::option::of(1_u8..3);
    let expiry = prop::option::of(0_u64..2);
    (0_u8..3, stamp, value, expiry)
        .prop_map(|(key, stamp, value, expiry)| version(key, stamp, value, expiry))
}

fn a_map() -> impl Strategy<Value = LwwMap> {
    prop::collection::vec(a_version(), 0..6).prop_map(|versions| versions.into_iter().collect())
}

fn joined(left: &LwwMap, right: &LwwMap) -> LwwMap {
    let mut joined = left.clone();
    joined.join(right);
    joined
}

proptest! {
    #[test]
    fn joins_of_maps_keep_the_laws(a in a_map(), b in a_map(), c in a_map()) {
        prop_assert_eq!(joined(&a, &b), joined(&b, &a));
        prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
        prop_assert_eq!(&joined(&a, &a), &a);
        let ab = joined(&a, &b);
        prop_assert_eq!(&joined(&ab, &a), &ab);
        for record in a.records().chain(b.records()) {
            let kept = ab.records().find(|kept| kept.key == record.key).unwrap();
            prop_assert!(kept.merge_order(record) != Ordering::Less);
        }
    }

    /// The delta of a join is all that is needed to make the same step elsewhere, and no more.
    #[test]
    fn a_delta_does_what_the_whole_does(a in a_map(), b in a_map()) {
        let mut stepped = a.clone();
        let delta = stepped.join(&b);
        prop_assert_eq!(&joined(&a, &delta), &stepped);
        prop_assert_eq!(&delta, &b.delta_for(&LastWriterWins, &a));
        for record in delta.records() {
            prop_assert!(a.records().all(|had| had != record));
        }
        prop_assert_eq!(stepped.clone().join(&b).len(), 0);
        prop_assert!(b.delta_for(&LastWriterWins, &stepped).is_empty());
    }

    /// With a rule that combines, too, a delta holds records as they are after the join, so that
    /// whoever gets them gets both sides.
    #[test]
    fn a_delta_of_a_combining_join_is_the_outcome(a in a_map(), b in a_map()) {
        let mut stepped = a.clone();
        let delta = stepped.join_with(&Union, &b);
        for record in delta.records() {
            prop_assert!(stepped.records().any(|now| now == record));
        }
        let mut passed_on = LwwMap::new();
        passed_on.join_with(&Union, &a);
        passed_on.join_with(&Union, &delta);
        prop_assert_eq!(passed_on, stepped);
    }

    /// One write at a time is the same as all at once, in any order.
    #[test]
    fn order_and_repetition_do_not_matter(
        versions in prop::collection::vec(a_version(), 0..12),
        seed in any::<u64>(),
    ) {
        let expected: LwwMap = versions.iter().cloned().collect();
        let mut random = Random::new(seed);
        let mut again = versions.clone();
        again.extend(versions);
        random.shuffle(&mut again);
        let mut map = LwwMap::new();
        for record in again {
            let before = map.clone();
            let changed = map.merge(record);
            prop_assert_eq!(changed, map != before);
        }
        prop_assert_eq!(map, expected);
    }

    #[test]
    fn replicas_converge_after_loss_duplication_and_reordering(
        versions in prop::collection::vec(a_version(), 1..16),
        replicas in 2_usize..6,
        loss_percent in 0_usize..100,
        seed in any::<u64>(),
    ) {
        let expected: LwwMap = versions.iter().cloned().collect();
        let states = replicate(&LastWriterWins, &versions, replicas, loss_percent, seed);
        for state in states {
            prop_assert_eq!(&state, &expected);
        }
    }

    /// The same with a rule that combines, where the outcome is no single version.
    #[test]
    fn combining_replicas_converge_too(
        versions in prop::collection::vec(a_version(), 1..16),
        replicas in 2_usize..6,
        seed in any::<u64>(),
    ) {
        let mut expected = LwwMap::new();
        for record in versions.iter().cloned() {
            expected.merge_with(&Union, record);
        }
        for state in replicate(&Union, &versions, replicas, 50, seed) {
            prop_assert_eq!(&state, &expected);
        }
    }

    /// A sequence is a server's numbering: it decides nothing and makes no replica differ.
    #[test]
    fn sequences_have_no_part_in_a_merge(a in a_version(), b in a_version(), s in 0_u64..3) {
        let plain: LwwMap = [a.clone(), b.clone()].into_iter().collect();
        let numbered = [
            Record { sequence: Sequence(s), ..a },
            Record { sequence: Sequence(2 - s), ..b },
        ];
        prop_assert_eq!(plain, numbered.into_iter().rev().collect::<LwwMap>());
    }

    #[test]
    fn a_due_entry_is_hidden_and_its_tombstone_beats_exactly_that_version(
        entry in a_version(),
        later in a_version(),
        now in 0_u64..3,
    ) {
        let entry = Record { key: later.key.clone(), ..entry };
        let due = entry.value.is_some() && entry.expires_at_ms.is_some_and(|at| at <= now);
        let mut map: LwwMap = [entry.clone()].into_iter().collect();
        prop_assert_eq!(map.get(&entry.key, now).is_some(), entry.value.is_some() && !due);
        prop_assert_eq!(map.live(now).count(), usize::from(entry.value.is_some() && !due));

        let delta = map.expire(now);
        prop_assert_eq!(delta.len(), usize::from(due));
        if due {
            let tombstone = delta.records().next().unwrap();
            prop_assert_eq!(tombstone.stamp, entry.stamp);
            prop_assert!(tombstone.is_tombstone());
            // The version itself, should it come again, stays dead …
            prop_assert!(!map.clone().merge(entry.clone()));
            // … and of others exactly those with a later stamp revive the key.
            let mut revived = map.clone();
            revived.merge(Record { expires_at_ms: None, ..later.clone() });
            let lives = later.stamp > entry.stamp && later.value.is_some();
            prop_assert_eq!(revived.get(&entry.key, now).is_some(), lives);
            prop_assert!(map.expire(now).is_empty(), "expired once");
        }
    }
}

/// Lets every version be written at one replica, spread deltas with loss, duplication and
/// reordering, then repairs: each replica gets from its neighbour what it lacks, round the ring
/// and back. Returns the final states.
fn replicate(
    resolver: &dyn Resolver,
    versions: &[Record],
    replicas: usize,
    loss_percent: usize,
    seed: u64,
) -> Vec<LwwMap> {
    let mut random = Random::new(seed);
    let mut states = vec![LwwMap::new(); replicas];
    let mut in_flight: Vec<(usize, LwwMap)> = Vec::new();
    for record in versions {
        let at = random.below(replicas);
        let mut delta = LwwMap::new();
        delta.merge_with(resolver, record.clone());
        states[at].join_with(resolver, &delta);
        for to in (0..replicas).filter(|to| *to != at) {
            for _ in 0..=random.below(2) {
                in_flight.push((to, delta.clone()));
            }
        }
        // Some deltas arrive between writes, and what they changed is passed on.
        if random.below(2) == 0 && !in_flight.is_empty() {
            let (to, delta) = in_flight.swap_remove(random.below(in_flight.len()));
            let news = states[to].join_with(resolver, &delta);
            in_flight.push((random.below(replicas), news));
        }
    }
    random.shuffle(&mut in_flight);
    for (to, delta) in in_flight {
        if random.below(100) >= loss_percent {
            states[to].join_with(resolver, &delta);
        }
    }
    for step in 0..2 * replicas {
        let (from, to) = (step % replicas, (step + 1) % replicas);
        let delta = states[from].delta_for(resolver, &states[to]);
        states[to].join_with(resolver, &delta);
    }
    states
}

#[test]
fn an_older_put_does_not_bring_a_removed_key_back() {
    let key = Key::new("k0").unwrap();
    let mut map = LwwMap::new();
    map.merge(version(0, (1, 1, 1), Some(1), None));
    map.merge(version(0, (3, 1, 2), None, None));
    assert!(!map.merge(version(0, (2, 9, 9), Some(2), None)));
    assert_eq!(map.get(&key, 0), None);
    assert_eq!(map.len(), 1, "the tombstone stays");
    assert!(map.merge(version(0, (4, 1, 3), Some(3), None)));
    assert_eq!(map.live(0).count(), 1);
}
