//! The check that no map of a value has one name twice.

use super::value::{Str, open, skip, skip_tags};
use crate::codec::head::{ARRAY, MAP, TEXT};
use crate::codec::{Fault, more};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_CBOR_DEPTH;

/// Checks that no map within `value` has two entries of one name, whatever its form: readers
/// differ in which of them they take, and so in what the value says.
///
/// For values that are written, after [`validate`](crate::codec::validate): a store that has no
/// such value means the same to everybody. A [`CompiledRule`](super::CompiledRule) does not depend
/// on it. Takes one allocation and n log n comparisons for maps of n entries.
///
/// ```
/// use grid_core::query::check_names;
///
/// assert!(check_names(b"\xa2\x61a\x01\x61b\x02").is_ok());
/// assert!(check_names(b"\x81\xa2\x61a\x01\x61a\x02").is_err());
/// ```
///
/// # Errors
/// `Invalid` when a name stands twice, or the value is no well-formed CBOR item of at most
/// [`MAX_CBOR_DEPTH`] levels.
pub fn check_names(value: &[u8]) -> Result<()> {
    let (mut rest, mut names) = (value, Vec::new());
    match item(&mut rest, 0, &mut names) {
        Ok(true) => Ok(()),
        Ok(false) => Err(invalid("a map has two entries of one name")),
        Err(fault) => Err(invalid(fault.message())),
    }
}

#[cold]
fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, "check value", message)
}

/// Whether no name stands twice in the item at the front of `rest`, which it takes; `names` has
/// those of the maps around.
fn item<'a>(rest: &mut &'a [u8], depth: usize, names: &mut Vec<Str<'a>>) -> Result<bool, Fault> {
    let depth = skip_tags(rest, depth)?;
    let major = *rest.first().ok_or(Fault::Truncated)? >> 5;
    if !matches!(major, ARRAY | MAP) {
        return skip(rest, depth).map(|()| true);
    }
    if depth == MAX_CBOR_DEPTH {
        return Err(Fault::TooDeep);
    }
    let depth = depth + 1;
    let around = names.len();
    let mut left = open(rest)?;
    while more(rest, &mut left)? {
        if major == MAP {
            if rest.first().is_some_and(|first| first >> 5 == TEXT) {
                names.push(Str::read(rest, depth)?);
            } else if !item(rest, depth, names)? {
                return Ok(false);
            }
        }
        if !item(rest, depth, names)? {
            return Ok(false);
        }
    }
    let own = &mut names[around..];
    own.sort_unstable_by(|a, b| a.compare(*b));
    let once = own.windows(2).all(|pair| pair[0].compare(pair[1]).is_ne());
    names.truncate(around);
    Ok(once)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_once_in_each_map_wherever_it_is() {
        for value in [
            &b"\x01"[..],
            b"\xa2\x61a\x01\x61b\x61a",
            b"\xa2\x61a\xa1\x61a\x01\x61b\xa1\x61a\x01",
            b"\x82\xa1\x61a\x01\xa1\x61a\x01",
            // Keys that are no text have no names.
            b"\xa2\x01\x01\x01\x02",
            b"\xa2\x41a\x01\x61a\x02",
        ] {
            assert!(check_names(value).is_ok(), "{value:02x?}");
        }
        for value in [
            &b"\xa2\x61a\x01\x61a\x01"[..],
            b"\xa3\x61a\x01\x61b\xa1\x61c\x01\x61a\x01",
            b"\xbf\x61a\x01\x7f\x60\x61a\xff\x02\xff",
            b"\xa2\x62ab\x01\x7f\x61a\x61b\xff\x02",
            b"\xa2\x61a\x01\x78\x01a\x01",
            b"\xc1\xa1\x61x\x9f\xa2\x61a\x01\x61a\x01\xff",
            b"\xa1\xa2\x61a\x01\x61a\x01\x00",
        ] {
            let error = check_names(value).unwrap_err();
            assert!(error.message().contains("one name"), "{value:02x?}");
        }
        let deep = |levels| [vec![0x81; levels], vec![0]].concat();
        assert!(check_names(&deep(MAX_CBOR_DEPTH)).is_ok());
        for damaged in [
            deep(MAX_CBOR_DEPTH + 1),
            vec![0x81; 100_000],
            vec![0xa1, 0x61],
        ] {
            let error = check_names(&damaged).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
    }
}
