//! What every device was told about every write, and what must follow from it in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use grid_core::op::{AckLevel, Op};
use grid_core::protocol::{Ack, Push};
use grid_core::{Key, OpId, Record, Sequence, Stamp};

use super::backup::Remains;
use super::event::Told;
use super::rulings::Rulings;
use crate::history::Outcome;

/// One write of one device.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) device: usize,
    pub(super) map: String,
    pub(super) key: String,
    /// The value that was put; none for a removal.
    pub(super) value: Option<Bytes>,
    pub(super) op: Option<OpId>,
    pub(super) told: Told,
    /// The device's wall clock before the call, in milliseconds.
    pub(super) from_ms: u64,
    /// Whether the device's clock was never far off, so that its stamps stand as they are.
    pub(super) fair_clock: bool,
    /// Whether the device's clock was ever far ahead.
    pub(super) fast_clock: bool,
    /// Whether it was to happen only if nobody else had written meanwhile.
    pub(super) conditional: bool,
}

impl Entry {
    /// The version under which a server took it, as far as one said so.
    fn taken_at(&self, book: &Book) -> Option<Stamp> {
        let op = self.op?;
        let taken = matches!(book.rulings.of(op), Some(Outcome::Acked { .. }));
        book.rulings.version(op).filter(|_| taken)
    }

    /// What is there after it.
    fn left(&self) -> Left {
        (
            self.device,
            self.map.clone(),
            self.key.clone(),
            self.value.clone(),
        )
    }

    /// Whether `left` is what is there after it.
    fn leaves(&self, left: &Left) -> bool {
        let (device, map, key, value) = left;
        self.device == *device && self.map == *map && self.key == *key && self.value == *value
    }
}

/// What a device's write leaves: the device, map, key and value.
pub(super) type Left = (usize, String, String, Option<Bytes>);

/// All writes, in the order in which they were begun, and the servers' verdicts.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    entries: Vec<Entry>,
    rulings: Rulings,
}

/// A value and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The value, as CBOR.
    pub value: Bytes,
    /// The version.
    pub stamp: Stamp,
}

/// The entries of all maps in the end, by map and key.
pub type FinalState = BTreeMap<(String, String), Versioned>;

