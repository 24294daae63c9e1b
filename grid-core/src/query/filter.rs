//! Which entries a query takes.

use std::ops;

use super::bounds::Bounds;
use super::path::Path;
use super::test::Test;
use crate::error::Result;

/// A condition on an entry; [the module](super) says what each test means.
///
/// Built with [`field`](super::field) and put together with [`and`](Filter::and),
/// [`or`](Filter::or) and `!`.
///
/// ```
/// use grid_core::Key;
/// use grid_core::query::field;
///
/// let key = Key::new("t1")?;
/// let open = field("done").eq(false).and(field("priority").ge(2));
/// let filter = open.compile()?;
/// assert!(filter.matches(&key, b"\xa2\x64done\xf4\x68priority\x02"));
/// assert!(!filter.matches(&key, b"\xa1\x64done\xf4"));
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Filter {
    /// A test of one field.
    Field {
        /// Where the field is.
        path: Path,
        /// What it must be.
        test: Test,
    },
    /// Holds when each of these does; of none, always.
    And(Vec<Filter>),
    /// Holds when any of these does; of none, never.
    Or(Vec<Filter>),
    /// Holds exactly when this does not.
    Not(Box<Filter>),
}

impl Filter {
    /// The filter that takes every entry.
    #[must_use]
    pub fn all() -> Self {
        Self::And(Vec::new())
    }

    /// The filter that takes no entry.
    #[must_use]
    pub fn none() -> Self {
        Self::Or(Vec::new())
    }

    /// Holds when both do.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        joined(self, other, Self::And, |filter| match filter {
            Self::And(filters) => filters,
            other => vec![other],
        })
    }

    /// Holds when either does.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        joined(self, other, Self::Or, |filter| match filter {
            Self::Or(filters) => filters,
            other => vec![other],
        })
    }

    /// The filter with everything left out that says nothing: lists within lists of their kind,
    /// lists of one, `not` of `not`. It takes the same entries.
    ///
    /// ```
    /// use grid_core::query::{Filter, field};
    ///
    /// let a = || field("a").exists();
    /// let wordy = Filter::And(vec![Filter::Or(vec![!!a()]), Filter::And(vec![])]);
    /// assert_eq!(wordy.normalized(), a());
    /// ```
    #[must_use]
    pub fn normalized(&self) -> Self {
        match self {
            Self::And(filters) => {
                (filters.iter()).fold(Self::all(), |all, inner| all.and(inner.normalized()))
            }
            Self::Or(filters) => {
                (filters.iter()).fold(Self::none(), |any, inner| any.or(inner.normalized()))
            }
            Self::Not(inner) => match &**inner {
                Self::Not(twice) => twice.normalized(),
                _ => match inner.normalized() {
                    Self::Not(twice) => *twice,
                    other => !other,
                },
            },
            Self::Field { .. } => self.clone(),
        }
    }

    /// Checks the bounds of a filter.
    pub(super) fn check(&self) -> Result<()> {
        Bounds::new("check query").filter(self, 0)
    }
}

/// The lists of two filters put together, of which one of one is itself.
fn joined(
    first: Filter,
    second: Filter,
    list: fn(Vec<Filter>) -> Filter,
    parts: fn(Filter) -> Vec<Filter>,
) -> Filter {
    let mut filters = parts(first);
    filters.extend(parts(second));
    match filters.len() {
        1 => filters.swap_remove(0),
        _ => list(filters),
    }
}

impl ops::Not for Filter {
    type Output = Self;

    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

#[cfg(test)]
mod tests {
    use super::super::field;
    use super::*;

    #[test]
    fn lists_of_one_are_that_one() {
        let a = || field("a").exists();
        let b = || field("b").exists();
        assert_eq!(Filter::all().and(a()), a());
        assert_eq!(a().and(Filter::all()), a());
        assert_eq!(Filter::none().or(a()), a());
        assert_eq!(Filter::all().and(Filter::all()), Filter::all());
        assert_eq!(a().and(b()), Filter::And(vec![a(), b()]));
        assert_eq!(a().or(Filter::all()), Filter::Or(vec![a(), Filter::all()]));
        let one = Filter::And(vec![Filter::And(vec![a()])]);
        assert_eq!(one.and(b()).normalized(), a().and(b()));
    }

    #[test]
    fn what_normalizing_uncovers_is_normalized_too() {
        let a = || field("a").exists();
        let wrapped = Filter::Not(Box::new(Filter::And(vec![Filter::Or(vec![!a()])])));
        assert_eq!(wrapped.normalized(), a());
        let mixed = Filter::And(vec![Filter::Or(vec![Filter::And(vec![a(), !a()])]), a()]);
        assert_eq!(mixed.normalized(), Filter::And(vec![a(), !a(), a()]));
    }
}
