//! The operations of a history: calls put together with what they came to.

use std::collections::BTreeMap;

use grid_core::{OpId, Stamp};

use super::action::Action;
use super::event::{Call, Event, Happening};
use super::history::History;
use super::outcome::Outcome;
use super::seen::Seen;
use super::value::Value;
use super::violation::{Finding, Guarantee, Violation};

/// One entry: map and key.
pub(super) type Place<'h> = (&'h str, &'h str);

/// One operation. Moments are indices of events.
#[derive(Debug)]
pub(super) struct Operation<'h> {
    pub(super) session: &'h str,
    pub(super) number: u64,
    pub(super) action: &'h Action,
    pub(super) clock_ms: Option<u64>,
    pub(super) id: Option<OpId>,
    pub(super) called: usize,
    /// When it first returned with something other than "unknown".
    pub(super) returned: Option<usize>,
    /// Everything that was said of it but "durable" and "unknown", in order.
    pub(super) ends: Vec<(usize, &'h Outcome)>,
}

impl<'h> Operation<'h> {
    /// The fate of a write, or the result of a read; none if it is pending or unknown.
    pub(super) fn end(&self) -> Option<(usize, &'h Outcome)> {
        self.ends.first().copied()
    }

    pub(super) fn outcome(&self) -> Option<&'h Outcome> {
        self.end().map(|(_, outcome)| outcome)
    }

    pub(super) fn is_acked(&self) -> bool {
        matches!(self.outcome(), Some(Outcome::Acked { .. }))
    }

    pub(super) fn is_superseded(&self) -> bool {
        matches!(self.outcome(), Some(Outcome::Superseded { .. }))
    }

    pub(super) fn is_rejected(&self) -> bool {
        matches!(self.outcome(), Some(Outcome::Rejected { .. }))
    }

    /// Whether it is a write that is durable on its device and has no fate yet.
    pub(super) fn is_pending(&self) -> bool {
        self.action.is_write() && self.returned.is_some() && self.ends.is_empty()
    }

    /// Whether it returned before the event at `moment`.
    pub(super) fn returned_before(&self, moment: usize) -> bool {
        self.returned.is_some_and(|returned| returned < moment)
    }

    /// Whether nothing speaks against two writes being of one run.
    pub(super) fn may_share_run(&self, other: &Self) -> bool {
        match (self.id, other.id) {
            (Some(one), Some(two)) => one.run == two.run,
            _ => true,
        }
    }

    /// Whether it is a removal.
    pub(super) fn is_removal(&self) -> bool {
        matches!(self.action, Action::Remove { .. })
    }

    pub(super) fn place(&self) -> Option<Place<'h>> {
        Some((self.action.map(), self.action.key()?))
    }

    pub(super) fn name(&self) -> Call {
        Call {
            session: self.session.to_owned(),
            number: self.number,
        }
    }

    /// What the operation reads at `place`, if it returned and looked there.
    pub(super) fn reads(&self, place: Place<'_>) -> Option<Seen> {
        match (self.action, self.outcome()?) {
            (Action::Get { map, key, .. }, Outcome::Read(seen)) => {
                (place == (map.as_str(), key.as_str())).then(|| seen.clone())
            }
            (Action::Scan { map, prefix, .. }, Outcome::Scanned(entries)) => {
                let looked = place.0 == map && place.1.starts_with(prefix.as_str());
                let seen = || entries.get(place.1).cloned();
                looked.then(|| seen().unwrap_or_else(Seen::absent))
            }
            _ => None,
        }
    }
}

/// One version of an entry: equal if and only if the same write left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identity {
    /// What this op left.
    Op(OpId),
    /// What the operation with this index left, whose identity is not known.
    Write(usize),
    /// No entry, and nothing known of how that came.
    Absent,
}

/// All operations of a history, and what it tells of versions.
#[derive(Debug)]
pub(super) struct Operations<'h> {
    pub(super) history: &'h History,
    pub(super) all: Vec<Operation<'h>>,
    /// The first operation with this identity.
    pub(super) by_id: BTreeMap<OpId, usize>,
    /// The version that each op got, wherever the history tells it.
    pub(super) versions: BTreeMap<OpId, Stamp>,
    /// The writes of every entry, in the order of their calls.
    pub(super) writes: BTreeMap<Place<'h>, Vec<usize>>,
    /// The puts of every value of every entry, in the order of their calls.
    puts: BTreeMap<(Place<'h>, &'h Value), Vec<usize>>,
}