/// How far two fair clocks may be apart, in milliseconds, with the time that a call takes.
const CLOCK_SLACK_MS: u64 = 5000;

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a write begins, and returns its number.
    pub(super) fn begin(&self, entry: Entry) -> usize {
        let entries = &mut self.lock().entries;
        entries.push(entry);
        entries.len() - 1
    }

    /// Notes what a device was told about a write.
    pub(super) fn told(&self, number: usize, op: Option<OpId>, told: Told) {
        if let Some(entry) = self.lock().entries.get_mut(number) {
            entry.op = op.or(entry.op);
            entry.told = told;
        }
    }

    /// Notes what a device pushes, and of which ops it is told at which level.
    pub(super) fn pushed(&self, push: &Push, level: impl Fn(&Op) -> AckLevel) {
        self.lock().rulings.pushed(push, level);
    }

    /// Notes the verdicts that a server sends.
    pub(super) fn verdicts(&self, ack: &Ack) {
        self.lock().rulings.acked(ack);
    }

    /// Notes that a server was put back to a backup.
    pub(super) fn put_back(&self, remains: &Remains) {
        self.lock().rulings.put_back(remains);
    }

    /// What a write left on its device.
    pub(super) fn left(&self, number: usize) -> Option<Left> {
        self.lock().entries.get(number).map(Entry::left)
    }

    /// The versions of the writes that left just this; none where it is not known yet.
    pub(super) fn versions_of(&self, left: &Left) -> Vec<Option<Stamp>> {
        let book = self.lock();
        let own = book.entries.iter().filter(|entry| entry.leaves(left));
        own.map(|entry| book.rulings.version(entry.op?)).collect()
    }

    /// What servers said of an op, as far as they said it.
    pub(super) fn said(&self, op: OpId) -> Option<Outcome> {
        self.lock().rulings.of(op).cloned()
    }

    /// What servers said of all ops of which devices know, each with its device.
    pub(super) fn said_of_all(&self) -> BTreeMap<OpId, (usize, Outcome)> {
        let book = self.lock();
        let said = book.entries.iter().filter_map(|entry| {
            let op = entry.op?;
            Some((op, (entry.device, book.rulings.of(op)?.clone())))
        });
        said.collect()
    }

    /// The keys that were written, by map.
    pub(super) fn keys(&self) -> Vec<(String, String)> {
        let mut keys: Vec<(String, String)> = self
            .lock()
            .entries
            .iter()
            .map(|entry| (entry.map.clone(), entry.key.clone()))
            .collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// Whether the device of an op is told before the journal has it.
    pub(super) fn is_in_memory(&self, op: OpId) -> bool {
        self.lock().rulings.is_in_memory(op)
    }

    /// The entries, by map and key, of which somebody was told before the journal had it: what they
    /// hold in the end is what servers say, and nothing follows from what devices were told.
    pub(super) fn unpromised(&self) -> BTreeSet<(String, String)> {
        let book = self.lock();
        let entries = book.entries.iter();
        let unpromised = entries.filter(|entry| {
            let op = entry.op;
            op.is_some_and(|op| book.rulings.is_in_memory(op))
        });
        unpromised
            .map(|entry| (entry.map.clone(), entry.key.clone()))
            .collect()
    }

    /// The writes that servers decided and did not refuse, each with its map.
    pub(super) fn decided(&self) -> Vec<(String, Record)> {
        let book = self.lock();
        let record = |entry: &Entry| {
            let op = entry.op.filter(|op| book.rulings.is_taken(*op))?;
            let record = Record {
                key: Key::new(&entry.key).ok()?,
                value: entry.value.clone(),
                stamp: book.rulings.version(op)?,
                sequence: Sequence::ZERO,
                expires_at_ms: None,
            };
            Some((entry.map.clone(), record))
        };
        book.entries.iter().filter_map(record).collect()
    }

    /// Checks that every write was decided, and that what was refused left no trace.
    pub(super) fn check_refused(&self, state: &FinalState) -> Result<(), String> {
        let book = self.lock();
        for entry in &book.entries {
            let ruling = entry.op.and_then(|op| book.rulings.of(op));
            let told = if book.may_be_forgotten(entry) {
                &Told::Unknown
            } else {
                &entry.told
            };
            match (told, ruling) {
                (Told::Durable, None) => {
                    return Err(format!("never decided: {}", describe(entry)));
                }
                (Told::Rejected(_), _) | (_, Some(Outcome::Rejected { .. })) => {
                    check_no_trace(entry, state)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks the final state, which all parties share, against what was told. `forgets` says
    /// that removals were forgotten in the run, `steady` that no server's clock ever jumped.
    pub(super) fn check(
        &self,
        state: &FinalState,
        forgets: bool,
        steady: bool,
    ) -> Result<(), String> {
        let book = self.lock();
        let entries = &book.entries;
        for ((map, key), found) in state {
            check_winner(&book, map, key, found)?;
            if steady && !forgets {
                book.check_own_order(found)?;
            }
        }
        for entry in entries {
            let ruling = entry.op.and_then(|op| book.rulings.of(op));
            if book.may_be_forgotten(entry) {
                if book.is_taken(entry) {
                    check_not_lost(&book, entry, state, forgets)?;
                }
                continue;
            }
            match (&entry.told, ruling) {
                (Told::Rejected(_) | Told::Unknown | Told::Failed(_), _) => {}
                // Its device lost its power before it was told; what the server said stands.
                (Told::Durable, None | Some(Outcome::Rejected { .. })) => {}
                _ => check_not_lost(&book, entry, state, forgets)?,
            }
        }
        drop(book);
        self.check_refused(state)
    }
}

impl Book {
    /// Whether a server decided it, and did not refuse it.
    fn is_taken(&self, entry: &Entry) -> bool {
        entry.op.is_some_and(|op| self.rulings.is_taken(op))
    }

    /// Whether a server may not know any more how it ruled.
    fn may_be_forgotten(&self, entry: &Entry) -> bool {
        entry.op.is_some_and(|op| self.rulings.may_be_forgotten(op))
    }

    /// Nothing that a device wrote loses to what the same device wrote before it.
    ///
    /// What is stamped by a clock that is minutes ahead is stamped anew, by as much as the clock
    /// was ahead when the connection began; if it jumps meanwhile, that is a guess.
    fn check_own_order(&self, found: &Versioned) -> Result<(), String> {
        let by_winner = |entry: &Entry| entry.op == Some(found.stamp.op);
        let Some(winner) = self.entries.iter().position(by_winner) else {
            return Ok(());
        };
        let (earlier, later) = self.entries.split_at(winner + 1);
        let Some(won) = earlier.last() else {
            return Ok(());
        };
        let counts = |entry: &&Entry| match &entry.told {
            _ if self.may_be_forgotten(entry) => self.is_taken(entry),
            Told::Acked | Told::Superseded => true,
            Told::Durable => self.is_taken(entry),
            _ => false,
        };
        let mut own = later.iter().filter(|entry| {
            entry.device == won.device && entry.map == won.map && entry.key == won.key
        });
        // Order is promised within a run. A later run is later by its stamps, but not where the
        // server had to set them back: it goes by the device's clock then, and that may be behind
        // what an earlier run had seen of others.
        let run = |entry: &Entry| entry.op.map(|op| op.run);
        let promised = |entry: &&Entry| !entry.fast_clock || run(entry) == run(won);
        match own.find(|entry| promised(entry) && counts(entry)) {
            Some(lost) => Err(format!(
                "it lost against an earlier write of its own device, {}: {}",
                describe(won),
                describe(lost)
            )),
            None => Ok(()),
        }
    }
}

fn describe(entry: &Entry) -> String {
    let what = match &entry.value {
        Some(value) => format!("put {}", shown(value)),
        None => "removal".to_owned(),
    };
    let op = entry.op.map(|op| format!(" (op {op})")).unwrap_or_default();
    let condition = if entry.conditional {
        "conditional "
    } else {
        ""
    };
    format!(
        "the {condition}{what} of {}/{} by device {}{op}, told {:?}",
        entry.map, entry.key, entry.device, entry.told
    )
}

/// A CBOR value in short.
pub(super) fn shown(value: &[u8]) -> String {
    match ciborium::from_reader::<ciborium::Value, _>(value) {
        Ok(ciborium::Value::Integer(number)) => i128::from(number).to_string(),
        Ok(ciborium::Value::Text(text)) => format!("{text:?}"),
        Ok(value) => format!("{value:?}"),
        Err(_) => format!("{} bytes", value.len()),
    }
}

/// The version that won was written by somebody, with this value, and nobody was told otherwise.
fn check_winner(book: &Book, map: &str, key: &str, found: &Versioned) -> Result<(), String> {
    let entries = &book.entries;
    let here = |entry: &&Entry| entry.map == map && entry.key == key;
    let by_id = entries.iter().find(|e| e.op == Some(found.stamp.op));
    if let Some(writer) = by_id {
        if !here(&writer) || writer.value.as_ref() != Some(&found.value) {
            let value = shown(&found.value);
            return Err(format!(
                "{map}/{key} holds {value} under the version of {}",
                describe(writer)
            ));
        }
        return match writer.told {
            Told::Superseded | Told::Rejected(_) if book.may_be_forgotten(writer) => Ok(()),
            Told::Superseded | Told::Rejected(_) | Told::Failed(_) => {
                Err(format!("it won all the same: {}", describe(writer)))
            }
            _ => Ok(()),
        };
    }
    // Only a write whose call never returned can have won without a name.
    let nameless =
        |entry: &&Entry| entry.op.is_none() && entry.value.as_ref() == Some(&found.value);
    if entries.iter().filter(here).any(|entry| nameless(&entry)) {
        return Ok(());
    }
    Err(format!(
        "{map}/{key} holds {} at {}, which nobody wrote",
        shown(&found.value),
        found.stamp
    ))
}

fn check_no_trace(entry: &Entry, state: &FinalState) -> Result<(), String> {
    let found = state.get(&(entry.map.clone(), entry.key.clone()));
    match found {
        Some(found) if Some(found.stamp.op) == entry.op => {
            Err(format!("it left a trace: {}", describe(entry)))
        }
        _ => Ok(()),
    }
}

/// A write that the server took is the winner, or lost against one that was stamped later than this
/// one can have been; or the key was removed, the removal forgotten, and somebody who never saw the
/// key created it, for others to edit.
fn check_not_lost(
    book: &Book,
    entry: &Entry,
    state: &FinalState,
    forgets: bool,
) -> Result<(), String> {
    let entries = &book.entries;
    let removes = |other: &Entry| {
        other.value.is_none()
            && other.map == entry.map
            && other.key == entry.key
            && !matches!(other.told, Told::Rejected(_) | Told::Failed(_))
    };
    let found = state.get(&(entry.map.clone(), entry.key.clone()));
    match found {
        Some(found) if Some(found.stamp.op) == entry.op => Ok(()),
        Some(found) => {
            let creates = |other: &Entry| {
                let here = other.map == entry.map && other.key == entry.key;
                here && other.op.is_some_and(|op| book.rulings.is_creation(op))
            };
            let created_anew = forgets
                && entries.iter().any(removes)
                && entries
                    .iter()
                    .any(|other| creates(other) && other.op != entry.op);
            let is_older = match entry.taken_at(book) {
                Some(stamp) => found.stamp < stamp,
                None => entry.fair_clock && found.stamp.hlc.millis() < entry.from_ms,
            };
            if is_older && !created_anew {
                return Err(format!(
                    "it lost against the older {}: {}",
                    found.stamp,
                    describe(entry)
                ));
            }
            Ok(())
        }
        None if entry.value.is_some() => {
            let later = |other: &Entry| {
                !entry.fair_clock
                    || !other.fair_clock
                    || other.from_ms + CLOCK_SLACK_MS >= entry.from_ms
            };
            if entries.iter().any(|other| removes(other) && later(other)) {
                return Ok(());
            }
            Err(format!(
                "it is gone, and nobody removed it later: {}",
                describe(entry)
            ))
        }
        None => Ok(()),
    }
}
