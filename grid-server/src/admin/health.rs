//! Whether a server does all that it should.

/// Whether a server does all that it should, as of one moment.
///
/// A server that is degraded still does what it can: with the database away it takes writes, and
/// acknowledges them from its journal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// What is wrong, one sentence each, for people; none when all is well.
    pub reasons: Vec<String>,
}

impl Health {
    /// Whether all is well.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.reasons.is_empty()
    }
}
