//! Records, the unit of state: one version of one entry, or the tombstone of one.

use std::cmp::Ordering;
use std::fmt;

use bytes::Bytes;

use crate::address::Key;
use crate::error::{Error, ErrorKind, Result};
use crate::op::Stamp;

/// Position in the gap-free order of changes of one partition within one [`History`]; 0 is
/// "before the first".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Before the first change.
    pub const ZERO: Self = Self(0);

    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The number as databases compare it, whose integers have a sign.
    ///
    /// # Errors
    /// `Invalid` from 2^63 on: as an integer with a sign it would come before all others.
    pub fn comparable(self) -> Result<i64> {
        i64::try_from(self.0).map_err(|source| {
            Error::new(
                ErrorKind::Invalid,
                "store records",
                "sequences at and above 2^63 cannot be compared",
            )
            .with("sequence", self)
            .with_source(source)
        })
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of one line of sequences. Sequences of different histories do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct History(pub u64);

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One version of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The entry's key.
    pub key: Key,
    /// The value as CBOR; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The version.
    pub stamp: Stamp,
    /// Where the version stands in its partition's order; 0 before a server has given it one.
    pub sequence: Sequence,
    /// When the entry ceases to exist, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
}

impl Record {
    /// Whether the record is a tombstone.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }

    /// Bytes of key and value.
    pub(crate) fn size(&self) -> usize {
        self.key.as_bytes().len() + self.value.as_ref().map_or(0, Bytes::len)
    }

    /// Whether the entry has ceased to exist at `now_ms` (milliseconds since 1970) though nobody
    /// has removed it yet.
    #[must_use]
    pub fn is_due(&self, now_ms: u64) -> bool {
        self.value.is_some() && self.expires_at_ms.is_some_and(|at| at <= now_ms)
    }

    /// Whether the entry exists at `now_ms` (milliseconds since 1970): neither removed nor due.
    #[must_use]
    pub fn is_live(&self, now_ms: u64) -> bool {
        self.value.is_some() && !self.is_due(now_ms)
    }

    /// The tombstone that beats exactly this version: it has the same stamp, so every later
    /// version beats it in turn.
    #[must_use]
    pub fn expired(&self) -> Self {
        Self {
            key: self.key.clone(),
            value: None,
            stamp: self.stamp,
            sequence: Sequence::ZERO,
            expires_at_ms: None,
        }
    }

    /// The total order that decides a merge: (hlc, run, op number, tombstone, value bytes).
    ///
    /// Stopping at the stamp would break commutativity when one pair of run and number ever
    /// stands for two ops.
    #[must_use]
    pub fn merge_order(&self, other: &Self) -> Ordering {
        self.stamp
            .cmp(&other.stamp)
            .then_with(|| self.is_tombstone().cmp(&other.is_tombstone()))
            .then_with(|| self.value.cmp(&other.value))
            .then_with(|| self.expires_at_ms.cmp(&other.expires_at_ms))
    }
}
