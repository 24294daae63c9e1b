//! What a filter asks of one field.

use super::literal::Literal;

/// What a field must be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Test {
    /// In this relation to a literal.
    Compare(Comparison, Literal),
    /// Between two literals.
    Range {
        /// The lower end.
        low: End,
        /// The upper end.
        high: End,
    },
    /// Equal to one of these.
    In(Vec<Literal>),
    /// A text that starts with this one.
    Prefix(String),
    /// A text that has this text in it, or an array that has this element.
    Contains(Literal),
    /// There, null or not.
    Exists,
    /// Null, or not there.
    NullOrMissing,
}

/// A relation of a field to a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Comparison {
    /// Of one type and equal.
    Eq,
    /// Not [`Comparison::Eq`]: also of another type, or missing.
    Ne,
    /// Of one type and less.
    Lt,
    /// Of one type and less or equal.
    Le,
    /// Of one type and greater.
    Gt,
    /// Of one type and greater or equal.
    Ge,
}

/// One end of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Where the range ends.
    pub literal: Literal,
    /// Whether what equals the literal is in the range.
    pub inclusive: bool,
}

impl Test {
    /// Whether a field passes that is not there.
    pub(super) fn holds_of_missing(&self) -> bool {
        matches!(self, Self::Compare(Comparison::Ne, _) | Self::NullOrMissing)
    }

    /// Whether it may read all of a field, and not only as much as a literal has.
    pub(super) fn scans(&self) -> bool {
        matches!(self, Self::Contains(_))
    }

    /// Calls `each` with every literal.
    pub(super) fn literals<'t>(&'t self, mut each: impl FnMut(&'t Literal)) {
        match self {
            Self::Compare(_, literal) | Self::Contains(literal) => each(literal),
            Self::Range { low, high } => {
                each(&low.literal);
                each(&high.literal);
            }
            Self::In(literals) => literals.iter().for_each(each),
            Self::Prefix(_) | Self::Exists | Self::NullOrMissing => {}
        }
    }
}
