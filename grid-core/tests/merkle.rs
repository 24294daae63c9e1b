//! Merkle trees kept step by step equal those built at once, and a descent finds exactly what
//! differs while it asks only for branches that differ.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;

use common::descent::{Run, compare};
use common::random::Random;
use grid_core::merkle::{MAX_LEAF_BITS, MerkleTree};
use grid_core::protocol::RepairStep;
use grid_core::{DigestKey, EntryDigest, Hlc, OpId, RunId, Stamp};
use proptest::prelude::*;

const KEY: DigestKey = DigestKey(0x5EED);

fn entry(key: u32, version: u64) -> EntryDigest {
    let stamp = Stamp {
        hlc: Hlc::from_u64(version),
        op: OpId {
            run: RunId(1),
            number: version,
        },
    };
    KEY.entry(format!("key-{key}").as_bytes(), &stamp, b"value")
}

/// Asserts that `tree` is what its entries make, at every node of every level.
fn assert_as_rebuilt(tree: &MerkleTree, entries: &BTreeMap<u32, EntryDigest>) {
    let rebuilt = MerkleTree::build(tree.bits(), entries.values().copied());
    assert_eq!(tree, &rebuilt);
    let root = entries
        .values()
        .fold(0_u128, |sum, entry| sum.wrapping_add(entry.digest));
    assert_eq!(tree.root(), root);
    assert_eq!(tree.len(), entries.len());
    // Each level, from the definition: the sum of the entries whose hash starts with the index.
    for level in 1..=tree.depth() {
        let width = u32::from(tree.bits().min(level * 4));
        let mut sums = vec![0_u64; 1 << width];
        for entry in entries.values() {
            let index = usize::try_from(entry.key_hash >> (64 - width)).unwrap();
            sums[index] = sums[index].wrapping_add(entry.short());
        }
        assert_eq!(tree.level(level), Some(&*sums), "level {level}");
    }
    assert_eq!(tree.level(0), None);
    assert_eq!(tree.level(tree.depth() + 1), None);
}

