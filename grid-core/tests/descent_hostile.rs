//! Answers and steps that cannot be are refused, whoever sends them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::random::Random;
use grid_core::limits::MAX_ITEMS_PER_MESSAGE;
use grid_core::merkle::{
    Answer, Descent, MAX_PARENTS_PER_STEP, MerkleTree, Progress, answer_leaves, answer_nodes,
    leaf_bits_for,
};
use grid_core::protocol::{RepairLeaves, RepairNodes, RepairStep, ViewId};
use grid_core::{EntryDigest, ErrorKind, PartitionId};
use proptest::prelude::*;

proptest! {
    /// Whatever an answer says, the descent ends in an error or goes on, and never panics; and
    /// what it asks for is within its bounds.
    #[test]
    fn hostile_answers_are_refused(
        bits in prop_oneof![Just(0_u8), Just(8), Just(9), Just(18), Just(255), any::<u8>()],
        level in prop_oneof![Just(0_u8), Just(1), any::<u8>()],
        parents in prop::collection::vec(prop_oneof![Just(0_u32), any::<u32>()], 0..3),
        sums in prop_oneof![
            prop::collection::vec(0_u64..2, 16),
            prop::collection::vec(0_u64..2, 0..40),
        ],
        entries in prop::collection::vec((any::<u64>(), any::<u64>()), 0..5),
    ) {
        let (view, partition) = (ViewId(1), PartitionId(2));
        let nodes = RepairNodes { view, partition, bits, level, parents: parents.clone(), sums };
        let leaves = RepairLeaves { view, partition, bits, leaves: parents, entries };
        let (mut descent, _) = Descent::start();
        match descent.on_nodes(&nodes, []) {
            Ok(progress) => {
                prop_assert!((8..=18).contains(&bits) && nodes.sums.len() == 16 && level == 0);
                // What it asks for next is something that a server of that shape answers.
                if let Progress::Ask(steps) = progress {
                    let [RepairStep::Nodes { bits, level, parents }] = &steps[..] else {
                        panic!("16 nodes fit into one step: {steps:?}");
                    };
                    let tree = MerkleTree::build(*bits, []);
                    prop_assert!(answer_nodes(&tree, *bits, *level, parents, || []).is_ok());
                }
            }
            Err(error) => {
                prop_assert_eq!(error.kind(), ErrorKind::Protocol);
                // A descent that met an error is over.
                prop_assert!(descent.on_nodes(&nodes, []).is_err());
                prop_assert!(descent.on_leaves(&leaves, []).is_err());
            }
        }
        let (mut descent, _) = Descent::start();
        match descent.on_leaves(&leaves, []) {
            Ok(_) => prop_assert!(bits == 0 && leaves.leaves == [0]),
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Protocol),
        }
    }

    /// Whatever a client asks, the server answers within the bounds of a message or refuses.
    #[test]
    fn hostile_steps_are_refused(
        bits in prop_oneof![Just(0_u8), Just(8), Just(9), Just(18), Just(255), any::<u8>()],
        level in prop_oneof![Just(0_u8), Just(1), Just(4), any::<u8>()],
        mut indexes in prop::collection::vec(prop_oneof![0_u32..300, any::<u32>()], 0..4),
        sort in any::<bool>(),
        entries in prop_oneof![Just(0_usize), Just(300)],
    ) {
        if sort {
            indexes.sort_unstable();
        }
        let mut random = Random::new(12);
        let set: Vec<EntryDigest> = (0..entries)
            .map(|_| EntryDigest { key_hash: random.next(), digest: random.wide() })
            .collect();
        let all = || set.iter().copied();
        let tree = MerkleTree::build(leaf_bits_for(entries), all());
        for answer in [
            answer_nodes(&tree, bits, level, &indexes, all),
            answer_leaves(bits, &indexes, all()),
        ] {
            match answer {
                Ok(Answer::Nodes { sums, .. }) => prop_assert!(sums.len() <= MAX_ITEMS_PER_MESSAGE),
                Ok(Answer::Leaves(_)) => {}
                Ok(Answer::Snapshot) => prop_assert!(false, "few entries fit into a listing"),
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Protocol),
            }
        }
    }
}

