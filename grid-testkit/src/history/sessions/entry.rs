//! One entry through the eyes of one session.

use std::collections::BTreeMap;

use grid_core::{RunId, Stamp};

use super::absence::is_explained;
use super::sighting::Item;
use crate::history::operation::{Identity, Operation, Operations, Place};
use crate::history::outcome::Outcome;
use crate::history::violation::{Checked, Guarantee, Violation};

/// What one session knows of one entry at one moment.
pub(super) struct Entry<'o, 'h> {
    operations: &'o Operations<'h>,
    place: Place<'h>,
    /// When each version was first known.
    first: BTreeMap<Identity, (usize, usize)>,
    /// Of what binds, what was called last, and what was called last and is something else.
    latest: [Option<Item>; 2],
    /// Of what binds, the highest version.
    highest: Option<(Stamp, Item)>,
    /// Of the reads that bind, the highest version.
    highest_read: Option<(Stamp, Item)>,
    /// The highest version of the session's own acked writes, by run.
    highest_write: BTreeMap<Option<RunId>, (Stamp, Item)>,
}

impl<'o, 'h> Entry<'o, 'h> {
    pub(super) fn new(operations: &'o Operations<'h>, place: Place<'h>) -> Self {
        Self {
            operations,
            place,
            first: BTreeMap::new(),
            latest: [None, None],
            highest: None,
            highest_read: None,
            highest_write: BTreeMap::new(),
        }
    }

