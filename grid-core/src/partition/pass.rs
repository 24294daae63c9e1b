//! A pass: how a system of record gets what it lacks, piece by piece, while the partition goes on.
//!
//! A pass has a goal, which is the partition's sequence at its begin, and ends once every version
//! up to the goal is stored, or a later one of its entry. So it ends however much is written
//! meanwhile: what is newer than the goal is for the next pass, unless it took the place of
//! something that the pass still had to store: then it is stored ahead of the goal, and the next
//! pass leaves it out.

use std::collections::{BTreeSet, VecDeque};

use super::machine::Partition;
use super::map_state::MapState;
use super::scan::Budget;
use super::slot::Slot;
use crate::mutation::{Mutation, planted};
use crate::record::Sequence;
use crate::traits::AddressedRecord;

/// A pass under way.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    /// Everything up to here is stored, in its version of the goal or a later one, except what was
    /// displaced.
    through: Sequence,
    goal: Sequence,
    /// Entries that had something to store and then changed again, so that the delta log has them
    /// behind the goal. Each is here once: its sequence is beyond the goal from then on.
    displaced: VecDeque<Displaced>,
}

/// An entry whose version of the goal is gone.
#[derive(Debug, Clone, Copy)]
struct Displaced {
    /// The sequence of that version.
    sequence: Sequence,
    map: u32,
    slot: u32,
}

impl Pass {
    /// Takes note that another version takes the place of that of `sequence`; those `ahead` are
    /// stored already.
    pub(super) fn displaces(
        &mut self,
        ahead: &BTreeSet<Sequence>,
        map: usize,
        slot: u32,
        sequence: Sequence,
    ) {
        let is_wanted =
            sequence > self.through && sequence <= self.goal && !ahead.contains(&sequence);
        if is_wanted && !planted(Mutation::ForgetDisplaced) {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the number of a map in a partition is a u32"
            )]
            let map = map as u32;
            self.displaced.push_back(Displaced {
                sequence,
                map,
                slot,
            });
        }
    }
}

/// A piece of what a system of record lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Records of any map, tombstones included, each key once.
    pub records: Vec<AddressedRecord>,
    /// Where the piece ends.
    pub end: PieceEnd,
}

/// Where a piece ends; [`Partition::piece_stored`] takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PieceEnd {
    /// So many displaced entries are in the piece.
    displaced: usize,
    through: Sequence,
    /// The partition's sequence when the piece was taken.
    taken_at: Sequence,
    /// Whether the system of record has everything of the pass once it has this piece.
    pub last: bool,
}

impl PieceEnd {
    /// The system of record has everything up to here, in the version of the pass's begin or a
    /// later one, once it has the piece.
    #[must_use]
    pub fn through(&self) -> Sequence {
        self.through
    }
}

/// Records up to a budget.
struct Filling {
    budget: Budget,
    records: Vec<AddressedRecord>,
    bytes: usize,
}

impl Filling {
    /// Whether the version still fitted.
    fn takes(&mut self, map: &MapState, slot: &Slot) -> bool {
        let fits = self.records.len() < self.budget.records
            && self.bytes.saturating_add(slot.size()) <= self.budget.bytes;
        if !fits && !self.records.is_empty() {
            return false;
        }
        self.bytes += slot.size();
        self.records.push(AddressedRecord {
            address: map.address().clone(),
            record: slot.record(),
        });
        true
    }
}

impl Partition {
    /// Begins a pass for a system of record that has everything up to `after`, and returns its
    /// first piece, as [`Partition::piece`] does; a pass that was under way is given up. The state
    /// record that goes with it is the one of this moment.
    pub fn begin_pass(&mut self, after: Sequence, budget: Budget) -> Piece {
        self.ahead = self.ahead.split_off(&after.next());
        let pass = Pass {
            through: after,
            goal: self.sequence,
            displaced: VecDeque::new(),
        };
        let first = self.piece_of(&pass, budget);
        self.pass = Some(pass);
        first
    }

