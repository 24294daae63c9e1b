//! Filters in text.

use std::fmt;
use std::str::FromStr;

use super::fault::{Fault, Result};
use super::input::{Input, has_keyword, has_sign, keyword, nested, parse, quoted, sign, sign_of};
use super::literal::literal;
use super::path::path;
use super::write::write_quoted;
use crate::error;
use crate::error::Error;
use crate::query::{Comparison, End, Filter, Literal, Path, Test};

/// The signs of comparisons, longer ones before those that they start with.
const COMPARISONS: [(&str, Comparison); 8] = [
    ("==", Comparison::Eq),
    ("=", Comparison::Eq),
    ("!=", Comparison::Ne),
    ("<>", Comparison::Ne),
    ("<=", Comparison::Le),
    ("<", Comparison::Lt),
    (">=", Comparison::Ge),
    (">", Comparison::Gt),
];

const TEST: &str = "a comparison (`=`, `!=`, `<`, `<=`, `>`, `>=`), `in`, `contains`, \
                    `starts_with`, `exists` or `is none`";

impl FromStr for Filter {
    type Err = Error;

    /// Parses a filter, such as `done = false and owner.name starts_with "An"`, as
    /// [`Query`](crate::query::Query) has it behind `where`.
    ///
    /// ```
    /// use grid_core::query::{Filter, field};
    ///
    /// let text = r#"done = false && (priority in 1..=3 or tags contains "red")"#;
    /// let filter: Filter = text.parse()?;
    /// let urgent = field("priority").between(1..=3).or(field("tags").contains("red"));
    /// assert_eq!(filter, field("done").eq(false).and(urgent));
    ///
    /// let error = "done = false and due <".parse::<Filter>().unwrap_err();
    /// assert!(error.message().starts_with("column 23: expected a literal"));
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Invalid` when it is none, with the column, counted in characters from 1, and what was
    /// expected there; `TooLarge` when it exceeds a bound.
    fn from_str(text: &str) -> error::Result<Self> {
        let filter = parse(text, filter, "`and`, `or` or the end")?;
        filter.check()?;
        Ok(filter)
    }
}

pub(super) fn filter(input: &mut Input<'_>) -> Result<Filter> {
    let mut filter = conjunction(input)?;
    while has_keyword(input, "or")? || has_sign(input, "||")? {
        filter = filter.or(conjunction(input)?);
    }
    Ok(filter)
}

fn conjunction(input: &mut Input<'_>) -> Result<Filter> {
    let mut filter = one(input)?;
    while has_keyword(input, "and")? || has_sign(input, "&&")? {
        filter = filter.and(one(input)?);
    }
    Ok(filter)
}

fn one(input: &mut Input<'_>) -> Result<Filter> {
    if has_keyword(input, "not")? || has_sign(input, "!")? {
        return nested(input, one).map(|inner| !inner);
    }
    if has_sign(input, "(")? {
        let inner = nested(input, filter)?;
        sign(input, ")", "`and`, `or` or `)`")?;
        return Ok(inner);
    }
    if has_keyword(input, "all")? {
        return Ok(Filter::all());
    }
    if has_keyword(input, "none")? {
        return Ok(Filter::none());
    }
    let path = path(input)?;
    let negated = has_keyword(input, "not")?;
    let (test, opposite) = match negated {
        true => (worded(input)?, false),
        false => test(input)?,
    };
    let filter = Filter::Field { path, test };
    Ok(if negated != opposite { !filter } else { filter })
}

/// A test, and whether its opposite is meant.
fn test(input: &mut Input<'_>) -> Result<(Test, bool)> {
    if let Some(comparison) = sign_of(input, COMPARISONS)? {
        return Ok((Test::Compare(comparison, literal(input)?), false));
    }
    if has_keyword(input, "is")? {
        let opposite = has_keyword(input, "not")?;
        keyword(input, "none", "`none` or `not none`")?;
        return Ok((Test::NullOrMissing, opposite));
    }
    Ok((worded(input)?, false))
}

/// A test that starts with a word of its own, which may stand behind `not`.
fn worded(input: &mut Input<'_>) -> Result<Test> {
    if has_keyword(input, "in")? {
        return match has_sign(input, "(")? {
            true => list(input).map(Test::In),
            false => range(input),
        };
    }
    if has_keyword(input, "contains")? {
        return literal(input).map(Test::Contains);
    }
    if has_keyword(input, "starts_with")? {
        return match input.starts_with('"') {
            true => quoted(input, '"').map(Test::Prefix),
            false => Err(Fault::expected(input, "a text in quotes")),
        };
    }
    keyword(input, "exists", TEST)?;
    Ok(Test::Exists)
}

/// The literals of a list of which the parenthesis was taken.
fn list(input: &mut Input<'_>) -> Result<Vec<Literal>> {
    let mut literals = Vec::new();
    if has_sign(input, ")")? {
        return Ok(literals);
    }
    loop {
        literals.push(literal(input)?);
        if !has_sign(input, ",")? {
            sign(input, ")", "`,` or `)`")?;
            return Ok(literals);
        }
    }
}

fn range(input: &mut Input<'_>) -> Result<Test> {
    let end = |literal, inclusive| End { literal, inclusive };
    let low = literal(input)?;
    let excluded = has_sign(input, "<..")?;
    if !excluded {
        sign(input, "..", "`..`, `..=` or `<..`")?;
    }
    let included = has_sign(input, "=")?;
    let high = end(literal(input)?, included);
    let low = end(low, !excluded);
    Ok(Test::Range { low, high })
}

/// Writes the filter such that it is read as one that is [normalized](Filter::normalized) to the
/// same.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(filters) => write_list(f, filters, " and ", "all"),
            Self::Or(filters) => write_list(f, filters, " or ", "none"),
            Self::Not(inner) => {
                f.write_str("not ")?;
                write_inner(f, inner)
            }
            Self::Field { path, test } => write_test(f, path, test),
        }
    }
}

fn write_list(
    f: &mut fmt::Formatter<'_>,
    filters: &[Filter],
    between: &str,
    none: &str,
) -> fmt::Result {
    let Some((first, others)) = filters.split_first() else {
        return f.write_str(none);
    };
    write_inner(f, first)?;
    others.iter().try_for_each(|filter| {
        f.write_str(between)?;
        write_inner(f, filter)
    })
}

/// Writes a filter that stands within another.
fn write_inner(f: &mut fmt::Formatter<'_>, filter: &Filter) -> fmt::Result {
    match filter {
        Filter::And(parts) | Filter::Or(parts) if !parts.is_empty() => write!(f, "({filter})"),
        _ => write!(f, "{filter}"),
    }
}

fn write_test(f: &mut fmt::Formatter<'_>, path: &Path, test: &Test) -> fmt::Result {
    match test {
        Test::Compare(comparison, literal) => {
            let sign = match comparison {
                Comparison::Eq => "=",
                Comparison::Ne => "!=",
                Comparison::Lt => "<",
                Comparison::Le => "<=",
                Comparison::Gt => ">",
                Comparison::Ge => ">=",
            };
            write!(f, "{path} {sign} {literal}")
        }
        Test::Range { low, high } => {
            let (excluded, included) = (!low.inclusive, high.inclusive);
            write!(f, "{path} in {}", low.literal)?;
            f.write_str(if excluded { "<.." } else { ".." })?;
            f.write_str(if included { "=" } else { "" })?;
            write!(f, "{}", high.literal)
        }
        Test::In(literals) => {
            write!(f, "{path} in (")?;
            literals
                .iter()
                .enumerate()
                .try_for_each(|(place, literal)| {
                    f.write_str(if place > 0 { ", " } else { "" })?;
                    write!(f, "{literal}")
                })?;
            f.write_str(")")
        }
        Test::Prefix(text) => {
            write!(f, "{path} starts_with ")?;
            write_quoted(f, text, '"')
        }
        Test::Contains(literal) => write!(f, "{path} contains {literal}"),
        Test::Exists => write!(f, "{path} exists"),
        Test::NullOrMissing => write!(f, "{path} is none"),
    }
}
