//! A descent asks only for branches that differ, costs what the design says, and survives
//! changes in the middle.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;

use common::descent::{Reply, Run, compare, serve};
use common::random::Random;
use grid_core::EntryDigest;
use grid_core::limits::MAX_ITEMS_PER_MESSAGE;
use grid_core::merkle::{
    Answer, Descent, Difference, MAX_PARENTS_PER_STEP, MerkleTree, Progress, answer_leaves,
    leaf_bits_for,
};
use grid_core::protocol::RepairStep;
use proptest::prelude::*;

type Set = BTreeMap<u64, EntryDigest>;

fn random_entry(random: &mut Random) -> EntryDigest {
    EntryDigest {
        key_hash: random.next(),
        digest: random.wide(),
    }
}

fn random_set(random: &mut Random, entries: usize) -> Set {
    let mut set = Set::new();
    while set.len() < entries {
        let entry = random_entry(random);
        set.insert(entry.key_hash, entry);
    }
    set
}

/// Makes a client's set differ from the server's in `count` keys: it lacks some, has another
/// version of some, and has some that the server does not.
fn differ(random: &mut Random, set: &Set, count: usize) -> Set {
    let mut other = set.clone();
    let mut keys: Vec<u64> = set.keys().copied().collect();
    for nth in 0..count {
        let key = keys.swap_remove(random.below(keys.len()));
        match nth % 3 {
            0 => drop(other.remove(&key)),
            1 => {
                let digest = random.wide();
                other.insert(
                    key,
                    EntryDigest {
                        key_hash: key,
                        digest,
                    },
                );
            }
            _ => {
                let entry = random_entry(random);
                other.insert(entry.key_hash, entry);
            }
        }
    }
    other
}

fn list(set: &Set) -> Vec<EntryDigest> {
    set.values().copied().collect()
}

/// What a plain comparison finds.
fn plain_difference(ours: &Set, theirs: &Set) -> Difference {
    let changed = theirs
        .values()
        .filter(|entry| ours.get(&entry.key_hash) != Some(*entry));
    let extra = ours
        .values()
        .filter(|entry| !theirs.contains_key(&entry.key_hash));
    Difference {
        fetch: changed.map(|entry| entry.key_hash).collect(),
        remove: extra.map(|entry| (entry.key_hash, entry.short())).collect(),
    }
}

/// The design's expectation, in bytes of sums and listed entries, and the leaves it expects.
fn expected(entries: usize, differences: usize) -> (f64, f64) {
    let float = |n: usize| f64::from(u32::try_from(n).unwrap());
    let bits = leaf_bits_for(entries);
    let leaves = float(1 << bits);
    let touched = leaves * (1.0 - (1.0 - 1.0 / leaves).powf(float(differences)));
    let levels = u32::from(bits.div_ceil(4));
    let parents: f64 = (0..levels)
        .map(|level| float(16_usize.pow(level)).min(float(differences)))
        .sum();
    let bytes = 8.0 * 16.0 * parents + touched * (float(entries) / leaves) * 16.0;
    (bytes, touched)
}

#[test]
fn a_repair_costs_what_the_formula_says() {
    let mut random = Random::new(7);
    for entries in [300, 1_000, 5_000, 20_000, 50_000] {
        let theirs = random_set(&mut random, entries);
        let their_list = list(&theirs);
        for differences in [1, 10, 100, 1_000] {
            let (bytes, leaves) = expected(entries, differences);
            if leaves > 0.4 * f64::from(1_u32 << leaf_bits_for(entries)) {
                continue; // At or near the bound beyond which a snapshot is sent.
            }
            let runs = (60 / differences).clamp(1, 12);
            let mut spent = 0;
            for _ in 0..runs {
                let ours = differ(&mut random, &theirs, differences);
                let run = compare(&list(&ours), &their_list);
                assert_eq!(run.difference, Some(plain_difference(&ours, &theirs)));
                assert_only_differing(&run, &ours, &theirs);
                spent += run.answer_bytes;
            }
            let mean = f64::from(u32::try_from(spent / runs).unwrap());
            // The formula counts what happens to lie in the leaves that are listed. Entries that
            // differ lie there for certain, which shows where they are a large part of the set.
            let certain = if 16 * differences > entries {
                16.0 * f64::from(u32::try_from(differences).unwrap())
            } else {
                0.0
            };
            let ratio = mean / (bytes + certain);
            assert!(
                ratio <= 1.1,
                "{differences} of {entries}: {mean} bytes are {ratio:.3} of {bytes} + {certain}"
            );
        }
    }
}

