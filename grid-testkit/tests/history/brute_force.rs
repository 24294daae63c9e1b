//! The checker of linearizability against one that tries every order of every subset.

use grid_core::Stamp;
use grid_core::protocol::RejectReason;
use grid_testkit::history::{Finding, History, Outcome, Seen, Source, check_linearizable};

use super::script::{Script, put, remove, replay, seeds, version};

/// One operation on the one key of a small history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Put(u64),
    PutAt(u64, u64),
    PutUnknown(u64),
    Remove,
    RemoveUnknown,
    RemoveAt(u64),
    Get(Option<u64>),
    GetAt(u64, u64),
    /// Put this value at this version if the entry is at that version (0: none).
    Swap(u64, u64, u64),
    SwapUnknown(u64, u64),
    Mismatch(u64),
    Lose(u64),
}

const KINDS: [Kind; 20] = [
    Kind::Put(1),
    Kind::Put(2),
    Kind::PutAt(1, 1),
    Kind::PutAt(2, 2),
    Kind::PutAt(1, 3),
    Kind::PutUnknown(1),
    Kind::PutUnknown(2),
    Kind::Remove,
    Kind::RemoveUnknown,
    Kind::RemoveAt(2),
    Kind::Get(None),
    Kind::Get(Some(1)),
    Kind::Get(Some(2)),
    Kind::GetAt(1, 1),
    Kind::Swap(2, 2, 1),
    Kind::Swap(1, 3, 0),
    Kind::SwapUnknown(2, 1),
    Kind::Mismatch(1),
    Kind::Mismatch(0),
    Kind::Lose(2),
];

/// An operation with the moments of its call and its end.
#[derive(Debug, Clone, Copy)]
struct Small {
    kind: Kind,
    called: usize,
    ended: usize,
}

impl Kind {
    fn is_unknown(self) -> bool {
        matches!(
            self,
            Self::PutUnknown(_) | Self::RemoveUnknown | Self::SwapUnknown(..)
        )
    }

    /// The version that it gets.
    fn version(self) -> Option<u64> {
        match self {
            Self::PutAt(_, version) | Self::RemoveAt(version) | Self::Swap(_, version, _) => {
                Some(version)
            }
            _ => None,
        }
    }
}

/// The entry: its value, and its version where it is known. 0 is the version of no entry.
#[derive(Debug, Clone, Copy)]
struct Entry {
    value: Option<u64>,
    version: Option<u64>,
}

impl Entry {
    /// Whether it may be, and whether it must be, at this version.
    fn at(self, wanted: u64, owned: &[u64]) -> (bool, bool) {
        match self.version {
            _ if wanted == 0 => (self.value.is_none(), self.value.is_none()),
            Some(version) => (version == wanted, version == wanted),
            // Nobody else can have left a version that is told of a write.
            None => (!owned.contains(&wanted), false),
        }
    }

    /// As [`Entry::at`], for a write that wants this version: nothing lives at a tombstone's.
    fn live_at(self, wanted: u64, owned: &[u64]) -> (bool, bool) {
        if self.value.is_none() {
            (wanted == 0, wanted == 0)
        } else {
            self.at(wanted, owned)
        }
    }

    /// The entry after the operation, if it can have done what it says.
    fn after(self, kind: Kind, owned: &[u64]) -> Option<Self> {
        let write = |value| Self {
            value,
            version: kind.version(),
        };
        match kind {
            Kind::Put(value) | Kind::PutAt(value, _) | Kind::PutUnknown(value) => {
                Some(write(Some(value)))
            }
            Kind::Remove | Kind::RemoveUnknown | Kind::RemoveAt(_) => Some(write(None)),
            Kind::Get(value) => (self.value == value).then_some(self),
            Kind::GetAt(value, version) => {
                (self.value == Some(value) && self.at(version, owned).0).then_some(self)
            }
            Kind::Swap(value, _, wanted) | Kind::SwapUnknown(value, wanted) => {
                self.live_at(wanted, owned).0.then(|| write(Some(value)))
            }
            Kind::Mismatch(wanted) => (!self.live_at(wanted, owned).1).then_some(self),
            Kind::Lose(by) => self.at(by, owned).0.then_some(self),
        }
    }
}

