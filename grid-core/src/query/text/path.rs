//! Paths in text.

use std::fmt;
use std::fmt::Write;

use winnow::stream::Stream;

use super::fault::{Fault, Result};
use super::input::{Input, has_sign, quoted, sign, word};
use super::write::write_quoted;
use crate::query::Path;

/// Words at which a filter starts, so that no name is written bare that is one of them.
pub(super) const RESERVED: [&str; 3] = ["not", "all", "none"];

const KEY: &str = "key";
const VALUE: &str = "value";
const WHAT: &str = "the name of a field";

pub(super) fn path(input: &mut Input<'_>) -> Result<Path> {
    if let Some(root) = root(input)? {
        return match has_sign(input, ".")? {
            // What is written of a key's fields would be refused later, without a place.
            true if root.is_key() => Err(Fault::problem(input, "the key has no fields")),
            true => names(input, root),
            false => Ok(root),
        };
    }
    names(input, Path::value())
}

/// `key()` or `value()`.
fn root(input: &mut Input<'_>) -> Result<Option<Path>> {
    let before = input.checkpoint();
    let root = match word(input) {
        Ok(KEY) => Path::key(),
        Ok(VALUE) => Path::value(),
        _ => {
            input.reset(&before);
            return Ok(None);
        }
    };
    if has_sign(input, "(")? {
        sign(input, ")", "`)`")?;
        return Ok(Some(root));
    }
    input.reset(&before);
    Ok(None)
}

fn names(input: &mut Input<'_>, mut path: Path) -> Result<Path> {
    loop {
        path = path.then(&name(input)?);
        if !has_sign(input, ".")? {
            return Ok(path);
        }
    }
}

fn name(input: &mut Input<'_>) -> Result<String> {
    if input.starts_with('`') {
        return quoted(input, '`');
    }
    let found = word(input).map_err(|_| Fault::expected(input, WHAT))?;
    Ok(found.to_owned())
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_key() || self.names().len() == 0 {
            write!(f, "{}()", if self.is_key() { KEY } else { VALUE })?;
            return self.names().try_for_each(|name| {
                f.write_char('.')?;
                write_name(f, name)
            });
        }
        self.names().enumerate().try_for_each(|(place, name)| {
            if place > 0 {
                f.write_char('.')?;
            }
            write_name(f, name)
        })
    }
}

fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_word = name.chars().all(of_word) && !name.starts_with(|c: char| c.is_ascii_digit());
    let is_reserved = RESERVED.iter().any(|word| name.eq_ignore_ascii_case(word));
    if is_word && !name.is_empty() && !is_reserved {
        return f.write_str(name);
    }
    write_quoted(f, name, '`')
}
