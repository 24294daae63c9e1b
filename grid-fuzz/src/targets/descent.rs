//! The comparison of two Merkle trees, with a server that lies.

use std::collections::{BTreeMap, VecDeque};

use grid_core::limits::MAX_ITEMS_PER_MESSAGE;
use grid_core::merkle::{
    Answer, Descent, Difference, MAX_PARENTS_PER_STEP, MerkleTree, Progress, answer_leaves,
    answer_nodes, leaf_bits_for,
};
use grid_core::protocol::{RepairLeaves, RepairNodes, RepairStep, ViewId};
use grid_core::{DigestKey, EntryDigest, ErrorKind, Hlc, OpId, PartitionId, Result, RunId, Stamp};

use crate::script::Script;
use crate::target::{Seed, Target};

pub(super) const TARGET: Target = Target {
    name: "descent",
    promise: "a comparison ends within its bounds whatever the server answers, and with an honest \
              one it finds what differs",
    run,
    seeds,
};

/// Most steps that a descent asks for: every node of every level, a message full at a time.
const MOST_STEPS: usize = 5 + 2 * (1 << 18) / MAX_PARENTS_PER_STEP;

/// What a server says to one step.
#[derive(Debug, Clone)]
enum Said {
    Nodes(RepairNodes),
    Leaves(RepairLeaves),
}

fn run(data: &[u8]) {
    let mut script = Script::new(data);
    ask_like_nobody(&mut script);
    let (server, client) = sets(&mut script);
    let tree = MerkleTree::build(leaf_bits_for(server.len()), server.iter().copied());
    let (mut descent, first) = Descent::start();
    let mut steps = VecDeque::from([first]);
    let mut lies = false;
    let mut asked = 1;
    while let Some(step) = steps.pop_front() {
        let Some(honest) = answer(&tree, &server, &step) else {
            // Too much for a listing: the client is told everything instead.
            return;
        };
        for said in honest {
            let said = lie(&mut script, said, &mut lies);
            match hear(&mut descent, &said, &client) {
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
                    assert!(lies, "an honest answer was refused: {error}");
                    let again = hear(&mut descent, &said, &client);
                    assert!(again.is_err(), "a descent that met an error is over");
                    return;
                }
                Ok(Progress::Ask(more)) => {
                    asked += more.len();
                    assert!(asked <= MOST_STEPS, "{asked} steps");
                    steps.extend(more);
                }
                Ok(Progress::Await) => {}
                Ok(Progress::Snapshot) => return,
                Ok(Progress::Finished(found)) => {
                    check_difference(&found, &server, &client, lies);
                    assert!(steps.is_empty() || lies, "answers were left unasked for");
                    return;
                }
            }
        }
    }
    // A listing that a liar cut short is awaited for ever; the heartbeat is what ends that.
    assert!(lies, "the descent asked for nothing and did not end");
}

/// Any step at all is answered within the bounds of a message, or refused.
fn ask_like_nobody(script: &mut Script<'_>) {
    if script.flag() {
        return;
    }
    let (server, _) = sets(script);
    let tree = MerkleTree::build(leaf_bits_for(server.len()), server.iter().copied());
    let bits = [0, 8, 10, 18, script.below(256)][usize::from(script.below(5))];
    let level = script.below(6);
    let mut indexes = script.list(6, |script| u32::from(script.short()));
    if script.flag() {
        indexes.sort_unstable();
    }
    let all = || server.iter().copied();
    for answer in [
        answer_nodes(&tree, bits, level, &indexes, all),
        answer_leaves(bits, &indexes, all()),
    ] {
        match answer {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Protocol, "{error}"),
            Ok(Answer::Nodes { sums, .. }) => assert!(sums.len() <= MAX_ITEMS_PER_MESSAGE),
            Ok(Answer::Leaves(listings)) => {
                for listing in &listings {
                    assert!(listing.entries.len() <= MAX_ITEMS_PER_MESSAGE);
                }
            }
            Ok(Answer::Snapshot) => panic!("so few entries fit into a listing"),
        }
    }
}

/// What the server holds, and what the client: the same, but for some entries of each.
fn sets(script: &mut Script<'_>) -> (Vec<EntryDigest>, Vec<EntryDigest>) {
    let common = [0, 3, 200, 300, 5_000][usize::from(script.below(5))];
    let entry = |number: u32, version: u64| {
        let stamp = Stamp {
            hlc: Hlc::new(version, 0),
            op: OpId {
                run: RunId(1),
                number: version,
            },
        };
        DigestKey(7).entry(&number.to_le_bytes(), &stamp, b"v")
    };
    let mut server: BTreeMap<u32, EntryDigest> = (0..common).map(|n| (n, entry(n, 1))).collect();
    let mut client = server.clone();
    for _ in 0..script.below(24) {
        let number = u32::from(script.short()) % 6_000;
        match script.below(4) {
            0 => drop(server.remove(&number)),
            1 => drop(client.remove(&number)),
            2 => drop(server.insert(number, entry(number, 2))),
            _ => drop(client.insert(number, entry(number, 3))),
        }
    }
    (
        server.into_values().collect(),
        client.into_values().collect(),
    )
}

