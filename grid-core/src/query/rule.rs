//! Rules of rights on entries: filters that nothing passes by what it lacks.

use super::compiled_filter::CompiledFilter;
use super::filter::Filter;
use super::path::Path;
use crate::address::Key;
use crate::error::{Error, ErrorKind, Result};

impl Filter {
    /// Makes the filter ready to decide who may see an entry.
    ///
    /// A rule is compiled apart from the query that it guards: each has its bounds for itself, and
    /// nothing in a query can change what its rule says. [`GuardedFilter`](super::GuardedFilter)
    /// asks both.
    ///
    /// # Rules are positive
    /// An entry that has less is not granted for that: taking fields away never turns "no" into
    /// "yes". So a test that a missing field passes (`ne`, `is_null_or_missing`, the opposite of
    /// any other) may stand only where `and` joins it with one of the same path that none passes;
    /// such a rule is easy to write, and the error says where one is lacking:
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::field;
    ///
    /// let open = field("level").ne("secret");
    /// assert!(open.compile_rule().is_err(), "what has no level would be granted");
    /// let rule = open.and(field("level").exists()).compile_rule()?;
    /// let key = Key::new("k")?;
    /// assert!(rule.grants(&key, b"\xa1\x65level\x64open"));
    /// assert!(!rule.grants(&key, b"\xa1\x65level\x66secret"));
    /// assert!(!rule.grants(&key, b"\xa0"));
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Filter::compile`]; `Invalid` when the rule is not positive.
    pub fn compile_rule(&self) -> Result<CompiledRule> {
        let compiled = self.compile()?;
        self.check_positive(false, &mut Vec::new())?;
        Ok(CompiledRule(compiled))
    }

    /// Checks this filter, or its opposite when `negated`, where the fields of `there` must be
    /// there for anything to pass.
    fn check_positive<'f>(&'f self, negated: bool, there: &mut Vec<&'f Path>) -> Result<()> {
        match (self, negated) {
            (Self::Not(inner), _) => inner.check_positive(!negated, there),
            (Self::And(parts), false) | (Self::Or(parts), true) => {
                let around = there.len();
                for part in parts {
                    part.collect_required(negated, there);
                }
                for part in parts {
                    part.check_positive(negated, there)?;
                }
                there.truncate(around);
                Ok(())
            }
            (Self::Or(parts), false) | (Self::And(parts), true) => parts
                .iter()
                .try_for_each(|part| part.check_positive(negated, there)),
            (Self::Field { path, test }, _) => {
                let of_missing = test.holds_of_missing() != negated;
                if !of_missing || path.is_key() || there.contains(&path) {
                    return Ok(());
                }
                let message = format!(
                    "a rule would grant entries for lacking the field {path:?}; join its test with \
                     `exists` of the same field by `and`"
                );
                Err(Error::new(ErrorKind::Invalid, "check rule", message))
            }
        }
    }

    /// The fields without which this filter, or its opposite when `negated`, takes nothing.
    fn collect_required<'f>(&'f self, negated: bool, there: &mut Vec<&'f Path>) {
        match (self, negated) {
            (Self::Not(inner), _) => inner.collect_required(!negated, there),
            (Self::And(parts), false) | (Self::Or(parts), true) => {
                for part in parts {
                    part.collect_required(negated, there);
                }
            }
            (Self::Field { path, test }, _) if test.holds_of_missing() == negated => {
                there.push(path);
            }
            _ => {}
        }
    }
}

/// A rule that was made ready by [`Filter::compile_rule`].
#[derive(Debug, Clone)]
pub struct CompiledRule(CompiledFilter);

impl CompiledRule {
    /// Whether the rule grants an entry.
    ///
    /// Other than a filter it takes nothing that two readers may read differently: a value that is
    /// damaged, or in which a name on the way to a field that the rule asks for stands twice in a
    /// map, is granted to nobody. Allocates nothing.
    ///
    /// ```
    /// use grid_core::Key;
    /// use grid_core::query::field;
    ///
    /// let (key, mine) = (Key::new("k")?, field("owner").eq("ann"));
    /// let twice = b"\xa2\x65owner\x63ann\x65owner\x63bob";
    /// assert!(mine.compile()?.matches(&key, twice));
    /// assert!(!mine.compile_rule()?.grants(&key, twice));
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    #[must_use]
    pub fn grants(&self, key: &Key, value: &[u8]) -> bool {
        self.0.matches_unambiguous(key, value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Literal, field};
    use super::*;

    #[test]
    fn what_a_missing_field_passes_needs_one_that_it_does_not() {
        let a = || field("a");
        let there = || a().exists();
        for rule in [
            Filter::all(),
            Filter::none(),
            a().eq(Literal::Null),
            !!a().eq(1),
            !a().ne(1),
            !a().is_null_or_missing(),
            a().ne(1).and(there()),
            there().and(!a().contains(1)),
            there().and(field("b").eq(1).and(!a().lt(1))),
            there().and(a().ne(1).or(a().ne(2))),
            !(!there()).or(a().eq(1)),
            field(Path::key()).ne("x"),
        ] {
            assert!(rule.compile_rule().is_ok(), "{rule:?}");
        }
        for rule in [
            a().ne(1),
            !a().eq(1),
            !there(),
            a().is_null_or_missing(),
            a().ne(1).and(field("b").exists()),
            a().ne(1).and(field(["a", "b"]).exists()),
            a().ne(1).or(there()),
            there().or(field("b").exists()).and(a().ne(1)),
            !there().and(a().eq(1)),
            there().and(a().ne(1)).or(a().ne(2)),
        ] {
            let error = rule.compile_rule().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{rule:?}");
            assert!(error.message().contains("[\"a\"]"), "{error}");
        }
    }

    #[test]
    fn a_name_that_stands_twice_on_the_way_grants_nothing() {
        let key = Key::new("k").unwrap();
        let rule = field(["a", "b"]).eq(1).compile_rule().unwrap();
        assert!(rule.grants(&key, b"\xa2\x61a\xa1\x61b\x01\x61c\x02"));
        // What the rule does not ask for may stand twice.
        assert!(rule.grants(&key, b"\xa3\x61c\x02\x61a\xa1\x61b\x01\x61c\x02"));
        for value in [
            &b"\xa2\x61a\xa1\x61b\x01\x61a\xa1\x61b\x01"[..],
            b"\xa2\x61a\xa1\x61b\x01\x61a\x00",
            b"\xa1\x61a\xa2\x61b\x01\x61b\x02",
            b"\xa1\x61a\xa2\x61b\x01\x7f\x60\x61b\xff\x02",
            // Damage behind the field.
            b"\xa2\x61a\xa1\x61b\x01\x61c",
        ] {
            assert!(!rule.grants(&key, value), "{value:02x?}");
        }
    }
}