/// Applies a put (a version) or a remove (`None`) to a tree and to the plain map beside it.
fn apply(
    tree: &mut MerkleTree,
    entries: &mut BTreeMap<u32, EntryDigest>,
    key: u32,
    version: Option<u64>,
) {
    let old = entries.remove(&key);
    match (old, version.map(|version| entry(key, version))) {
        (None, None) => {}
        (None, Some(new)) => tree.insert(new),
        (Some(old), None) => tree.remove(old),
        (Some(old), Some(new)) => tree.replace(old, new),
    }
    if let Some(version) = version {
        entries.insert(key, entry(key, version));
    }
    if tree.wants_rebuild() {
        tree.rebuild(entries.values().copied());
        assert!(!tree.wants_rebuild(), "a rebuilt tree is content");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Few keys and versions, so that the same digest comes and goes many times.
    #[test]
    fn incremental_is_rebuilt_after_every_step(
        start in prop_oneof![Just(0_u32), Just(120), Just(250), Just(4_090)],
        steps in prop::collection::vec((0_u32..24, prop::option::of(0_u64..3)), 1..40),
    ) {
        let mut tree = MerkleTree::new();
        let mut entries = BTreeMap::new();
        for key in 100..100 + start {
            apply(&mut tree, &mut entries, key, Some(0));
        }
        for (key, version) in steps {
            apply(&mut tree, &mut entries, key, version);
            assert_as_rebuilt(&tree, &entries);
        }
    }

    /// A descent between two small sets finds exactly the entries that differ.
    #[test]
    fn a_descent_finds_exactly_the_difference(
        common in prop_oneof![Just(0_u32), Just(200), Just(300), Just(5_000)],
        ours in prop::collection::btree_map(0_u32..40, 0_u64..2, 0..40),
        theirs in prop::collection::btree_map(0_u32..40, 0_u64..2, 0..40),
    ) {
        let set = |own: &BTreeMap<u32, u64>| -> Vec<EntryDigest> {
            own.iter()
                .map(|(key, version)| entry(*key, *version))
                .chain((1_000..1_000 + common).map(|key| entry(key, 0)))
                .collect()
        };
        assert_found(&set(&ours), &set(&theirs));
    }
}

/// Runs a descent and checks its outcome against a plain comparison of the two sets.
fn assert_found(ours: &[EntryDigest], theirs: &[EntryDigest]) -> Run {
    let by_hash = |set: &[EntryDigest]| -> BTreeMap<u64, u64> {
        set.iter()
            .map(|entry| (entry.key_hash, entry.short()))
            .collect()
    };
    let run = compare(ours, theirs);
    let (ours, theirs) = (by_hash(ours), by_hash(theirs));
    let fetch: Vec<u64> = theirs
        .iter()
        .filter(|(hash, digest)| ours.get(hash) != Some(digest))
        .map(|(hash, _)| *hash)
        .collect();
    let remove: Vec<(u64, u64)> = ours
        .iter()
        .filter(|(hash, _)| !theirs.contains_key(hash))
        .map(|(hash, digest)| (*hash, *digest))
        .collect();
    let difference = run.difference.as_ref().expect("no snapshot was asked for");
    assert_eq!(difference.fetch, fetch);
    assert_eq!(difference.remove, remove);
    run
}

#[test]
fn growing_and_shrinking_keep_the_tree_right_and_cost_little() {
    let mut tree = MerkleTree::new();
    let mut entries = BTreeMap::new();
    let mut rebuilt = 0;
    let mut shapes = vec![0];
    let mut step =
        |tree: &mut MerkleTree, entries: &mut BTreeMap<u32, EntryDigest>, key, version| {
            let bits = tree.bits();
            apply(tree, entries, key, version);
            if tree.bits() != bits {
                rebuilt += entries.len();
                shapes.push(tree.bits());
            }
            if tree.bits() != bits || key % 997 == 0 {
                assert_as_rebuilt(tree, entries);
            }
        };
    for key in 0..20_000 {
        step(&mut tree, &mut entries, key, Some(1));
    }
    for key in 0..20_000 {
        step(&mut tree, &mut entries, key, None);
    }
    assert_eq!(shapes, [0, 8, 9, 10, 11, 10, 9, 8, 0]);
    assert_eq!((tree.root(), tree.bits()), (0, 0));
    assert!(
        rebuilt < 2 * 40_000,
        "{rebuilt} entries rehashed in 40,000 changes"
    );
}

#[test]
fn a_set_that_swings_around_a_bound_does_not_rebuild_each_time() {
    // Where a tree grows on the way up, and where it shrinks on the way down.
    let grows = [256, 4_097, 8_193];
    let shrinks = [(300, 127), (10_000, 4_096), (20_000, 8_192)];
    for (top, turn) in grows.map(|turn| (turn, turn)).into_iter().chain(shrinks) {
        let mut tree = MerkleTree::new();
        let mut entries = BTreeMap::new();
        for key in 0..top {
            apply(&mut tree, &mut entries, key, Some(1));
        }
        let before = tree.bits();
        for key in turn..top {
            apply(&mut tree, &mut entries, key, None);
        }
        let bits = tree.bits();
        assert_eq!(
            bits < before,
            turn < top,
            "{turn} is where a tree of {top} shrinks"
        );
        for _ in 0..10 {
            for version in [None, Some(1)] {
                for key in 0..turn / 3 {
                    apply(&mut tree, &mut entries, key, version);
                    assert_eq!(tree.bits(), bits, "around {turn}");
                }
            }
            for version in [Some(1), None] {
                for key in 100_000..100_100 {
                    apply(&mut tree, &mut entries, key, version);
                    assert_eq!(tree.bits(), bits, "around {turn}");
                }
            }
        }
    }
}

#[test]
fn roots_of_partitions_add_up_and_do_not_depend_on_the_shape() {
    let entries: Vec<EntryDigest> = (0..1_000).map(|key| entry(key, 1)).collect();
    let whole = MerkleTree::build(9, entries.iter().copied());
    let (left, right) = entries.split_at(300);
    let sum = MerkleTree::build(0, left.iter().copied())
        .root()
        .wrapping_add(MerkleTree::build(MAX_LEAF_BITS, right.iter().copied()).root());
    assert_eq!(whole.root(), sum);
}

#[test]
fn an_empty_side_gets_or_loses_everything() {
    let few: Vec<EntryDigest> = (0..100).map(|key| entry(key, 1)).collect();
    let many: Vec<EntryDigest> = (0..1_000).map(|key| entry(key, 1)).collect();
    assert_found(&[], &[]);
    assert_found(&few, &[]);
    assert_found(&[], &few);
    assert_found(&many, &few);
    // Nearly every leaf differs: cheaper to send all.
    let run = compare(&few, &many);
    assert_eq!(run.difference, None);
    assert!(
        run.steps
            .iter()
            .all(|step| !matches!(step, RepairStep::Leaves { .. }))
    );
}

#[test]
fn half_of_the_leaves_are_listed_and_more_are_not() {
    // One entry in each of the 256 leaves, the first of them changed.
    let mut random = Random::new(1);
    let ours: Vec<EntryDigest> = (0..256_u64)
        .map(|leaf| EntryDigest {
            key_hash: leaf << 56 | random.next() >> 8,
            digest: random.wide(),
        })
        .collect();
    let changed = |count: usize| {
        let mut theirs = ours.clone();
        for entry in &mut theirs[..count] {
            entry.digest = entry.digest.wrapping_add(1);
        }
        theirs
    };
    let run = assert_found(&ours, &changed(128));
    assert_eq!(run.difference.map(|d| d.fetch.len()), Some(128));
    assert_eq!(compare(&ours, &changed(129)).difference, None);
}
