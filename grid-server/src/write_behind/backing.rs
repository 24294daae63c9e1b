//! What the database has of one partition, and what waits for it.

use std::time::Duration;

use grid_core::Sequence;
use grid_core::traits::{Position, StateRecord};

use super::dead_letters::{Buried, DeadLetter};
use super::settling::Orders;
use super::waiting::Waiting;

/// What the database has of one partition, and what waits for it.
#[derive(Debug)]
pub(crate) struct Backing {
    /// The state record as it was stored last. Everything up to its sequence is stored, in the
    /// version of then or a later one.
    state: StateRecord,
    /// The journal batch of that state.
    position: Position,
    pass: Option<PassUnderWay>,
    /// Tombstones up to here were collected.
    collected: Sequence,
    /// Tombstones are not collected until then, by the monotonic clock.
    pub(super) collect_not_before: Duration,
    /// The journal batches after `position`, without those of which the pass under way has stored
    /// the changes.
    waiting: Waiting,
    /// When the first of them was written, by the monotonic clock.
    waiting_since: Option<Duration>,
    in_doubt: Option<Doubt>,
    /// Somebody waits until everything up to here is stored.
    urgent: Sequence,
    /// Versions that the database refused for good.
    pub(crate) buried: Buried,
    /// What operators have ordered for them.
    pub(crate) orders: Orders,
    /// Whether the database was asked what it has. Until then nothing is stored.
    confirmed: bool,
}

/// A state record that was on its way when the database gave no answer, or may have been when the
/// partition was loaded, from a former process: it may still be stored, in place of a later one of
/// the same sequence. Reading what the database has does not settle it, for what is not there yet
/// may still come. A record of a higher sequence does.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    sequence: Sequence,
    position: Position,
}

/// How far a pass is.
#[derive(Debug)]
struct PassUnderWay {
    goal: Goal,
    /// Everything up to here is stored, in the version of the pass's begin or a later one.
    through: Sequence,
    /// Bytes that were counted down for its pieces.
    counted_down: u64,
}

/// Where a pass leads: a state to whose sequence everything is stored when the pass is over.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    pub(super) state: StateRecord,
    pub(super) position: Position,
    /// Up to where tombstones may be forgotten then.
    pub(super) horizon: Sequence,
    /// What waited at the pass's begin.
    bytes: u64,
    /// When that was.
    at: Duration,
}

impl Backing {
    /// Of a partition that was loaded: the database is at `state`, which is that of the journal's
    /// batch at `position`.
    pub(crate) fn new(state: StateRecord, position: Position, buried: Buried) -> Self {
        Self {
            state,
            position,
            pass: None,
            collected: Sequence::ZERO,
            collect_not_before: Duration::ZERO,
            waiting: Waiting::default(),
            waiting_since: None,
            in_doubt: None,
            urgent: Sequence::ZERO,
            buried,
            orders: Orders::default(),
            confirmed: true,
        }
    }

    /// Of a partition that was made of the journal alone: the database may have `nothing` of it, or
    /// anything.
    pub(crate) fn unconfirmed(nothing: StateRecord) -> Self {
        Self {
            confirmed: false,
            ..Self::new(nothing, Position(0), Buried::new())
        }
    }

    /// Whether it is known what the database has.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// The database was asked, and has what `found` says, of a partition whose last batch is
    /// `tail`.
    pub(crate) fn confirm(&mut self, found: Self, tail: Position) {
        let is_level = found.position == tail;
        *self = Self {
            // More than waits by now, if the database has a part: until it has all.
            waiting: if is_level {
                Waiting::default()
            } else {
                std::mem::take(&mut self.waiting)
            },
            waiting_since: self.waiting_since.filter(|_| !is_level),
            urgent: self.urgent,
            orders: std::mem::take(&mut self.orders),
            ..found
        };
    }

    pub(crate) fn state(&self) -> &StateRecord {
        &self.state
    }

    /// Everything up to here survives the loss of the journal.
    pub(crate) fn sequence(&self) -> Sequence {
        self.state.sequence
    }

    /// Whether the version of a letter, or a later one, is stored: one that is found nevertheless
    /// came late, or was read before.
    pub(crate) fn has_settled(&self, letter: &DeadLetter) -> bool {
        letter.record.sequence <= self.sequence() && !self.buried.contains_key(&letter.cursor())
    }