impl<'h> Operations<'h> {
    pub(super) fn of(history: &'h History) -> Result<Self, Violation> {
        let mut all: Vec<Operation<'h>> = Vec::new();
        let mut numbered = BTreeMap::new();
        for (moment, event) in history.events().iter().enumerate() {
            match &event.happening {
                Happening::Call {
                    number,
                    action,
                    clock_ms,
                } => {
                    let name = (event.session.as_str(), *number);
                    if numbered.insert(name, all.len()).is_some() {
                        return Err(malformed("the call's number was used before", event));
                    }
                    all.push(Operation {
                        session: &event.session,
                        number: *number,
                        action,
                        clock_ms: *clock_ms,
                        id: None,
                        called: moment,
                        returned: None,
                        ends: Vec::new(),
                    });
                }
                Happening::Return {
                    number,
                    outcome,
                    id,
                } => {
                    let index = numbered.get(&(event.session.as_str(), *number));
                    let Some(op) = index.and_then(|index| all.get_mut(*index)) else {
                        return Err(malformed("nothing was called that could return", event));
                    };
                    take(op, moment, outcome, *id).map_err(|why| malformed(why, event))?;
                }
                Happening::Learned { .. } | Happening::Applied(_) | Happening::State(_) => {}
            }
        }
        let mut operations = Self {
            history,
            all,
            by_id: BTreeMap::new(),
            versions: BTreeMap::new(),
            writes: BTreeMap::new(),
            puts: BTreeMap::new(),
        };
        operations.index();
        operations.learn()?;
        operations.note_versions();
        Ok(operations)
    }

    fn index(&mut self) {
        for (index, op) in self.all.iter().enumerate() {
            if let Some(id) = op.id {
                self.by_id.entry(id).or_insert(index);
            }
            if let Some(place) = op.place()
                && op.action.is_write()
            {
                self.writes.entry(place).or_default().push(index);
                let put = op.action.value().map(|value| (place, value));
                if let Some(put) = put {
                    self.puts.entry(put).or_default().push(index);
                }
            }
        }
    }

    /// Gives fates that were learned by identity to their operations.
    fn learn(&mut self) -> Result<(), Violation> {
        for (moment, event) in self.history.events().iter().enumerate() {
            let Happening::Learned { id, outcome } = &event.happening else {
                continue;
            };
            let index = self.by_id.get(id);
            let Some(op) = index.and_then(|index| self.all.get_mut(*index)) else {
                return Err(malformed("no call is known to be this op", event));
            };
            take(op, moment, outcome, None).map_err(|why| malformed(why, event))?;
            op.ends.sort_by_key(|(moment, _)| *moment);
        }
        Ok(())
    }

    fn note_versions(&mut self) {
        let mut told = Vec::new();
        for event in self.history.events() {
            event.happening.versions(&mut |version| told.push(version));
        }
        for version in told {
            self.versions.entry(version.op).or_insert(version);
        }
    }

    /// The version that a write got, if the history tells it.
    pub(super) fn version(&self, index: usize) -> Option<Stamp> {
        let id = self.all.get(index)?.id?;
        self.versions.get(&id).copied()
    }