/// Tries every order of every subset that leaves out unknown operations only.
fn brute(ops: &[Small]) -> bool {
    let beginning = Entry {
        value: None,
        version: Some(0),
    };
    extend(ops, &mut vec![false; ops.len()], beginning, 0)
}

fn extend(ops: &[Small], done: &mut [bool], entry: Entry, highest: u64) -> bool {
    let left = ops.iter().zip(&*done).filter(|(_, done)| !**done);
    let owned: Vec<u64> = ops.iter().filter_map(|op| op.kind.version()).collect();
    let left: Vec<Small> = left.map(|(op, _)| *op).collect();
    if left.iter().all(|op| op.kind.is_unknown()) {
        return true;
    }
    for index in 0..ops.len() {
        let op = ops[index];
        let overtakes = left.iter().any(|other| other.ended < op.called);
        let grows = op.kind.version().is_none_or(|version| version > highest);
        if done[index] || overtakes || !grows {
            continue;
        }
        let Some(after) = entry.after(op.kind, &owned) else {
            continue;
        };
        done[index] = true;
        let found = extend(
            ops,
            done,
            after,
            highest.max(op.kind.version().unwrap_or(0)),
        );
        done[index] = false;
        if found {
            return true;
        }
    }
    false
}

fn stamp(number: u64) -> Stamp {
    if number == 0 {
        Stamp::ZERO
    } else {
        version(number)
    }
}

/// The history in which these operations were called and ended at their moments.
fn history(ops: &[Small]) -> History {
    let script = Script::default();
    let mut calls = vec![None; ops.len()];
    for moment in 0..2 * ops.len() {
        for (index, op) in ops.iter().enumerate() {
            let session = format!("s{index}");
            if op.called == moment {
                let action = match op.kind {
                    Kind::Put(value) | Kind::PutAt(value, _) | Kind::PutUnknown(value) => {
                        put("k", value)
                    }
                    Kind::Remove | Kind::RemoveUnknown | Kind::RemoveAt(_) => remove("k"),
                    Kind::Get(_) | Kind::GetAt(..) => {
                        grid_testkit::history::Action::get(Source::Server, "lists", "k")
                    }
                    Kind::Swap(value, _, wanted) | Kind::SwapUnknown(value, wanted) => {
                        put("k", value).if_version(stamp(wanted))
                    }
                    Kind::Mismatch(wanted) => put("k", 9).if_version(stamp(wanted)),
                    Kind::Lose(_) => put("k", 9),
                };
                calls[index] = Some(script.call(&session, action));
            }
            if op.ended == moment {
                let outcome = match op.kind {
                    Kind::Put(_) | Kind::Remove => Outcome::acked(),
                    Kind::PutAt(_, version)
                    | Kind::RemoveAt(version)
                    | Kind::Swap(_, version, _) => Outcome::acked_at(stamp(version)),
                    Kind::PutUnknown(_) | Kind::RemoveUnknown | Kind::SwapUnknown(..) => continue,
                    Kind::Get(value) => Outcome::Read(value.map_or_else(Seen::absent, Seen::value)),
                    Kind::GetAt(value, version) => {
                        Outcome::Read(Seen::value(value).at(stamp(version)))
                    }
                    Kind::Mismatch(_) => Outcome::rejected(RejectReason::VersionMismatch),
                    Kind::Lose(by) => Outcome::Superseded {
                        by: Some(stamp(by)),
                    },
                };
                if let Some(call) = &calls[index] {
                    script.end(call, outcome);
                }
            }
        }
    }
    script.history()
}