    /// Everything up to here is in the database, be it as a dead letter. Beyond
    /// [`Backing::sequence`] the journal is needed all the same: what else the state record
    /// remembers is not stored yet.
    pub(crate) fn through(&self) -> Sequence {
        let pass = self.pass.as_ref();
        pass.map_or(self.state.sequence, |pass| pass.through)
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    pub(super) fn collected(&self) -> Sequence {
        self.collected
    }

    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.waiting.bytes()
    }

    pub(crate) fn waiting_since(&self) -> Option<Duration> {
        self.waiting_since
    }

    /// A batch of so many bytes, or several, which lead to `through`, were journalled and applied.
    pub(crate) fn journalled(&mut self, through: Sequence, bytes: usize, now: Duration) {
        self.waiting.add(through, bytes as u64);
        self.waiting_since.get_or_insert(now);
    }

    /// Somebody waits until everything up to `sequence` is stored.
    pub(crate) fn hurry(&mut self, sequence: Sequence) {
        self.urgent = self.urgent.max(sequence);
    }

    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent > self.state.sequence
    }

    /// What the journal may forget of a partition that was just loaded, if anything: a state that
    /// was on its way from a former process may still take the place of the one that was found.
    /// Where there is something to store, the end of the pass tells.
    pub(crate) fn forgettable(&self) -> Option<Position> {
        match self.in_doubt {
            Some(doubt) if doubt.sequence > self.state.sequence => None,
            Some(doubt) => Some(doubt.position.min(self.position)),
            None => Some(self.position),
        }
    }

    /// It is not known whether a state of this sequence, and of this position or a later one, is
    /// still on its way: no answer came to it, or a former process has sent it.
    pub(crate) fn doubt(&mut self, sequence: Sequence, position: Position) {
        let doubt = Doubt { sequence, position };
        self.in_doubt = Some(match self.in_doubt {
            Some(before) if before.sequence > sequence => before,
            Some(before) if before.sequence == sequence => Doubt {
                position: before.position.min(position),
                ..doubt
            },
            _ => doubt,
        });
    }

    /// Whether the journal of a partition that is at `sequence` is kept for a state that may still
    /// take the place of the last one, and nothing waits that would settle it.
    pub(crate) fn is_held_up(&self, sequence: Sequence) -> bool {
        let doubt = self.in_doubt.filter(|doubt| doubt.sequence >= sequence);
        let is_replaceable = doubt.is_some_and(|doubt| doubt.position < self.position);
        is_replaceable && self.state.sequence == sequence
    }

    /// Tombstones were collected up to `horizon`.
    pub(super) fn collect(&mut self, horizon: Sequence) {
        self.collected = self.collected.max(horizon);
    }

    /// Where the pass under way leads, if one is.
    pub(super) fn goal(&self) -> Option<&Goal> {
        self.pass.as_ref().map(|pass| &pass.goal)
    }

    /// A pass begins whose goal is `state`, that of the journal's batch at `position`.
    pub(super) fn begin(
        &mut self,
        state: StateRecord,
        position: Position,
        horizon: Sequence,
        now: Duration,
    ) -> &Goal {
        let pass = PassUnderWay {
            goal: Goal {
                state,
                position,
                horizon,
                bytes: self.waiting.bytes(),
                at: now,
            },
            through: self.state.sequence,
            counted_down: 0,
        };
        &self.pass.insert(pass).goal
    }

    /// A piece of the pass was stored, which is not the last one: everything up to `through` is.
    ///
    /// Who waits for room need not wait for the pass's end. Until then the journal may hold twice
    /// what may wait, for it is trimmed at the end only.
    pub(super) fn piece_stored(&mut self, through: Sequence) {
        if let Some(pass) = &mut self.pass {
            pass.through = through;
            pass.counted_down += self.waiting.stored(through);
        }
    }

    /// A pass is over; returns whether the journal may forget what came before its goal.
    pub(super) fn reached(&mut self, goal: Goal) -> bool {
        let counted_down = self.pass.take().map_or(0, |pass| pass.counted_down);
        // A late one of a lower sequence is refused; a late one of this position is the same.
        let may_come = |doubt: &Doubt| doubt.sequence >= goal.state.sequence;
        self.in_doubt = self.in_doubt.filter(may_come);
        let doubt = self.in_doubt;
        let is_certain = doubt.is_none_or(|doubt| doubt.position >= goal.position);
        self.state = goal.state;
        self.position = goal.position;
        let left = goal.bytes.saturating_sub(counted_down);
        self.waiting.stored_bytes(left);
        self.waiting_since = (self.waiting.bytes() > 0).then_some(goal.at);
        is_certain
    }
}
