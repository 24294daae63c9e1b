//! The trait of a map's merge rule.

use std::cmp::Ordering;
use std::fmt;

use bytes::Bytes;

use crate::maybe_send::{MaybeSend, MaybeSync};
use crate::record::Record;

/// The outcome of merging an incoming record with the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The current record stays.
    KeepCurrent,
    /// The incoming record replaces it.
    TakeIncoming,
    /// This value (`None`: a tombstone) replaces both, under the later of the two stamps.
    Combine(Option<Bytes>),
}

impl Resolution {
    /// The later of two versions, of which the current one stands in `order` to the incoming one.
    pub(crate) fn latest(order: Ordering) -> Self {
        match order {
            Ordering::Less => Self::TakeIncoming,
            Ordering::Equal | Ordering::Greater => Self::KeepCurrent,
        }
    }
}

/// The merge rule of a map. It must be commutative, associative and idempotent.
pub trait Resolver: MaybeSend + MaybeSync + fmt::Debug + 'static {
    /// The name under which configuration selects the rule.
    fn name(&self) -> &'static str;

    /// Merges two versions of one key.
    fn resolve(&self, current: &Record, incoming: &Record) -> Resolution;
}

/// The default rule: the later version wins, in the order of [`Record::merge_order`].
#[derive(Debug, Clone, Copy, Default)]
pub struct LastWriterWins;

impl Resolver for LastWriterWins {
    fn name(&self) -> &'static str {
        "last-writer-wins"
    }

    fn resolve(&self, current: &Record, incoming: &Record) -> Resolution {
        Resolution::latest(current.merge_order(incoming))
    }
}
