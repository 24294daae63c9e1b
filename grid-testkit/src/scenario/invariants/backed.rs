//! One partition as its journal and its database have it.

use std::collections::{BTreeMap, BTreeSet};

use grid_core::Sequence;
use grid_core::partition::Partition;
use grid_core::traits::RecordCursor;

use crate::scenario::contents::versions;

/// What journal and database have of one partition.
#[derive(Debug, Default)]
pub(super) struct Backed {
    /// The last change that the journal has.
    journalled: Sequence,
    /// Changes after the state record.
    awaited: BTreeMap<Sequence, RecordCursor>,
    /// The database's records.
    stored: BTreeMap<RecordCursor, Sequence>,
    /// Its dead letters.
    buried: BTreeMap<RecordCursor, Sequence>,
    /// The sequence of its state record.
    level: Sequence,
}

impl Backed {
    pub(super) fn journalled(&self) -> Sequence {
        self.journalled
    }

    /// So many changes up to `sequence` come after all that the database has without a gap. A
    /// change that another one has followed makes no gap: it is the later one that is to be stored.
    pub(super) fn waiting(&self, sequence: Sequence) -> u64 {
        let mut later = BTreeSet::new();
        let lacking = self.awaited.iter().rev().filter(|(sequence, cursor)| {
            later.insert((*cursor).clone()) && !self.has(cursor, **sequence)
        });
        let first = lacking.last().map(|(first, _)| *first);
        first.map_or(0, |first| (sequence.0 + 1).saturating_sub(first.0))
    }

    /// The journal has everything up to here.
    pub(super) fn journal(&mut self, through: Sequence) {
        self.journalled = through;
    }

    /// A change that the state record must not pass before it is stored.
    pub(super) fn await_store(&mut self, cursor: RecordCursor, sequence: Sequence) {
        if sequence > self.level {
            self.awaited.insert(sequence, cursor);
        }
    }

    pub(super) fn store(&mut self, cursor: RecordCursor, sequence: Sequence) {
        let stored = self.stored.entry(cursor).or_default();
        *stored = sequence.max(*stored);
    }

    pub(super) fn bury(&mut self, cursor: RecordCursor, sequence: Sequence) {
        self.buried.insert(cursor, sequence);
    }

    /// A letter is gone; returns whether the database has what it held, or a later version.
    pub(super) fn unbury(&mut self, cursor: &RecordCursor, sequence: Sequence) -> bool {
        self.buried.remove(cursor);
        self.has(cursor, sequence)
    }

    /// Whether the database has this change of an entry, or a later one, be it as a dead letter.
    pub(super) fn has(&self, cursor: &RecordCursor, sequence: Sequence) -> bool {
        let held = self.stored.get(cursor).max(self.buried.get(cursor));
        held.is_some_and(|held| *held >= sequence)
    }

    /// The state record names `through`; returns a change up to there that the database lacks.
    pub(super) fn state(&mut self, through: Sequence) -> Option<(RecordCursor, Sequence)> {
        self.level = through.max(self.level);
        let later = self.awaited.split_off(&self.level.next());
        let passed = std::mem::replace(&mut self.awaited, later).into_iter();
        let mut lacking = passed.filter(|(sequence, cursor)| !self.has(cursor, *sequence));
        lacking.next().map(|(sequence, cursor)| (cursor, sequence))
    }

    /// The database was put back to a backup and holds this.
    pub(super) fn hold(&mut self, partition: &Partition) {
        self.stored = versions(partition).collect();
        self.buried.clear();
        self.level = partition.sequence();
    }

    /// A server goes on from there, with the journal, or on a new history, with the database alone.
    pub(super) fn go_back(&mut self, sequence: Sequence, is_new_history: bool) {
        self.journalled = sequence;
        self.awaited.clear();
        if is_new_history {
            self.level = sequence;
        }
    }
}