    /// The removals of an entry.
    pub(super) fn removals<'a>(&'a self, place: Place<'a>) -> impl Iterator<Item = usize> {
        let writes = self.writes.get(&place).into_iter().flatten().copied();
        writes.filter(|write| self.all.get(*write).is_some_and(Operation::is_removal))
    }

    /// Which version of an entry was seen, if the history tells it.
    pub(super) fn identity(&self, place: Place<'h>, seen: &Seen) -> Option<Identity> {
        match (&seen.version, &seen.value) {
            (Some(version), _) if *version != Stamp::ZERO => Some(Identity::Op(version.op)),
            (_, None) => Some(Identity::Absent),
            (_, Some(_)) => self.identity_of(self.writer(place, seen)?),
        }
    }

    /// The version that this write leaves.
    pub(super) fn identity_of(&self, write: usize) -> Option<Identity> {
        let op = self.all.get(write)?;
        Some(op.id.map_or(Identity::Write(write), Identity::Op))
    }

    /// The operation that wrote this version, if it is in the history.
    pub(super) fn write_of(&self, identity: Identity) -> Option<usize> {
        match identity {
            Identity::Op(id) => self.by_id.get(&id).copied(),
            Identity::Write(write) => Some(write),
            Identity::Absent => None,
        }
    }

    /// The writes that put this value at this place.
    pub(super) fn puts<'a>(&'a self, place: Place<'a>, value: &'a Value) -> &'a [usize] {
        self.puts.get(&(place, value)).map_or(&[], Vec::as_slice)
    }

    /// The one write that put this value at this place; none if there are several or none.
    fn writer(&self, place: Place<'_>, seen: &Seen) -> Option<usize> {
        match self.puts(place, seen.value.as_ref()?) {
            [only] => Some(*only),
            _ => None,
        }
    }

    /// A violation, shown by these operations and these further events.
    pub(super) fn broken(
        &self,
        guarantee: Guarantee,
        explanation: String,
        ops: &[usize],
        further: &[usize],
    ) -> Violation {
        let mut moments = further.to_vec();
        for op in ops.iter().filter_map(|op| self.all.get(*op)) {
            moments.push(op.called);
            moments.extend(op.returned);
            moments.extend(op.ends.iter().map(|(moment, _)| *moment));
        }
        moments.sort_unstable();
        moments.dedup();
        let events = self.history.events();
        let witness = moments.iter().filter_map(|moment| events.get(*moment));
        Violation {
            guarantee,
            finding: Finding::Broken,
            explanation,
            witness: witness.cloned().collect(),
        }
    }
}

impl Happening {
    /// Calls `note` with every version that the server gave and this tells of.
    pub(super) fn versions(&self, note: &mut dyn FnMut(Stamp)) {
        let mut given = |version: Option<Stamp>| {
            if let Some(version) = version {
                note(version);
            }
        };
        match self {
            Self::Call { .. } => {}
            Self::Return { outcome, .. } | Self::Learned { outcome, .. } => match outcome {
                Outcome::Acked { version } => given(*version),
                Outcome::Superseded { by } => given(*by),
                Outcome::Read(seen) => given(seen.version),
                Outcome::Scanned(entries) => {
                    entries.values().for_each(|seen| given(seen.version));
                }
                Outcome::Durable | Outcome::Rejected { .. } | Outcome::Unknown => {}
            },
            Self::Applied(applied) => given(applied.seen.version),
            Self::State(state) => state.entries.values().for_each(|seen| given(seen.version)),
        }
    }
}

/// Notes one return of an operation.
fn take<'h>(
    op: &mut Operation<'h>,
    moment: usize,
    outcome: &'h Outcome,
    id: Option<OpId>,
) -> Result<(), &'static str> {
    let fits = match outcome {
        Outcome::Durable
        | Outcome::Acked { .. }
        | Outcome::Superseded { .. }
        | Outcome::Rejected { .. } => op.action.is_write(),
        Outcome::Read(_) => matches!(op.action, Action::Get { .. }) && op.ends.is_empty(),
        Outcome::Scanned(_) => matches!(op.action, Action::Scan { .. }) && op.ends.is_empty(),
        Outcome::Unknown => true,
    };
    if !fits {
        return Err("such a call cannot return that, or cannot return twice");
    }
    let acked_as = match outcome {
        Outcome::Acked {
            version: Some(version),
        } => Some(version.op),
        _ => None,
    };
    let id = id.or(acked_as);
    if op.id.is_some() && id.is_some() && op.id != id {
        return Err("the write has another identity already");
    }
    op.id = op.id.or(id);
    if *outcome != Outcome::Unknown {
        op.returned = Some(op.returned.map_or(moment, |first| first.min(moment)));
    }
    if !matches!(outcome, Outcome::Durable | Outcome::Unknown) {
        op.ends.push((moment, outcome));
    }
    Ok(())
}

fn malformed(why: &str, event: &Event) -> Violation {
    Violation {
        guarantee: Guarantee::WellFormed,
        finding: Finding::Broken,
        explanation: why.to_owned(),
        witness: vec![event.clone()],
    }
}