    /// The next piece of the pass under way, as much as fits into `budget`, in the versions of now;
    /// the same entries again until [`Partition::piece_stored`] was told. None if no pass is under
    /// way.
    #[must_use]
    pub fn piece(&self, budget: Budget) -> Option<Piece> {
        let pass = self.pass.as_ref()?;
        Some(self.piece_of(pass, budget))
    }

    fn piece_of(&self, pass: &Pass, budget: Budget) -> Piece {
        let mut filling = Filling {
            budget,
            records: Vec::new(),
            bytes: 0,
        };
        let end = self.fill(pass, &mut filling);
        Piece {
            records: filling.records,
            end,
        }
    }

    fn fill(&self, pass: &Pass, filling: &mut Filling) -> PieceEnd {
        let mut end = PieceEnd {
            displaced: 0,
            through: pass.through,
            taken_at: self.sequence,
            last: false,
        };
        for each in &pass.displaced {
            if let Some((map, slot)) = self.holder(*each)
                && !filling.takes(map, slot)
            {
                return end;
            }
            end.displaced += 1;
        }
        let room = filling.budget.records - filling.records.len().min(filling.budget.records);
        // One more than fits, to see whether it is the last piece.
        let most = room.max(1).saturating_add(1);
        for (map, slot) in self.current_within(pass.through, pass.goal, &self.ahead, most) {
            if !filling.takes(map, slot) {
                return end;
            }
            end.through = slot.sequence;
        }
        end.through = pass.goal;
        end.last = true;
        end
    }

    /// Where the version of now of an entry stands that was displaced.
    fn holder(&self, displaced: Displaced) -> Option<(&MapState, &Slot)> {
        let map = self.maps.get(displaced.map as usize)?;
        Some((map, map.slot(displaced.slot)?))
    }

    /// The system of record has the piece that ends there, which was the last that was taken. After
    /// the last piece the pass is over.
    pub fn piece_stored(&mut self, end: PieceEnd) {
        let Some(mut pass) = self.pass.take() else {
            return;
        };
        for each in pass.displaced.drain(..end.displaced) {
            let now = self.holder(each).map(|(_, slot)| slot.sequence);
            // One that has changed since is not the one of the piece.
            self.ahead.extend(now.filter(|now| *now <= end.taken_at));
        }
        if end.last {
            return;
        }
        // What was displaced since the piece was taken, and is in it, is stored.
        pass.displaced.retain(|each| each.sequence > end.through);
        pass.through = end.through;
        self.pass = Some(pass);
    }

    /// Everything that changed after `after`, tombstones included, as it is now, in the order of
    /// the sequences.
    #[must_use]
    pub fn records_after(&self, after: Sequence) -> Vec<AddressedRecord> {
        let found = self.current_within(after, self.sequence, &BTreeSet::new(), usize::MAX);
        let record = |(map, slot): (&MapState, &Slot)| AddressedRecord {
            address: map.address().clone(),
            record: slot.record(),
        };
        found.into_iter().map(record).collect()
    }

    /// Current versions after `after` up to `through` without those of `except`, in the order of
    /// their sequences: the first `most` of them, and more.
    fn current_within(
        &self,
        after: Sequence,
        through: Sequence,
        except: &BTreeSet<Sequence>,
        most: usize,
    ) -> Vec<(&MapState, &Slot)> {
        let of_map = |map| {
            let current = MapState::current_after(map, after);
            let within = current.take_while(move |(place, _)| place.sequence <= through);
            let wanted = within.filter(|(place, _)| !except.contains(&place.sequence));
            wanted.take(most).map(move |(_, slot)| (map, slot))
        };
        let mut found: Vec<_> = self.maps.iter().flat_map(of_map).collect();
        found.sort_unstable_by_key(|(_, slot)| slot.sequence);
        found
    }
}