/// Asserts that both say the same of these operations, and returns what they say.
fn compare(ops: &[Small], told: &str) -> bool {
    // Unknown operations never end.
    let unending: Vec<Small> = ops
        .iter()
        .map(|op| Small {
            ended: if op.kind.is_unknown() {
                usize::MAX
            } else {
                op.ended
            },
            ..*op
        })
        .collect();
    let expected = brute(&unending);
    match check_linearizable(&history(ops)) {
        Ok(_) => assert!(expected, "a pass that should not be: {ops:#?}\n{told}"),
        Err(violation) => {
            assert_eq!(violation.finding, Finding::Broken);
            assert!(!expected, "{violation}\n{ops:#?}\n{told}");
        }
    }
    expected
}

fn versions_are_unique(kinds: &[Kind]) -> bool {
    let mut versions: Vec<u64> = kinds.iter().filter_map(|kind| kind.version()).collect();
    let count = versions.len();
    versions.sort_unstable();
    versions.dedup();
    versions.len() == count
}

/// Every way in which `count` operations can overlap, the first called first.
fn overlaps(count: usize) -> Vec<Vec<(usize, usize)>> {
    let mut all = vec![(0, Vec::new(), Vec::new())];
    for moment in 0..2 * count {
        let mut next = Vec::new();
        for (called, open, spans) in all {
            let mut spans: Vec<(usize, usize)> = spans;
            for position in 0..Vec::len(&open) {
                let mut open: Vec<usize> = open.clone();
                let mut spans = spans.clone();
                spans[open.remove(position)].1 = moment;
                next.push((called, open, spans));
            }
            if called < count {
                let mut open = open;
                open.push(called);
                spans.push((moment, usize::MAX));
                next.push((called + 1, open, spans));
            }
        }
        all = next;
    }
    all.into_iter().map(|(_, _, spans)| spans).collect()
}

#[test]
fn every_history_of_up_to_three_operations_is_judged_as_by_trying_all_orders() {
    let mut judged = [0_usize; 2];
    for count in 1..=3 {
        let overlaps = overlaps(count);
        for choice in 0..KINDS.len().pow(u32::try_from(count).unwrap()) {
            let digit = |place: u32| choice / KINDS.len().pow(place) % KINDS.len();
            let places = 0..u32::try_from(count).unwrap();
            let kinds: Vec<Kind> = places.map(|place| KINDS[digit(place)]).collect();
            if !versions_are_unique(&kinds) {
                continue;
            }
            for spans in &overlaps {
                let ops = small(&kinds, spans);
                judged[usize::from(compare(&ops, ""))] += 1;
            }
        }
    }
    assert!(judged[0] > 10_000 && judged[1] > 10_000, "{judged:?}");
}

#[test]
fn histories_of_four_to_six_operations_are_judged_as_by_trying_all_orders() {
    let overlaps: Vec<_> = (0..=6).map(overlaps).collect();
    let mut judged = [0_usize; 2];
    for seed in seeds(0..12_000) {
        let mut chance = fastrand::Rng::with_seed(seed);
        let count = chance.usize(4..=6);
        let mut kinds = Vec::new();
        while kinds.len() < count {
            kinds.push(KINDS[chance.usize(..KINDS.len())]);
            if !versions_are_unique(&kinds) {
                kinds.pop();
            }
        }
        let spans = &overlaps[count][chance.usize(..overlaps[count].len())];
        judged[usize::from(compare(&small(&kinds, spans), &replay(seed)))] += 1;
    }
    let both = judged[0] > 1_000 && judged[1] > 1_000;
    assert!(both || judged[0] + judged[1] == 1, "{judged:?}");
}

fn small(kinds: &[Kind], spans: &[(usize, usize)]) -> Vec<Small> {
    let ops = kinds.iter().zip(spans);
    ops.map(|(kind, (called, ended))| Small {
        kind: *kind,
        called: *called,
        ended: *ended,
    })
    .collect()
}
