//! Which entries a query takes.

use std::ops;

use super::literal::Literal;
use super::path::Path;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_FILTER_DEPTH, MAX_FILTER_PARTS, MAX_FILTER_SCANS};

/// A condition on the value of an entry; [the module](super) says what each test means.
///
/// Built with [`field`](super::field) and put together with [`and`](Filter::and),
/// [`or`](Filter::or) and `!`.
///
/// ```
/// use grid_core::query::field;
///
/// let open = field("done").eq(false).and(field("priority").ge(2));
/// let filter = open.compile()?;
/// assert!(filter.matches(b"\xa2\x64done\xf4\x68priority\x02"));
/// assert!(!filter.matches(b"\xa1\x64done\xf4"));
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// What a field must be.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

/// A relation of a field to a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

impl Filter {
    /// The filter that takes every entry.
    #[must_use]
    pub fn all() -> Self {
        Self::And(Vec::new())
    }

    /// Holds when both do.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let mut filters = match self {
            Self::And(filters) => filters,
            first => vec![first],
        };
        match other {
            Self::And(others) => filters.extend(others),
            last => filters.push(last),
        }
        Self::And(filters)
    }

    /// Holds when either does.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let mut filters = match self {
            Self::Or(filters) => filters,
            first => vec![first],
        };
        match other {
            Self::Or(others) => filters.extend(others),
            last => filters.push(last),
        }
        Self::Or(filters)
    }

    /// Fields and what they equal in every entry that matches, so that an index over filters finds
    /// those that an entry may match without asking each.
    ///
    /// Not every equality is found that holds, but each that is found holds.
    ///
    /// ```
    /// use grid_core::query::{Literal, Path, field};
    ///
    /// let filter = field("owner").eq("ann").and(field("due").lt(20));
    /// assert_eq!(filter.equalities(), [(&Path::from("owner"), &Literal::from("ann"))]);
    /// assert!(field("a").eq(1).or(field("b").eq(1)).equalities().is_empty());
    /// ```
    #[must_use]
    pub fn equalities(&self) -> Vec<(&Path, &Literal)> {
        let mut found = Vec::new();
        self.collect_equalities(false, &mut found);
        found
    }

    /// What holds of every match of this filter, or of its opposite when `negated`.
    fn collect_equalities<'a>(&'a self, negated: bool, found: &mut Vec<(&'a Path, &'a Literal)>) {
        match (self, negated) {
            (Self::Not(inner), _) => inner.collect_equalities(!negated, found),
            // The opposite of "any of these" is "none of these".
            (Self::And(parts), false) | (Self::Or(parts), true) => {
                for part in parts {
                    part.collect_equalities(negated, found);
                }
            }
            (Self::Or(parts), false) | (Self::And(parts), true) => {
                let Some((first, others)) = parts.split_first() else {
                    return;
                };
                let mut common = Vec::new();
                first.collect_equalities(negated, &mut common);
                for part in others {
                    let mut of_part = Vec::new();
                    part.collect_equalities(negated, &mut of_part);
                    common.retain(|pair| of_part.contains(pair));
                }
                found.append(&mut common);
            }
            (Self::Field { path, test }, _) => {
                if let Some(literal) = test.equality(negated) {
                    found.push((path, literal));
                }
            }
        }
    }

    /// Checks the bounds of a filter; the depth first, so that counting cannot overflow the stack.
    pub(super) fn check(&self) -> Result<()> {
        let (mut parts, mut scans) = (0, 0);
        self.count(0, &mut parts, &mut scans)?;
        if scans > MAX_FILTER_SCANS {
            return Err(too_many_scans("check query"));
        }
        Ok(())
    }

    fn count(&self, depth: usize, parts: &mut usize, scans: &mut usize) -> Result<()> {
        if depth > MAX_FILTER_DEPTH {
            return Err(too_deep("check query"));
        }
        *parts += 1;
        match self {
            Self::And(filters) | Self::Or(filters) => {
                for filter in filters {
                    filter.count(depth + 1, parts, scans)?;
                }
            }
            Self::Not(filter) => filter.count(depth + 1, parts, scans)?,
            Self::Field { path, test } => {
                path.check()?;
                *parts += path.names().len();
                *scans += usize::from(matches!(test, Test::Contains(_)));
                for literal in test.literals() {
                    literal.check()?;
                    *parts += 1;
                }
                *parts += usize::from(matches!(test, Test::Prefix(_)));
            }
        }
        if *parts > MAX_FILTER_PARTS {
            return Err(too_many_parts("check query"));
        }
        Ok(())
    }
}

impl ops::Not for Filter {
    type Output = Self;

    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

impl Test {
    /// What a field equals that passes, or that does not when `negated`.
    fn equality(&self, negated: bool) -> Option<&Literal> {
        match (self, negated) {
            (Self::Compare(Comparison::Eq, literal), false)
            | (Self::Compare(Comparison::Ne, literal), true) => Some(literal),
            (Self::In(literals), false) => match &literals[..] {
                [literal] => Some(literal),
                _ => None,
            },
            _ => None,
        }
    }

