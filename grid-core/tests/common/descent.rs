//! A descent between two sets in one thread, with a record of what went over the line.

use std::collections::VecDeque;

use grid_core::merkle::{
    Answer, Descent, Difference, MerkleTree, Progress, answer_leaves, answer_nodes, leaf_bits_for,
};
use grid_core::protocol::{RepairLeaves, RepairNodes, RepairStep, ViewId};
use grid_core::{EntryDigest, PartitionId};

/// What a descent did.
#[derive(Debug, Default)]
pub struct Run {
    /// `None` when it asked for a snapshot.
    pub difference: Option<Difference>,
    /// All steps that the client sent.
    pub steps: Vec<RepairStep>,
    /// Round trips, without the fetch.
    pub rounds: usize,
    /// Parents asked for, by level.
    pub parents: Vec<usize>,
    /// Leaves asked for.
    pub leaves: usize,
    /// Bytes of sums and listed entries.
    pub answer_bytes: usize,
    /// All bytes, with 4 for each index asked and again for each index answered.
    pub total_bytes: usize,
}

const VIEW: ViewId = ViewId(3);
const PARTITION: PartitionId = PartitionId(5);

/// An answer as it travels.
pub enum Reply {
    Nodes(RepairNodes),
    Leaves(RepairLeaves),
}

/// The server's replies to one step.
pub fn serve(tree: &MerkleTree, entries: &[EntryDigest], step: &RepairStep) -> Vec<Reply> {
    let all = || entries.iter().copied();
    let (level, parents, answer) = match step {
        RepairStep::Nodes {
            bits,
            level,
            parents,
        } => {
            let answer = answer_nodes(tree, *bits, *level, parents, all).unwrap();
            (*level, parents.clone(), answer)
        }
        RepairStep::Leaves { bits, leaves } => {
            (0, Vec::new(), answer_leaves(*bits, leaves, all()).unwrap())
        }
        RepairStep::Fetch { .. } | RepairStep::Snapshot => panic!("no step of a descent: {step:?}"),
    };
    match answer {
        Answer::Nodes { bits, sums } => vec![Reply::Nodes(RepairNodes {
            view: VIEW,
            partition: PARTITION,
            bits,
            level,
            parents,
            sums,
        })],
        Answer::Leaves(listings) => listings
            .into_iter()
            .map(|listing| {
                Reply::Leaves(RepairLeaves {
                    view: VIEW,
                    partition: PARTITION,
                    bits: listing.bits,
                    leaves: listing.leaves,
                    entries: listing.entries,
                })
            })
            .collect(),
        Answer::Snapshot => panic!("the server would send a snapshot"),
    }
}

/// Compares a client's entries with a server's.
pub fn compare(ours: &[EntryDigest], theirs: &[EntryDigest]) -> Run {
    let tree = MerkleTree::build(leaf_bits_for(theirs.len()), theirs.iter().copied());
    let mut run = Run::default();
    let (mut descent, first) = Descent::start();
    let mut asked = vec![first];
    loop {
        run.rounds += 1;
        let mut replies = VecDeque::new();
        for step in std::mem::take(&mut asked) {
            run.count_step(&step);
            replies.extend(serve(&tree, theirs, &step));
            run.steps.push(step);
        }
        while let Some(reply) = replies.pop_front() {
            run.count_reply(&reply);
            let own = ours.iter().copied();
            let progress = match &reply {
                Reply::Nodes(answer) => descent.on_nodes(answer, own).unwrap(),
                Reply::Leaves(answer) => descent.on_leaves(answer, own).unwrap(),
            };
            match progress {
                Progress::Await => assert!(!replies.is_empty(), "waits for nothing"),
                Progress::Ask(steps) => {
                    assert!(replies.is_empty(), "asks before it has all answers");
                    asked = steps;
                }
                Progress::Snapshot => return run,
                Progress::Finished(difference) => {
                    assert!(replies.is_empty(), "ends before it has all answers");
                    run.difference = Some(difference);
                    return run;
                }
            }
        }
    }
}

impl Run {
    fn count_step(&mut self, step: &RepairStep) {
        match step {
            RepairStep::Nodes { level, parents, .. } => {
                let level = usize::from(*level);
                self.parents.resize(self.parents.len().max(level + 1), 0);
                self.parents[level] += parents.len();
                self.total_bytes += 4 * parents.len();
            }
            RepairStep::Leaves { leaves, .. } => {
                self.leaves += leaves.len();
                self.total_bytes += 4 * leaves.len();
            }
            RepairStep::Fetch { .. } | RepairStep::Snapshot => {}
        }
    }

    fn count_reply(&mut self, reply: &Reply) {
        let (indexes, bytes) = match reply {
            Reply::Nodes(answer) => (answer.parents.len(), 8 * answer.sums.len()),
            Reply::Leaves(answer) => (answer.leaves.len(), 16 * answer.entries.len()),
        };
        self.answer_bytes += bytes;
        self.total_bytes += bytes + 4 * indexes;
    }
}
