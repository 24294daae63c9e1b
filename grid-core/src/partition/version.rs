//! The current version of a key, as a decision sees it.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::slot::Slot;
use crate::mutation::{Mutation, planted};
use crate::op::Stamp;
use crate::record::{Record, Sequence};

/// A version that the partition holds, or one that an op before it in the same batch wrote.
///
/// Mostly the stamp is all that a decision asks for, so what is held is not made a record of until
/// it has to be.
pub(super) enum Version<'a> {
    Held(&'a Slot),
    Drafted(Record),
}

impl Version<'_> {
    pub(super) fn stamp(&self) -> Stamp {
        match self {
            Self::Held(slot) => slot.stamp,
            Self::Drafted(record) => record.stamp,
        }
    }

    pub(super) fn sequence(&self) -> Sequence {
        match self {
            Self::Held(slot) => slot.sequence,
            Self::Drafted(record) => record.sequence,
        }
    }

    pub(super) fn is_tombstone(&self) -> bool {
        match self {
            Self::Held(slot) => !slot.is_live(),
            Self::Drafted(record) => record.is_tombstone(),
        }
    }

    pub(super) fn record(&self) -> Cow<'_, Record> {
        match self {
            Self::Held(slot) => Cow::Owned(slot.record()),
            Self::Drafted(record) => Cow::Borrowed(record),
        }
    }

    /// As [`Record::merge_order`].
    pub(super) fn merge_order(&self, other: &Record) -> Ordering {
        if planted(Mutation::IgnoreTieBreak) {
            return self.stamp().hlc.cmp(&other.stamp.hlc);
        }
        self.stamp()
            .cmp(&other.stamp)
            .then_with(|| self.record().merge_order(other))
    }
}