    /// Checks the items, each against those that had returned when it was called.
    pub(super) fn check(&mut self, items: &[Item], checked: &mut Checked) -> Result<(), Violation> {
        let calls = items.iter().map(|item| (item.called, true, item));
        let returns = items.iter().map(|item| (item.returned, false, item));
        let mut moments: Vec<(usize, bool, &Item)> = calls.chain(returns).collect();
        moments.sort_by_key(|(moment, _, _)| *moment);
        for (_, is_call, item) in moments {
            if !is_call {
                self.note(item);
            } else if item.is_write() {
                self.check_write(item, checked)?;
            } else {
                self.check_read(item, checked)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, item: &Item) {
        let Some(identity) = item.identity else {
            return;
        };
        self.first
            .entry(identity)
            .or_insert((item.returned, item.op));
        if !item.binds {
            return;
        }
        self.note_latest(item);
        let Some(version) = item.version else {
            return;
        };
        let raise = |highest: &mut Option<(Stamp, Item)>| {
            if highest.as_ref().is_none_or(|(high, _)| *high < version) {
                *highest = Some((version, item.clone()));
            }
        };
        raise(&mut self.highest);
        if item.is_write() {
            let run = self.op(item).and_then(|op| op.id).map(|id| id.run);
            let mut highest = self.highest_write.remove(&run);
            raise(&mut highest);
            self.highest_write.extend(highest.map(|high| (run, high)));
        } else {
            raise(&mut self.highest_read);
        }
    }

    fn note_latest(&mut self, item: &Item) {
        let [first, second] = &mut self.latest;
        let same = |slot: &Option<Item>| {
            slot.as_ref()
                .is_some_and(|slot| slot.identity == item.identity)
        };
        let later =
            |slot: &Option<Item>| slot.as_ref().is_none_or(|slot| slot.called < item.called);
        if same(first) {
            if later(first) {
                *first = Some(item.clone());
            }
        } else if later(first) {
            *second = first.replace(item.clone());
        } else if later(second) {
            *second = Some(item.clone());
        }
    }

    fn op(&self, item: &Item) -> Option<&Operation<'h>> {
        self.operations.all.get(item.op)
    }

    fn check_read(&self, read: &Item, checked: &mut Checked) -> Result<(), Violation> {
        let Some(identity) = read.identity else {
            checked.undecided += 1;
            return Ok(());
        };
        checked.decided += 1;
        let mut latest = self.latest.iter().flatten();
        let before = latest.find(|item| item.identity != Some(identity));
        if let Some(before) = before {
            if identity == Identity::Absent {
                self.check_absence(before, read)?;
            } else if let Some((known, by)) = self.first.get(&identity)
                && *known < before.called
                && !self.may_be_one(before, identity)
            {
                return Err(self.went_back(before, read, &[*by]));
            }
            self.check_order_of_writes(before, read)?;
        }
        match (&self.highest, read.version) {
            (Some((high, before)), Some(version)) if version < *high => {
                Err(self.went_back(before, read, &[]))
            }
            _ => Ok(()),
        }
    }

    /// Whether `before` saw nothing, and may have seen just what this removal left.
    fn may_be_one(&self, before: &Item, identity: Identity) -> bool {
        let write = self.operations.write_of(identity);
        let op = write.and_then(|write| self.operations.all.get(write));
        before.identity == Some(Identity::Absent) && op.is_none_or(Operation::is_removal)
    }

    fn check_absence(&self, before: &Item, read: &Item) -> Result<(), Violation> {
        let write = before
            .identity
            .and_then(|identity| self.operations.write_of(identity));
        let write = write.and_then(|write| self.operations.all.get(write));
        let was_there = match (write, &before.seen) {
            (Some(write), _) => write.action.value().is_some(),
            (None, seen) => seen.as_ref().is_some_and(|seen| seen.value.is_some()),
        };
        if !was_there || is_explained(self.operations, self.place, before, read) {
            return Ok(());
        }
        let after = if before.is_write() {
            "its own put of"
        } else {
            "it had read"
        };
        let value = self.shown(before);
        let what = format!(
            "reads nothing at {} after {after} {value}, and nobody removed it",
            self.at()
        );
        Err(self.violation(back_from(before), read, &what, &[before.op]))
    }

    /// The two versions are of one session, and are seen the wrong way round.
    fn check_order_of_writes(&self, before: &Item, read: &Item) -> Result<(), Violation> {
        let writer = |item: &Item| {
            let write = self.operations.write_of(item.identity?)?;
            Some((write, self.operations.all.get(write)?))
        };
        let (Some((earlier, one)), Some((later, two))) = (writer(read), writer(before)) else {
            return Ok(());
        };
        let same_writer = one.session == two.session && one.may_share_run(two);
        if !same_writer || !one.returned_before(two.called) {
            return Ok(());
        }
        let what = format!(
            "sees at {} first the later, then the earlier write of {}",
            self.at(),
            one.session
        );
        let ops = [earlier, later, before.op];
        Err(self.violation(Guarantee::MonotonicWrites, read, &what, &ops))
    }

    fn check_write(&self, write: &Item, checked: &mut Checked) -> Result<(), Violation> {
        let op = self.op(write);
        let lost = match op.and_then(Operation::outcome) {
            Some(Outcome::Acked { .. }) => false,
            Some(Outcome::Superseded { .. }) => true,
            _ => return Ok(()),
        };
        let judged = match op.and_then(Operation::outcome) {
            Some(Outcome::Superseded { by }) => *by,
            _ => write.version,
        };
        let Some(judged) = judged else {
            checked.undecided += 1;
            return Ok(());
        };
        checked.decided += 1;
        let verdict = if lost { "superseded by" } else { "acked at" };
        if let Some((high, before)) = &self.highest_read
            && (judged < *high || (judged == *high && !lost))
        {
            let what = format!(
                "is told that its write to {} is {verdict} {judged}, but had read {high} there",
                self.at()
            );
            let ops = [before.op];
            return Err(self.violation(Guarantee::WritesFollowReads, write, &what, &ops));
        }
        let run = op.and_then(|op| op.id).map(|id| id.run);
        let mut own = self.highest_write.iter();
        let own = own.find(|(of, (high, _))| {
            judged <= *high && (of.is_none() || run.is_none() || **of == run)
        });
        match own {
            None => Ok(()),
            Some((_, (high, before))) => {
                let what = format!(
                    "is told that its write to {} is {verdict} {judged}, but an earlier one is \
                     at {high}",
                    self.at()
                );
                let ops = [before.op];
                Err(self.violation(Guarantee::MonotonicWrites, write, &what, &ops))
            }
        }
    }

    fn went_back(&self, before: &Item, read: &Item, further: &[usize]) -> Violation {
        let after = if before.is_write() {
            "after its own write of"
        } else {
            "after it had read"
        };
        let (now, then) = (self.shown(read), self.shown(before));
        let what = format!(
            "reads {now} at {} {after} {then}, which is later",
            self.at()
        );
        let mut ops = vec![before.op];
        ops.extend_from_slice(further);
        self.violation(back_from(before), read, &what, &ops)
    }

    fn violation(
        &self,
        guarantee: Guarantee,
        item: &Item,
        what: &str,
        further: &[usize],
    ) -> Violation {
        let session = self.op(item).map_or("", |op| op.session);
        let mut ops = vec![item.op];
        ops.extend_from_slice(further);
        self.operations
            .broken(guarantee, format!("{session} {what}"), &ops, &[])
    }

    fn at(&self) -> String {
        let (map, key) = self.place;
        format!("{map}/{key}")
    }

    /// What a read saw, or a write left, in words.
    fn shown(&self, item: &Item) -> String {
        if let Some(seen) = &item.seen {
            return seen.to_string();
        }
        match self.op(item).and_then(|op| op.action.value()) {
            Some(value) => value.to_string(),
            None => "nothing".to_owned(),
        }
    }
}

fn back_from(before: &Item) -> Guarantee {
    if before.is_write() {
        Guarantee::ReadYourWrites
    } else {
        Guarantee::MonotonicReads
    }
}
