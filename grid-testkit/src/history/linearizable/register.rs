//! One entry of the server, as the operations see it: a register with versions.

use std::collections::BTreeSet;

use grid_core::{OpId, Stamp};

use crate::history::value::Value;

/// What one operation does to the entry. Moments are indices of events.
#[derive(Debug, Clone)]
pub(super) struct Step<'h> {
    /// The operation's index.
    pub(super) op: usize,
    pub(super) called: usize,
    /// When it was over; none if it may take effect at any later time, or never.
    pub(super) ended: Option<usize>,
    pub(super) does: Does<'h>,
}

#[derive(Debug, Clone)]
pub(super) enum Does<'h> {
    /// Leaves this value (none for a removal), if the entry is at the version that is expected.
    Write {
        value: Option<&'h Value>,
        version: Option<Stamp>,
        id: Option<OpId>,
        expected: Option<Wanted>,
    },
    /// Sees this value, at this version if that is known.
    Read {
        value: Option<Value>,
        version: Option<Wanted>,
    },
    /// Loses against this version.
    Lose(Wanted),
    /// Does not find this version.
    Mismatch(Wanted),
}

/// A version that was told by somebody who met it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) version: Stamp,
    /// Whether it is known which write left it, so that no other can have.
    pub(super) owned: bool,
}

impl From<Stamp> for Wanted {
    fn from(version: Stamp) -> Self {
        Self {
            version,
            owned: false,
        }
    }
}

/// What the entry holds: what the last write left, if there was one.
pub(super) type State<'s, 'h> = Option<&'s Does<'h>>;

/// How far what is known of a state agrees with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agrees {
    Yes,
    Perhaps,
    No,
}

/// Whether the state is at this version, tombstones included; ZERO means that there is no entry.
fn agrees(state: State<'_, '_>, wanted: Wanted) -> Agrees {
    let Some(Does::Write {
        value, version, id, ..
    }) = state
    else {
        return yes_or_no(wanted.version == Stamp::ZERO);
    };
    if wanted.version == Stamp::ZERO {
        return yes_or_no(value.is_none());
    }
    match (version, id) {
        (Some(version), _) => yes_or_no(*version == wanted.version),
        (None, Some(id)) if *id != wanted.version.op => Agrees::No,
        (None, _) if wanted.owned => Agrees::No,
        (None, _) => Agrees::Perhaps,
    }
}

/// Whether a write that asks for this version would be made: a tombstone has none.
fn expected_at(state: State<'_, '_>, wanted: Wanted) -> Agrees {
    match state {
        Some(Does::Write { value: None, .. }) => yes_or_no(wanted.version == Stamp::ZERO),
        _ => agrees(state, wanted),
    }
}

fn yes_or_no(yes: bool) -> Agrees {
    if yes { Agrees::Yes } else { Agrees::No }
}

impl<'h> Does<'h> {
    /// Whether it changes the entry.
    pub(super) fn is_write(&self) -> bool {
        matches!(self, Self::Write { .. })
    }

    /// Whether what it returned depends on the state.
    pub(super) fn observes(&self) -> bool {
        !matches!(self, Self::Write { expected: None, .. })
    }

    /// Whether it can take effect on this state, whatever was before that.
    pub(super) fn fits(&self, state: State<'_, 'h>) -> bool {
        match self {
            Self::Write { expected, .. } => {
                expected.is_none_or(|wanted| expected_at(state, wanted) != Agrees::No)
            }
            Self::Read { value, version } => {
                let held = match state {
                    Some(Does::Write { value, .. }) => *value,
                    _ => None,
                };
                value.as_ref() == held
                    && version.is_none_or(|version| agrees(state, version) != Agrees::No)
            }
            Self::Lose(by) => agrees(state, *by) != Agrees::No,
            Self::Mismatch(wanted) => expected_at(state, *wanted) != Agrees::Yes,
        }
    }
}

/// The steps, with the versions marked of which it is known which of the steps left them.
pub(super) fn with_owners<'h>(steps: &[Step<'h>]) -> Vec<Step<'h>> {
    let left = steps.iter().filter_map(|step| match &step.does {
        Does::Write { version, .. } => *version,
        _ => None,
    });
    let left: BTreeSet<Stamp> = left.collect();
    let mut steps = steps.to_vec();
    for step in &mut steps {
        let wanted = match &mut step.does {
            Does::Write { expected, .. } => expected.as_mut(),
            Does::Read { version, .. } => version.as_mut(),
            Does::Lose(wanted) | Does::Mismatch(wanted) => Some(wanted),
        };
        if let Some(wanted) = wanted {
            wanted.owned = left.contains(&wanted.version);
        }
    }
    steps
}
