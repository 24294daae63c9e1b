//! The order of a store's ops.

/// Where an op stands in the order in which this store made its ops: run by run, number by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogPosition {
    pub(super) ordinal: u64,
    pub(super) number: u64,
}

impl LogPosition {
    pub(super) const FIRST: Self = Self {
        ordinal: 0,
        number: 0,
    };
    pub(super) const LAST: Self = Self {
        ordinal: u64::MAX,
        number: u64::MAX,
    };

    /// Before all ops of a run.
    pub(super) fn start(ordinal: u64) -> Self {
        Self { ordinal, number: 0 }
    }

    /// The place just after this one.
    pub(super) fn after(self) -> Self {
        Self {
            number: self.number.saturating_add(1),
            ..self
        }
    }
}