    fn literals(&self) -> Box<dyn Iterator<Item = &Literal> + '_> {
        match self {
            Self::Compare(_, literal) | Self::Contains(literal) => {
                Box::new(std::iter::once(literal))
            }
            Self::Range { low, high } => Box::new([&low.literal, &high.literal].into_iter()),
            Self::In(literals) => Box::new(literals.iter()),
            Self::Prefix(_) | Self::Exists => Box::new(std::iter::empty()),
        }
    }
}

pub(super) fn too_deep(operation: &'static str) -> Error {
    let message = format!("a filter is nested deeper than {MAX_FILTER_DEPTH}");
    Error::new(ErrorKind::TooLarge, operation, message)
}

pub(super) fn too_many_parts(operation: &'static str) -> Error {
    let message = format!(
        "a filter has more than {MAX_FILTER_PARTS} parts (operators, literals, names of fields)"
    );
    Error::new(ErrorKind::TooLarge, operation, message)
}

pub(super) fn too_many_scans(operation: &'static str) -> Error {
    let message = format!("a filter has more than {MAX_FILTER_SCANS} `contains`");
    Error::new(ErrorKind::TooLarge, operation, message)
}

#[cfg(test)]
mod tests {
    use super::super::field;
    use super::*;

    fn pairs(filter: &Filter) -> Vec<(Path, Literal)> {
        let found = filter.equalities().into_iter();
        found
            .map(|(path, literal)| (path.clone(), literal.clone()))
            .collect()
    }

    #[test]
    fn equalities_are_those_of_every_match() {
        let (a, b) = (|| field("a").eq(1), || field("b").eq(2));
        let pair = |name, number: i32| (Path::from(name), Literal::from(number));
        assert_eq!(pairs(&a().and(b())), [pair("a", 1), pair("b", 2)]);
        assert_eq!(pairs(&a().or(b())), []);
        assert_eq!(pairs(&a().or(b().and(a()))), [pair("a", 1)]);
        assert_eq!(pairs(&!a()), []);
        assert_eq!(pairs(&!!a()), [pair("a", 1)]);
        assert_eq!(pairs(&!field("a").ne(1)), [pair("a", 1)]);
        assert_eq!(pairs(&field("a").ne(1)), []);
        assert_eq!(pairs(&!(!a()).or(!b())), [pair("a", 1), pair("b", 2)]);
        assert_eq!(pairs(&!(!a()).and(!b())), []);
        assert_eq!(pairs(&field("a").one_of([1])), [pair("a", 1)]);
        assert_eq!(pairs(&field("a").one_of([1, 2])), []);
        assert_eq!(pairs(&!field("a").one_of([1])), []);
    }

    #[test]
    fn filters_beyond_a_bound_are_refused_by_its_name() {
        let nested = |depth| (0..depth).fold(field("a").exists(), |filter, _| !filter);
        assert!(nested(MAX_FILTER_DEPTH).check().is_ok());
        let error = nested(MAX_FILTER_DEPTH + 1).check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.message().contains("deeper than 32"), "{error}");

        let most = i32::try_from(MAX_FILTER_PARTS - 2).unwrap();
        assert!(field("a").one_of(0..most).check().is_ok());
        let error = field("a").one_of(0..=most).check().unwrap_err();
        assert!(error.message().contains("more than 1024 parts"), "{error}");

        // What a prefix is compared with counts as a literal does.
        let prefixes = |count| {
            let tests = std::iter::repeat_n(field(Path::value()).starts_with("x"), count);
            Filter::Or(tests.collect())
        };
        assert!(prefixes((MAX_FILTER_PARTS - 1) / 2).check().is_ok());
        let error = prefixes(MAX_FILTER_PARTS / 2).check().unwrap_err();
        assert!(error.message().contains("more than 1024 parts"), "{error}");

        let scans =
            |count| (0..count).fold(Filter::all(), |all, _| all.and(field("a").contains(1)));
        assert!(scans(MAX_FILTER_SCANS).check().is_ok());
        let error = scans(MAX_FILTER_SCANS + 1).check().unwrap_err();
        assert!(
            error.message().contains("more than 32 `contains`"),
            "{error}"
        );

        let path: Path = ["x"; MAX_PATH_NAMES_PLUS_ONE].into_iter().collect();
        let error = field(path).exists().check().unwrap_err();
        assert!(error.message().contains("17 names"), "{error}");

        let beyond = Literal::Integer(1 << 64);
        let error = field("a").eq(beyond).check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }

    const MAX_PATH_NAMES_PLUS_ONE: usize = crate::limits::MAX_PATH_NAMES + 1;
}
