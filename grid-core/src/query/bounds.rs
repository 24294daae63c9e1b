//! The bounds of a filter, kept by what is built as well as by what is read.

use super::filter::Filter;
use super::test::Test;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_FILTER_DEPTH, MAX_FILTER_PARTS, MAX_FILTER_SCANS, MAX_QUERY_BYTES};

/// What a filter has of everything that is bounded.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    operation: &'static str,
    parts: usize,
    scans: usize,
    /// Of names and literals.
    bytes: usize,
}

impl Bounds {
    pub(super) fn new(operation: &'static str) -> Self {
        Self {
            operation,
            ..Self::default()
        }
    }

    /// Counts a filter and all within it; the depth first, so that counting cannot overflow the
    /// stack.
    pub(super) fn filter(&mut self, filter: &Filter, depth: usize) -> Result<()> {
        self.depth(depth)?;
        self.parts(1)?;
        match filter {
            Filter::And(filters) | Filter::Or(filters) => filters
                .iter()
                .try_for_each(|inner| self.filter(inner, depth + 1)),
            Filter::Not(inner) => self.filter(inner, depth + 1),
            Filter::Field { path, test } => {
                path.check()?;
                self.parts(path.names().len())?;
                path.names().try_for_each(|name| self.bytes(name.len()))?;
                self.test(test)
            }
        }
    }

    fn test(&mut self, test: &Test) -> Result<()> {
        if test.scans() {
            self.scan()?;
        }
        if let Test::Prefix(text) = test {
            self.parts(1)?;
            self.bytes(text.len())?;
        }
        let mut counted = Ok(());
        test.literals(|literal| {
            if counted.is_ok() {
                let checked = literal.check().and_then(|()| self.parts(1));
                counted = checked.and_then(|()| self.bytes(literal.length()));
            }
        });
        counted
    }

    pub(super) fn depth(&self, depth: usize) -> Result<()> {
        if depth <= MAX_FILTER_DEPTH {
            return Ok(());
        }
        self.refuse(format!("a filter is nested deeper than {MAX_FILTER_DEPTH}"))
    }

    pub(super) fn parts(&mut self, parts: usize) -> Result<()> {
        self.room_for(parts)?;
        self.parts += parts;
        Ok(())
    }

    /// Whether so many more parts are allowed.
    pub(super) fn room_for(&self, parts: usize) -> Result<()> {
        if parts <= MAX_FILTER_PARTS - self.parts {
            return Ok(());
        }
        self.refuse(format!(
            "a filter has more than {MAX_FILTER_PARTS} parts (operators, literals, names of fields)"
        ))
    }

    pub(super) fn scan(&mut self) -> Result<()> {
        self.scans += 1;
        if self.scans <= MAX_FILTER_SCANS {
            return Ok(());
        }
        self.refuse(format!(
            "a filter has more than {MAX_FILTER_SCANS} `contains`"
        ))
    }

    fn bytes(&mut self, bytes: usize) -> Result<()> {
        self.bytes += bytes;
        if self.bytes <= MAX_QUERY_BYTES {
            return Ok(());
        }
        self.refuse(format!(
            "the names and literals of a filter have more than {MAX_QUERY_BYTES} bytes"
        ))
    }

    fn refuse(&self, message: String) -> Result<()> {
        Err(Error::new(ErrorKind::TooLarge, self.operation, message))
    }
}

#[cfg(test)]
mod tests {
    use super::super::literal::Literal;
    use super::super::{Path, field};
    use super::*;
    use crate::limits::MAX_PATH_NAMES;

    fn check(filter: &Filter) -> Result<()> {
        filter.check()
    }

    #[test]
    fn filters_beyond_a_bound_are_refused_by_its_name() {
        let nested = |depth| (0..depth).fold(field("a").exists(), |filter, _| !filter);
        assert!(check(&nested(MAX_FILTER_DEPTH)).is_ok());
        let error = check(&nested(MAX_FILTER_DEPTH + 1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.message().contains("deeper than 32"), "{error}");

        let most = i32::try_from(MAX_FILTER_PARTS - 2).unwrap();
        assert!(check(&field("a").one_of(0..most)).is_ok());
        let error = check(&field("a").one_of(0..=most)).unwrap_err();
        assert!(error.message().contains("more than 1024 parts"), "{error}");

        // What a prefix is compared with counts as a literal does.
        let prefixes = |count| {
            let tests = std::iter::repeat_n(field(Path::value()).starts_with("x"), count);
            Filter::Or(tests.collect())
        };
        assert!(check(&prefixes((MAX_FILTER_PARTS - 1) / 2)).is_ok());
        let error = check(&prefixes(MAX_FILTER_PARTS / 2)).unwrap_err();
        assert!(error.message().contains("more than 1024 parts"), "{error}");

        let scans =
            |count| (0..count).fold(Filter::all(), |all, _| all.and(field("a").contains(1)));
        assert!(check(&scans(MAX_FILTER_SCANS)).is_ok());
        let error = check(&scans(MAX_FILTER_SCANS + 1)).unwrap_err();
        assert!(
            error.message().contains("more than 32 `contains`"),
            "{error}"
        );

        let path: Path = ["x"; MAX_PATH_NAMES + 1].into_iter().collect();
        let error = check(&field(path).exists()).unwrap_err();
        assert!(error.message().contains("17 names"), "{error}");

        let long = "x".repeat(MAX_QUERY_BYTES / 2);
        assert!(check(&field("").eq(&long).and(field("").starts_with(&long))).is_ok());
        let error = check(&field("a").eq(&long).and(field("").contains(&long))).unwrap_err();
        assert!(error.message().contains("65536 bytes"), "{error}");
    }

    #[test]
    fn what_cannot_be_asked_is_invalid() {
        let beyond = field("a").eq(Literal::Integer(1 << 64));
        let within_key = field(Path::key()).field("a").exists();
        for filter in [beyond, within_key] {
            assert_eq!(check(&filter).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