/// Asserts from the entries that differ that no branch without one was asked for, that none was
/// asked for twice, and the bounds on their number.
fn assert_only_differing(run: &Run, ours: &Set, theirs: &Set) {
    let Difference { fetch, remove } = plain_difference(ours, theirs);
    let hashes: Vec<u64> = fetch
        .into_iter()
        .chain(remove.into_iter().map(|(h, _)| h))
        .collect();
    let bits = leaf_bits_for(theirs.len());
    let touched = |width: u8| {
        let indexes = hashes
            .iter()
            .map(|hash| hash.checked_shr(64 - u32::from(width)).unwrap_or(0));
        let mut indexes: Vec<u32> = indexes.map(|index| u32::try_from(index).unwrap()).collect();
        indexes.sort_unstable();
        indexes.dedup();
        indexes
    };
    for level in 0..bits.div_ceil(4) {
        let asked: Vec<u32> = run
            .steps
            .iter()
            .filter_map(|step| match step {
                RepairStep::Nodes {
                    level: l, parents, ..
                } if *l == level => Some(parents),
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        assert_eq!(asked, touched(4 * level), "level {level}");
        assert_eq!(run.parents[usize::from(level)], asked.len());
        assert!(asked.len() <= hashes.len().min(1 << (4 * level)));
    }
    assert_eq!(run.leaves, touched(bits).len());
    // One round trip a level, one for the leaves; the fetch is one more.
    assert_eq!(run.rounds, usize::from(bits.div_ceil(4)) + 1);
}

#[test]
fn asking_and_echoing_costs_little_beside_the_answers() {
    let mut random = Random::new(8);
    let theirs = random_set(&mut random, 20_000);
    for differences in [10, 100, 400] {
        let ours = differ(&mut random, &theirs, differences);
        let run = compare(&list(&ours), &list(&theirs));
        assert!(
            run.total_bytes * 100 < run.answer_bytes * 109,
            "{} {}",
            run.total_bytes,
            run.answer_bytes
        );
    }
}

#[test]
fn equal_sets_end_after_the_root() {
    let set = list(&random_set(&mut Random::new(9), 5_000));
    let run = compare(&set, &set);
    assert_eq!(run.difference, Some(Difference::default()));
    assert_eq!((run.rounds, run.answer_bytes), (1, 16 * 8));
}

#[test]
fn long_lists_are_cut_to_the_bounds_of_a_message() {
    let mut random = Random::new(10);
    let theirs = random_set(&mut random, 60_000);
    let ours = differ(&mut random, &theirs, 2_000);
    let run = compare(&list(&ours), &list(&theirs));
    let difference = run.difference.unwrap();
    assert_eq!(difference, plain_difference(&ours, &theirs));
    let mut wide = 0;
    for step in &run.steps {
        let (RepairStep::Nodes { parents: items, .. } | RepairStep::Leaves { leaves: items, .. }) =
            step
        else {
            panic!("no step of a descent: {step:?}");
        };
        assert!(items.len() <= MAX_PARENTS_PER_STEP);
        wide += usize::from(items.len() == MAX_PARENTS_PER_STEP);
    }
    assert!(wide > 0, "the set is too small to show a cut");

    let many = Difference {
        fetch: (0..40_000).collect(),
        remove: Vec::new(),
    };
    let steps = many.fetch_steps();
    let keys = steps.iter().map(|step| match step {
        RepairStep::Fetch { keys } => keys.as_slice(),
        other => panic!("{other:?}"),
    });
    assert!(keys.clone().all(|keys| keys.len() <= MAX_ITEMS_PER_MESSAGE));
    assert_eq!(keys.flatten().copied().collect::<Vec<u64>>(), many.fetch);
    assert_eq!(Difference::default().fetch_steps(), []);
}

/// `count` entries in one leaf of a tree of 8 bits.
fn crowd(random: &mut Random, leaf: u64, count: usize) -> Vec<EntryDigest> {
    let entry = |_| EntryDigest {
        key_hash: leaf << 56 | random.next() >> 8,
        digest: random.wide(),
    };
    (0..count).map(entry).collect()
}

#[test]
fn a_listing_is_split_between_leaves_or_given_up() {
    let mut random = Random::new(11);
    let mut entries = crowd(&mut random, 3, 10_000);
    entries.extend(crowd(&mut random, 7, 10_000));
    entries.extend(crowd(&mut random, 9, 6_000));
    let answer = answer_leaves(8, &[2, 3, 7, 8, 9], entries.iter().copied()).unwrap();
    let Answer::Leaves(listings) = answer else {
        panic!("{answer:?}");
    };
    let leaves: Vec<_> = listings
        .iter()
        .map(|listing| listing.leaves.clone())
        .collect();
    assert_eq!(leaves, [vec![2, 3], vec![7, 8, 9]]);
    let counts: Vec<_> = listings
        .iter()
        .map(|listing| listing.entries.len())
        .collect();
    assert_eq!(counts, [10_000, 16_000]);

    // The client goes through them one by one, and misses nothing.
    let theirs: Set = entries
        .iter()
        .map(|entry| (entry.key_hash, *entry))
        .collect();
    let ours: Set = theirs.clone().into_iter().skip(5).collect();
    let ours = differ(&mut random, &ours, 30);
    let run = compare(&list(&ours), &list(&theirs));
    assert_eq!(run.difference, Some(plain_difference(&ours, &theirs)));

    entries.extend(crowd(&mut random, 3, MAX_ITEMS_PER_MESSAGE - 10_000));
    let full = answer_leaves(8, &[3], entries.iter().copied()).unwrap();
    assert!(matches!(full, Answer::Leaves(_)), "exactly full");
    entries.extend(crowd(&mut random, 3, 1));
    let answer = answer_leaves(8, &[2, 3], entries.iter().copied()).unwrap();
    assert_eq!(answer, Answer::Snapshot);
    // Without the crowded leaf it is a listing still.
    let answer = answer_leaves(8, &[7], entries).unwrap();
    assert!(matches!(answer, Answer::Leaves(_)));
}

#[test]
fn two_keys_that_share_a_hash_are_both_repaired() {
    let entry = |key_hash, digest| EntryDigest { key_hash, digest };
    let shared = 0xAB << 56;
    let run =
        |ours: &[EntryDigest], theirs: &[EntryDigest]| compare(ours, theirs).difference.unwrap();
    let (first, second, third) = (entry(shared, 1), entry(shared, 2), entry(shared, 3));
    // Equal on both sides, in any order.
    assert!(run(&[first, second], &[second, first]).is_empty());
    // The client lacks one: it fetches both by their hash and drops neither.
    let difference = run(&[first], &[first, second]);
    assert_eq!(
        (difference.fetch, difference.remove),
        (vec![shared], vec![])
    );
    // The client has one too many.
    let difference = run(&[first, second], &[first]);
    assert_eq!(
        (difference.fetch, difference.remove),
        (vec![], vec![(shared, 2)])
    );
    // One differs: it may be a new version of a key or another key.
    let difference = run(&[first, second], &[first, third]);
    assert_eq!(
        (difference.fetch, difference.remove),
        (vec![shared], vec![(shared, 2)])
    );
}

/// A server and a client, with a connection whose answers may be looked at and delayed.
struct Pair {
    ours: Set,
    theirs: Set,
    tree: MerkleTree,
}

impl Pair {
    fn new(ours: Set, theirs: Set) -> Self {
        let tree = MerkleTree::build(leaf_bits_for(theirs.len()), theirs.values().copied());
        Self { ours, theirs, tree }
    }

    /// A change at the server. The client takes it as an event before the next answer, because
    /// both come through one queue.
    fn change(&mut self, key_hash: u64, new: Option<u128>) {
        let new = new.map(|digest| EntryDigest { key_hash, digest });
        if let Some(old) = self.theirs.remove(&key_hash) {
            self.tree.remove(old);
        }
        self.ours.remove(&key_hash);
        if let Some(new) = new {
            self.tree.insert(new);
            self.theirs.insert(key_hash, new);
            self.ours.insert(key_hash, new);
        }
        if self.tree.wants_rebuild() {
            self.tree.rebuild(self.theirs.values().copied());
        }
    }

    /// Runs a descent with `disturb` called before each answer; applies its outcome.
    fn repair(&mut self, mut disturb: impl FnMut(&mut Self)) {
        let (mut descent, first) = Descent::start();
        let mut asked = vec![first];
        let difference = 'descent: loop {
            for step in std::mem::take(&mut asked) {
                disturb(self);
                for reply in serve(&self.tree, &list(&self.theirs), &step) {
                    let own = self.ours.values().copied();
                    match on(&mut descent, &reply, own).unwrap() {
                        Progress::Ask(steps) => asked = steps,
                        Progress::Await => {}
                        Progress::Snapshot => panic!("few entries differ"),
                        Progress::Finished(difference) => break 'descent difference,
                    }
                }
            }
        };
        disturb(self);
        for key in difference.fetch {
            if let Some(entry) = self.theirs.get(&key) {
                self.ours.insert(key, *entry);
            }
        }
        for (key, digest) in difference.remove {
            if self
                .ours
                .get(&key)
                .is_some_and(|entry| entry.short() == digest)
            {
                self.ours.remove(&key);
            }
        }
    }
}

fn on(
    descent: &mut Descent,
    reply: &Reply,
    own: impl Iterator<Item = EntryDigest>,
) -> grid_core::Result<Progress> {
    match reply {
        Reply::Nodes(answer) => descent.on_nodes(answer, own),
        Reply::Leaves(answer) => descent.on_leaves(answer, own),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Events keep coming while the trees are compared: new keys, other versions, removals, also
    /// of keys that differ, and enough of them that the server's tree changes its shape.
    #[test]
    fn a_repair_holds_while_entries_change(
        entries in prop_oneof![Just(230_usize), Just(270), Just(1_000), Just(4_090)],
        differences in 1_usize..12,
        changes in 0_usize..40,
        seed in any::<u64>(),
    ) {
        let mut random = Random::new(seed);
        let theirs = random_set(&mut random, entries);
        let ours = differ(&mut random, &theirs, differences);
        let differing = plain_difference(&ours, &theirs);
        let mut hot: Vec<u64> = differing.fetch;
        hot.extend(differing.remove.into_iter().map(|(hash, _)| hash));
        let mut pair = Pair::new(ours, theirs);
        pair.repair(|pair| {
            for _ in 0..changes {
                let known: Vec<u64> = pair.theirs.keys().copied().take(20).collect();
                let key = match random.below(4) {
                    0 => hot[random.below(hot.len())],
                    1 => known[random.below(known.len())],
                    _ => random.next(),
                };
                let new = (random.below(3) > 0).then(|| random.wide());
                pair.change(key, new);
            }
        });
        prop_assert_eq!(pair.ours, pair.theirs);
    }
}
