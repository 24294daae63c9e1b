//! What came of a crash test.

use std::fmt;

/// How many findings of a kind are put into words; the others are counted.
const MAX_FINDINGS: usize = 8;

/// What came of a crash test, in figures, and the first findings in words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Ops of which a client was told that they took effect.
    pub acked: u64,
    /// Such ops that the server or, after the drain, the database does not have.
    pub lost: u64,
    /// Ops that took effect more than once.
    pub doubled: u64,
    /// Entries of which two parties hold something different, and whatever else nobody can have
    /// written.
    pub diverged: u64,
    /// The first findings.
    pub findings: Vec<String>,
}

impl Verdict {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.diverged == 0
    }

    /// Adds what another run came to.
    pub fn add(&mut self, other: Self) {
        self.acked += other.acked;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.diverged += other.diverged;
        self.findings.extend(other.findings);
    }

    /// Notes an op that is gone.
    pub fn lost(&mut self, what: impl fmt::Display) {
        self.lost += 1;
        self.say("lost", what);
    }

    /// Notes an op that took effect twice.
    pub fn doubled(&mut self, what: impl fmt::Display) {
        self.doubled += 1;
        self.say("doubled", what);
    }

    /// Notes a difference.
    pub fn diverged(&mut self, what: impl fmt::Display) {
        self.diverged += 1;
        self.say("diverged", what);
    }

    fn say(&mut self, kind: &str, what: impl fmt::Display) {
        let said = self.findings.iter();
        if said.filter(|finding| finding.starts_with(kind)).count() < MAX_FINDINGS {
            self.findings.push(format!("{kind}: {what}"));
        }
    }
}
