//! What one session came to know of one entry, and when.

use grid_core::Stamp;

use crate::history::operation::{Identity, Operations, Place};
use crate::history::seen::Seen;

/// One read or write of one entry by one session. Moments are indices of events.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// The operation's index.
    pub(super) op: usize,
    pub(super) called: usize,
    pub(super) returned: usize,
    /// What a read saw; none for a write.
    pub(super) seen: Option<Seen>,
    /// What a read saw, or a write left; none if the history does not tell.
    pub(super) identity: Option<Identity>,
    /// The version of that, if it is known.
    pub(super) version: Option<Stamp>,
    /// Whether the session may not see anything older from then on.
    pub(super) binds: bool,
}

impl Item {
    /// A write that returned.
    pub(super) fn write(operations: &Operations<'_>, index: usize) -> Option<Self> {
        let op = operations.all.get(index)?;
        Some(Self {
            op: index,
            called: op.called,
            returned: op.returned?,
            seen: None,
            identity: operations.identity_of(index),
            version: operations.version(index).filter(|_| op.is_acked()),
            binds: op.is_acked() || op.is_pending(),
        })
    }

    /// A read that saw this.
    pub(super) fn read<'h>(
        operations: &Operations<'h>,
        index: usize,
        place: Place<'h>,
        seen: Seen,
    ) -> Option<Self> {
        let op = operations.all.get(index)?;
        let identity = operations.identity(place, &seen);
        let write = identity.and_then(|identity| operations.write_of(identity));
        let version = seen
            .version
            .or_else(|| operations.version(write?))
            .filter(|version| *version != Stamp::ZERO);
        let binds = match (identity, write.and_then(|write| operations.all.get(write))) {
            (None, _) => false,
            (Some(Identity::Absent), _) => !undoes(operations, place, op.session),
            (Some(_), None) => true,
            (Some(_), Some(write)) if write.session == op.session => write.is_acked(),
            (Some(_), Some(write)) => !write.is_rejected() && !write.is_superseded(),
        };
        Some(Self {
            op: index,
            called: op.called,
            returned: op.returned?,
            seen: Some(seen),
            identity,
            version,
            binds,
        })
    }

    pub(super) fn is_write(&self) -> bool {
        self.seen.is_none()
    }
}

/// Whether the session removed the entry without being acked, so that it may come back.
fn undoes(operations: &Operations<'_>, place: Place<'_>, session: &str) -> bool {
    let mut removals = operations
        .removals(place)
        .filter_map(|removal| operations.all.get(removal));
    removals.any(|op| op.session == session && !op.is_acked())
}
