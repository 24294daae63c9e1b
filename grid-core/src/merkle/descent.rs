//! The client's side of a comparison: which branches to ask for, and what turned out to differ.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::shape::{MAX_PARENTS_PER_STEP, fan_out, index, is_leaf_bits, nodes};
use super::tree::MerkleTree;
use crate::digest::EntryDigest;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_ITEMS_PER_MESSAGE;
use crate::protocol::{RepairLeaves, RepairNodes, RepairStep};

/// What to do after an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Send these steps, all at once and in this order. Their answers come in the same order.
    Ask(Vec<RepairStep>),
    /// More answers to steps already sent are on their way.
    Await,
    /// More than half of the leaves differ: ask for a snapshot. The descent is over.
    Snapshot,
    /// This is what differs. The descent is over.
    Finished(Difference),
}

/// How the client's entries differ from the server's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Key hashes of entries that the server has and the client lacks or has another version of,
    /// ascending.
    pub fetch: Vec<u64>,
    /// Key hash and short digest ([`EntryDigest::short`]) of entries that the server does not
    /// have, ascending. Remove them once the fetched records are in place, and only those whose
    /// digest is still this one: a later event may have brought the key back.
    pub remove: Vec<(u64, u64)>,
}

impl Difference {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fetch.is_empty() && self.remove.is_empty()
    }

    /// The steps that fetch what is missing, each within the bounds of a message.
    #[must_use]
    pub fn fetch_steps(&self) -> Vec<RepairStep> {
        self.fetch
            .chunks(MAX_ITEMS_PER_MESSAGE)
            .map(|keys| RepairStep::Fetch {
                keys: keys.to_vec(),
            })
            .collect()
    }
}

#[derive(Debug)]
enum State {
    /// The root's children were asked for, in whatever shape the server has.
    Root,
    /// Children of differing nodes of one level were asked for.
    Nodes {
        own: MerkleTree,
        level: u8,
        asked: VecDeque<Vec<u32>>,
        differing: Vec<u32>,
    },
    /// Listings of differing leaves were asked for.
    Leaves {
        bits: u8,
        asked: VecDeque<u32>,
        difference: Difference,
    },
    /// There is nothing more to ask.
    Over,
}

/// The comparison of the client's entries of one map in one partition with the server's.
///
/// The client keeps no tree: with the first answer, which names the shape, the descent builds the
/// sums from the client's entries. These are handed in as an iterator over all of them, which is
/// run only when needed. They may change during the descent, as events arrive: a branch that
/// changed is then looked at once more than needed, and leaves are compared as they are when
/// their listing arrives.
///
/// ```
/// use grid_core::merkle::{Answer, Descent, MerkleTree, Progress, answer_nodes};
/// use grid_core::protocol::{RepairLeaves, ViewId};
/// use grid_core::{DigestKey, PartitionId, Stamp};
///
/// let key = DigestKey(7);
/// let ours = [key.entry(b"a", &Stamp::ZERO, b"1"), key.entry(b"b", &Stamp::ZERO, b"1")];
/// let theirs = [key.entry(b"a", &Stamp::ZERO, b"2")];
/// let tree = MerkleTree::build(0, theirs);
///
/// let (mut descent, _step) = Descent::start();
/// let Answer::Leaves(listings) = answer_nodes(&tree, 0, 0, &[0], || theirs)? else {
///     panic!("a small set is listed at once");
/// };
/// let answer = RepairLeaves {
///     view: ViewId(1),
///     partition: PartitionId(0),
///     bits: listings[0].bits,
///     leaves: listings[0].leaves.clone(),
///     entries: listings[0].entries.clone(),
/// };
/// let Progress::Finished(difference) = descent.on_leaves(&answer, ours)? else {
///     panic!("one listing was asked for");
/// };
/// assert_eq!(difference.fetch, [ours[0].key_hash]);
/// assert_eq!(difference.remove, [(ours[1].key_hash, ours[1].short())]);
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Descent {
    state: State,
}

fn protocol(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Protocol, "compare with the server", message)
}

impl Descent {
    /// Starts a descent; send the step.
    #[must_use]
    pub fn start() -> (Self, RepairStep) {
        let step = RepairStep::Nodes {
            bits: 0,
            level: 0,
            parents: vec![0],
        };
        (Self { state: State::Root }, step)
    }

    /// Takes the sums of children.
    ///
    /// # Errors
    /// `Protocol` when the answer does not fit what was asked; the descent is then over.
    pub fn on_nodes(
        &mut self,
        answer: &RepairNodes,
        own: impl IntoIterator<Item = EntryDigest>,
    ) -> Result<Progress> {
        let (own, level, mut asked, mut differing) = match self.take() {
            State::Root => {
                if !is_leaf_bits(answer.bits) {
                    return Err(protocol(format!("no tree has {} leaf bits", answer.bits)));
                }
                let own = MerkleTree::build(answer.bits, own);
                (own, 0, VecDeque::from([vec![0]]), Vec::new())
            }
            State::Nodes {
                own,
                level,
                asked,
                differing,
            } => (own, level, asked, differing),
            State::Leaves { .. } | State::Over => {
                return Err(protocol("nodes were answered that were not asked for"));
            }
        };
        let expected = asked.pop_front().unwrap_or_default();
        if (answer.bits, answer.level) != (own.bits(), level) || answer.parents != expected {
            return Err(protocol("the answer names other nodes than were asked for"));
        }
        compare(&own, level, answer, &mut differing)?;
        if !asked.is_empty() {
            self.state = State::Nodes {
                own,
                level,
                asked,
                differing,
            };
            return Ok(Progress::Await);
        }
        Ok(self.descend(own, level + 1, &differing))
    }

