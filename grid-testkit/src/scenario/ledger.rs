//! What every device was told about every write, and what must follow from it at the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grid_core::{OpId, Stamp};

/// What is known of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// The device lost its power before the call returned: anything may have happened.
    Unknown,
    /// It was durable on the device.
    Durable,
    /// The server took it.
    Acked,
    /// The server had a later version.
    Superseded,
    /// The server refused it.
    Rejected,
}

/// One write of one device.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) device: usize,
    pub(super) map: String,
    pub(super) key: String,
    /// The value that was put; none for a removal.
    pub(super) value: Option<u64>,
    pub(super) op: Option<OpId>,
    pub(super) told: Told,
    /// The device's wall clock before the call, in milliseconds.
    pub(super) from_ms: u64,
    /// Whether the device's clock was never far off, so that its stamps stand as they are.
    pub(super) fair_clock: bool,
}

/// All writes, in the order in which they were begun.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<Vec<Entry>>>);

/// The entries of all maps at the end: value and version by map and key.
pub(super) type FinalState = BTreeMap<(String, String), (u64, Stamp)>;

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a write begins, and returns its number, which is its value as well.
    pub(super) fn begin(&self, entry: impl FnOnce(u64) -> Entry) -> u64 {
        let mut entries = self.lock();
        let number = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        entries.push(entry(number));
        number
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Entry)) {
        let mut entries = self.lock();
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(entry) = entries.get_mut(index) {
            change(entry);
        }
    }

    /// How many writes this device began.
    pub(super) fn written_by(&self, device: usize) -> usize {
        self.lock()
            .iter()
            .filter(|entry| entry.device == device)
            .count()
    }

    /// Notes that a write is durable on its device.
    pub(super) fn durable(&self, number: u64, op: OpId) {
        self.change(number, |entry| {
            entry.op = Some(op);
            entry.told = Told::Durable;
        });
    }

    /// Notes what the server said.
    pub(super) fn told(&self, number: u64, told: Told) {
        self.change(number, |entry| entry.told = told);
    }

    /// How many writes were begun.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Checks the final state, which all parties share, against what was told.
    pub(super) fn check(&self, state: &FinalState, forbidden: &str) -> Result<(), String> {
        let entries = self.lock();
        for ((map, key), (value, stamp)) in state {
            check_winner(&entries, map, key, *value, *stamp)?;
            if key.starts_with(forbidden) {
                return Err(format!("{map}/{key}: a forbidden write left a trace"));
            }
        }
        for entry in entries.iter() {
            let refused = entry.told == Told::Rejected;
            if refused != entry.key.starts_with(forbidden)
                && !matches!(entry.told, Told::Unknown | Told::Durable)
            {
                return Err(format!("{entry:?}: wrong verdict"));
            }
            if !refused && entry.told != Told::Unknown && !entry.key.starts_with(forbidden) {
                check_not_lost(&entries, entry, state)?;
            }
        }
        Ok(())
    }
}

/// The version that won was written by somebody, with this value.
fn check_winner(
    entries: &[Entry],
    map: &str,
    key: &str,
    value: u64,
    stamp: Stamp,
) -> Result<(), String> {
    let writer = entries.iter().find(|entry| entry.value == Some(value));
    match writer {
        Some(writer) if writer.map != map || writer.key != key => {
            Err(format!("{map}/{key} holds the value of {writer:?}"))
        }
        Some(writer) if writer.op.is_some_and(|op| op != stamp.op) => Err(format!(
            "{map}/{key} is at {stamp}, but its value is of {writer:?}"
        )),
        Some(writer) if writer.told == Told::Superseded => {
            Err(format!("{map}/{key}: a superseded write won: {writer:?}"))
        }
        Some(_) => Ok(()),
        None => Err(format!("{map}/{key} holds {value}, which nobody wrote")),
    }
}

/// A write that reached its device's store is the winner, or lost against one that was stamped
/// later than this one can have been.
fn check_not_lost(entries: &[Entry], entry: &Entry, state: &FinalState) -> Result<(), String> {
    if !entry.fair_clock {
        return Ok(());
    }
    match state.get(&(entry.map.clone(), entry.key.clone())) {
        Some((value, stamp))
            if entry.value != Some(*value) && stamp.hlc.millis() < entry.from_ms =>
        {
            return Err(format!("{entry:?} lost against the older {stamp}"));
        }
        Some(_) => {}
        None if entry.value.is_some() => {
            let removed = entries.iter().any(|other| {
                other.value.is_none()
                    && other.map == entry.map
                    && other.key == entry.key
                    && other.told != Told::Rejected
                    && (!other.fair_clock || other.from_ms + CLOCK_SLACK_MS >= entry.from_ms)
            });
            if !removed {
                return Err(format!("{entry:?} is gone, and nobody removed it later"));
            }
        }
        None => {}
    }
    Ok(())
}

/// How far two fair clocks may be apart, in milliseconds, with the time that a call takes.
const CLOCK_SLACK_MS: u64 = 5000;