#[test]
fn steps_that_cannot_be_are_refused_by_name() {
    let tree = MerkleTree::build(8, []);
    let too_many: Vec<u32> = (0..=u32::try_from(MAX_PARENTS_PER_STEP).unwrap()).collect();
    for (bits, level, parents, part) in [
        (7, 0, vec![0], "7 leaf bits"),
        (19, 0, vec![0], "19 leaf bits"),
        (0, 1, vec![0], "starts at the root"),
        (0, 0, vec![], "starts at the root"),
        (0, 0, vec![0, 1], "starts at the root"),
        (8, 2, vec![0], "no children"),
        (8, 1, vec![16], "parents 16"),
        (8, 1, vec![3, 3], "ascend"),
        (8, 1, vec![4, 3], "ascend"),
        (18, 4, too_many, "1025 parents"),
    ] {
        let error = answer_nodes(&tree, bits, level, &parents, || []).unwrap_err();
        assert!(
            error.to_string().contains(part),
            "{error} should tell: {part}"
        );
    }
    for (bits, leaves, part) in [
        (5, vec![0], "5 leaf bits"),
        (8, vec![256], "leaves 256"),
        (0, vec![1], "leaves 1"),
        (8, vec![1, 1], "ascend"),
    ] {
        let error = answer_leaves(bits, &leaves, []).unwrap_err();
        assert!(
            error.to_string().contains(part),
            "{error} should tell: {part}"
        );
    }
}

/// A descent that has asked for the given leaf of a tree of 8 bits.
fn at_leaf(leaf: u32) -> Descent {
    let entry = EntryDigest {
        key_hash: u64::from(leaf) << 56,
        digest: 1,
    };
    let tree = MerkleTree::build(8, [entry]);
    let (mut descent, _) = Descent::start();
    for (level, parent) in [(0, 0), (1, leaf >> 4)] {
        let answer = nodes(8, level, &[parent], tree.children(level, parent).unwrap());
        let progress = descent.on_nodes(&answer, []).unwrap();
        assert!(matches!(progress, Progress::Ask(_)), "{progress:?}");
    }
    descent
}

fn nodes(bits: u8, level: u8, parents: &[u32], sums: &[u64]) -> RepairNodes {
    RepairNodes {
        view: ViewId(1),
        partition: PartitionId(2),
        bits,
        level,
        parents: parents.to_vec(),
        sums: sums.to_vec(),
    }
}

fn leaves(bits: u8, leaves: &[u32], entries: &[(u64, u64)]) -> RepairLeaves {
    RepairLeaves {
        view: ViewId(1),
        partition: PartitionId(2),
        bits,
        leaves: leaves.to_vec(),
        entries: entries.to_vec(),
    }
}

#[test]
fn answers_to_something_else_are_refused() {
    let inside = (5 << 56, 1);
    let refused = [
        leaves(9, &[5], &[inside]),
        leaves(0, &[0], &[inside]),
        leaves(8, &[], &[]),
        leaves(8, &[6], &[]),
        leaves(8, &[5, 6], &[]),
        leaves(8, &[5], &[(6 << 56, 1)]),
    ];
    for answer in refused {
        let error = at_leaf(5).on_leaves(&answer, []).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{answer:?}");
    }
    let mut descent = at_leaf(5);
    let progress = descent.on_leaves(&leaves(8, &[5], &[inside]), []).unwrap();
    assert!(matches!(progress, Progress::Finished(_)));
    // An answer too many, and one of the wrong sort.
    assert!(descent.on_leaves(&leaves(8, &[5], &[inside]), []).is_err());
    assert!(
        at_leaf(5)
            .on_nodes(&nodes(8, 1, &[0], &[0; 16]), [])
            .is_err()
    );

    let below_the_root = || {
        let mut descent = Descent::start().0;
        let mut sums = [0; 16];
        sums[3] = 1;
        descent.on_nodes(&nodes(8, 0, &[0], &sums), []).unwrap();
        descent
    };
    let answer = |parents: &[u32]| nodes(8, 1, parents, &vec![0; 16 * parents.len()]);
    assert!(below_the_root().on_nodes(&answer(&[3]), []).is_ok());
    for parents in [&[][..], &[2], &[3, 4], &[3, 3]] {
        assert!(
            below_the_root().on_nodes(&answer(parents), []).is_err(),
            "{parents:?}"
        );
    }

    let start = || Descent::start().0;
    assert!(start().on_nodes(&nodes(8, 0, &[0], &[1; 16]), []).is_ok());
    for answer in [
        nodes(0, 0, &[0], &[1; 16]),
        nodes(7, 0, &[0], &[1; 16]),
        nodes(8, 1, &[0], &[1; 16]),
        nodes(8, 0, &[1], &[1; 16]),
        nodes(8, 0, &[0, 1], &[1; 32]),
        nodes(8, 0, &[0], &[1; 15]),
        nodes(8, 0, &[0], &[1; 17]),
    ] {
        let error = start().on_nodes(&answer, []).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{answer:?}");
    }
}