/// What an honest server says to a step, in the messages that it would send.
fn answer(tree: &MerkleTree, server: &[EntryDigest], step: &RepairStep) -> Option<Vec<Said>> {
    let (view, partition) = (ViewId(1), PartitionId(2));
    let all = || server.iter().copied();
    let answer: Result<Answer> = match step {
        RepairStep::Nodes {
            bits,
            level,
            parents,
        } => answer_nodes(tree, *bits, *level, parents, all),
        RepairStep::Leaves { bits, leaves } => answer_leaves(*bits, leaves, all()),
        other => panic!("a descent does not ask for {other:?}"),
    };
    // What a client asks for, however it came to, is something that a server answers.
    let (level, parents) = match step {
        RepairStep::Nodes { level, parents, .. } => (*level, parents.clone()),
        _ => (0, Vec::new()),
    };
    match answer.expect("a descent asks only for what there can be") {
        Answer::Snapshot => None,
        Answer::Nodes { bits, sums } => Some(vec![Said::Nodes(RepairNodes {
            view,
            partition,
            bits,
            level,
            parents,
            sums,
        })]),
        Answer::Leaves(listings) => {
            let said = listings.into_iter().map(|listing| {
                Said::Leaves(RepairLeaves {
                    view,
                    partition,
                    bits: listing.bits,
                    leaves: listing.leaves,
                    entries: listing.entries,
                })
            });
            Some(said.collect())
        }
    }
}

/// The answer, or another.
fn lie(script: &mut Script<'_>, said: Said, lies: &mut bool) -> Said {
    if script.is_over() || !script.rarely(2) {
        return said;
    }
    *lies = true;
    match said {
        Said::Nodes(mut nodes) => {
            match script.below(6) {
                0 => nodes.bits = [0, 8, 9, 18, 255][usize::from(script.below(5))],
                1 => nodes.level = script.below(6),
                2 => nodes.parents.push(script.short().into()),
                3 => drop(nodes.sums.pop()),
                4 => nodes.sums.iter_mut().for_each(|sum| *sum ^= 1),
                _ => {
                    let place = usize::from(script.short()) % nodes.sums.len().max(1);
                    if let Some(sum) = nodes.sums.get_mut(place) {
                        *sum ^= script.number();
                    }
                }
            }
            Said::Nodes(nodes)
        }
        Said::Leaves(mut leaves) => {
            match script.below(6) {
                0 => leaves.bits = [0, 8, 9, 18, 255][usize::from(script.below(5))],
                1 => leaves.leaves.push(script.short().into()),
                2 => drop(leaves.leaves.pop()),
                3 => leaves.entries.push((script.number(), script.number())),
                4 => leaves.entries.reverse(),
                _ => drop(leaves.entries.pop()),
            }
            Said::Leaves(leaves)
        }
    }
}

fn hear(descent: &mut Descent, said: &Said, client: &[EntryDigest]) -> Result<Progress> {
    match said {
        Said::Nodes(nodes) => descent.on_nodes(nodes, client.iter().copied()),
        Said::Leaves(leaves) => descent.on_leaves(leaves, client.iter().copied()),
    }
}

/// What was found is what differs; from a liar at least nothing is removed that is not there.
fn check_difference(
    found: &Difference,
    server: &[EntryDigest],
    client: &[EntryDigest],
    lies: bool,
) {
    let short = |set: &[EntryDigest]| -> BTreeMap<u64, u64> {
        set.iter()
            .map(|entry| (entry.key_hash, entry.short()))
            .collect()
    };
    let (theirs, ours) = (short(server), short(client));
    for (key, digest) in &found.remove {
        assert_eq!(ours.get(key), Some(digest), "only what is there is removed");
    }
    assert!(found.fetch.is_sorted());
    if lies {
        return;
    }
    let lacking = theirs
        .iter()
        .filter(|(key, digest)| ours.get(key) != Some(digest));
    let fetch: Vec<u64> = lacking.map(|(key, _)| *key).collect();
    assert_eq!(found.fetch, fetch);
    let surplus = ours.iter().filter(|(key, _)| !theirs.contains_key(key));
    let remove: Vec<(u64, u64)> = surplus.map(|(key, digest)| (*key, *digest)).collect();
    assert_eq!(found.remove, remove);
    assert_eq!(found.is_empty(), theirs == ours);
}

fn seeds() -> Vec<Seed> {
    let seed = |name, head: &[u8]| {
        // Behind the sets: changes, and then honest answers.
        let mut bytes = head.to_vec();
        bytes.extend((0..80).map(|number: u8| number.wrapping_mul(37)));
        Seed::new(name, bytes)
    };
    vec![
        seed("small", &[1, 1, 5]),
        seed("edge", &[1, 2, 20]),
        seed("tree", &[1, 3, 12]),
        seed("large", &[1, 4, 23]),
        seed("asked-by-nobody", &[0, 3, 8]),
        Seed::new("equal", [1, 4, 0]),
        Seed::new("empty", [1, 0, 0]),
    ]
}