    /// Asks for what lies below the differing nodes of `level`, which is the level just compared.
    fn descend(&mut self, own: MerkleTree, level: u8, differing: &[u32]) -> Progress {
        if differing.is_empty() {
            return Progress::Finished(Difference::default());
        }
        let bits = own.bits();
        let chunks = || differing.chunks(MAX_PARENTS_PER_STEP).map(<[u32]>::to_vec);
        if level < own.depth() {
            self.state = State::Nodes {
                own,
                level,
                asked: chunks().collect(),
                differing: Vec::new(),
            };
            let step = |parents| RepairStep::Nodes {
                bits,
                level,
                parents,
            };
            return Progress::Ask(chunks().map(step).collect());
        }
        if differing.len() > nodes(bits, level) / 2 {
            return Progress::Snapshot;
        }
        self.state = State::Leaves {
            bits,
            asked: differing.iter().copied().collect(),
            difference: Difference::default(),
        };
        Progress::Ask(
            chunks()
                .map(|leaves| RepairStep::Leaves { bits, leaves })
                .collect(),
        )
    }

    /// Takes the listing of some of the leaves that were asked for, in their order.
    ///
    /// # Errors
    /// `Protocol` when the answer does not fit what was asked; the descent is then over.
    pub fn on_leaves(
        &mut self,
        answer: &RepairLeaves,
        own: impl IntoIterator<Item = EntryDigest>,
    ) -> Result<Progress> {
        let (bits, mut asked, mut difference) = match self.take() {
            // A server with few entries lists them at once.
            State::Root => (0, VecDeque::from([0]), Difference::default()),
            State::Leaves {
                bits,
                asked,
                difference,
            } => (bits, asked, difference),
            State::Nodes { .. } | State::Over => {
                return Err(protocol("leaves were answered that were not asked for"));
            }
        };
        if answer.bits != bits || answer.leaves.is_empty() {
            return Err(protocol(
                "the answer names other leaves than were asked for",
            ));
        }
        for leaf in &answer.leaves {
            if asked.pop_front() != Some(*leaf) {
                return Err(protocol(
                    "the answer names other leaves than were asked for",
                ));
            }
        }
        list(answer, own, &mut difference)?;
        if asked.is_empty() {
            return Ok(Progress::Finished(difference));
        }
        self.state = State::Leaves {
            bits,
            asked,
            difference,
        };
        Ok(Progress::Await)
    }

    fn take(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Over)
    }
}

/// Adds to `differing` the children whose sums are not the client's own.
fn compare(
    own: &MerkleTree,
    level: u8,
    answer: &RepairNodes,
    differing: &mut Vec<u32>,
) -> Result<()> {
    let fan_out = fan_out(own.bits(), level);
    if answer.sums.len() != answer.parents.len() * fan_out {
        return Err(protocol(format!(
            "{} sums for {} parents of {fan_out} children",
            answer.sums.len(),
            answer.parents.len()
        )));
    }
    for (parent, theirs) in answer.parents.iter().zip(answer.sums.chunks(fan_out)) {
        let ours = own
            .children(level, *parent)
            .ok_or_else(|| protocol(format!("there is no node {parent} at level {level}")))?;
        let first = *parent << fan_out.trailing_zeros();
        let pairs = (first..).zip(ours.iter().zip(theirs));
        differing.extend(
            pairs
                .filter(|(_, (ours, theirs))| ours != theirs)
                .map(|(child, _)| child),
        );
    }
    Ok(())
}

/// Short digests of the entries with one key hash, on both sides. More than one on a side means
/// that two keys share a hash.
#[derive(Default)]
struct Group {
    ours: BTreeSet<u64>,
    theirs: BTreeSet<u64>,
}

/// Adds to `difference` what differs within the leaves of one listing.
fn list(
    answer: &RepairLeaves,
    own: impl IntoIterator<Item = EntryDigest>,
    difference: &mut Difference,
) -> Result<()> {
    let listed = |key_hash| {
        let leaf = index(key_hash, answer.bits);
        answer.leaves.binary_search(&leaf).is_ok()
    };
    let mut groups: BTreeMap<u64, Group> = BTreeMap::new();
    for (key_hash, digest) in &answer.entries {
        if !listed(*key_hash) {
            return Err(protocol("an entry lies in none of the leaves listed"));
        }
        groups.entry(*key_hash).or_default().theirs.insert(*digest);
    }
    for entry in own {
        if listed(entry.key_hash) {
            let group = groups.entry(entry.key_hash).or_default();
            group.ours.insert(entry.short());
        }
    }
    for (key_hash, Group { ours, theirs }) in groups {
        if !theirs.is_subset(&ours) {
            difference.fetch.push(key_hash);
            // One version on each side: the fetched record replaces ours.
            if ours.len() == 1 && theirs.len() == 1 {
                continue;
            }
        }
        let gone = ours.difference(&theirs);
        difference
            .remove
            .extend(gone.map(|digest| (key_hash, *digest)));
    }
    Ok(())
}
