//! Checks of CBOR whose meaning is not ours: the values of entries, and fields from newer peers.
//!
//! The check walks the bytes once, with a stack of fixed size: no allocation, no recursion.

use super::fault::Fault;
use super::head::{ARRAY, BREAK, BYTES, INDEFINITE, MAP, SIMPLE, TAG, TEXT, head, take_slice};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_CBOR_DEPTH;

/// Checks that `bytes` are exactly one well-formed CBOR item (RFC 8949) with texts in UTF-8.
///
/// `max_depth` bounds the nesting of arrays, maps and tags (a plain number has depth 0; never more
/// than [`MAX_CBOR_DEPTH`]), `max_items` the items of one array or the entries of one map.
///
/// ```
/// use grid_core::codec::validate;
///
/// assert!(validate(b"\x82\x01\x61a", 8, 100).is_ok());
/// assert!(validate(b"\x82\x01", 8, 100).is_err());
/// ```
///
/// # Errors
/// `Invalid` when the bytes are no such item, `TooLarge` when it exceeds a bound.
pub fn validate(bytes: &[u8], max_depth: usize, max_items: usize) -> Result<()> {
    let item = item_length(bytes, max_depth, max_items)?;
    if item < bytes.len() {
        return Err(unusable(Fault::Trailing, item));
    }
    Ok(())
}

/// The length in bytes of the CBOR item that `bytes` start with; bounds as in [`validate`].
///
/// # Errors
/// As [`validate`]; bytes after the item are none.
pub fn item_length(bytes: &[u8], max_depth: usize, max_items: usize) -> Result<usize> {
    let walk = Walk {
        max_depth,
        max_items,
        indefinite: true,
    };
    let mut rest = bytes;
    walk.skip(&mut rest)
        .map_err(|fault| unusable(fault, bytes.len() - rest.len()))?;
    Ok(bytes.len() - rest.len())
}

#[cold]
fn unusable(fault: Fault, offset: usize) -> Error {
    let message = format!("the value is not usable CBOR: {}", fault.message());
    Error::new(fault.kind(ErrorKind::Invalid), "check value", message).with("offset", offset)
}

/// What a walk over an item accepts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    pub(super) max_depth: usize,
    pub(super) max_items: usize,
    /// Whether items may have no declared length.
    pub(super) indefinite: bool,
}

/// A container that is open: how many items it still holds, or until its end mark.
#[derive(Debug, Clone, Copy)]
enum Open {
    Items(u64),
    Chunks(u8),
    UntilBreak { items: u64, map: bool },
}

impl Walk {
    /// Moves `rest` behind the item that it starts with.
    pub(super) fn skip(&self, rest: &mut &[u8]) -> Result<(), Fault> {
        let mut stack = [Open::Items(0); MAX_CBOR_DEPTH];
        let mut depth = 0;
        loop {
            if let Some(open) = self.item(rest, &stack[..depth])? {
                if depth >= self.max_depth.min(MAX_CBOR_DEPTH) {
                    return Err(Fault::TooDeep);
                }
                stack[depth] = open;
                depth += 1;
            }
            depth = self.close(rest, &mut stack, depth)?;
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Takes one item, or the head of a container that it returns.
    fn item(&self, rest: &mut &[u8], stack: &[Open]) -> Result<Option<Open>, Fault> {
        let first = *rest.first().ok_or(Fault::Truncated)?;
        let (major, info) = (first >> 5, first & 0x1f);
        if let Some(Open::Chunks(of)) = stack.last()
            && (major != *of || info == INDEFINITE)
        {
            return Err(Fault::BadChunk);
        }
        if info == INDEFINITE {
            if first == BREAK {
                return Err(Fault::StrayBreak);
            }
            if !self.indefinite {
                return Err(Fault::Indefinite);
            }
            *rest = &rest[1..];
            return match major {
                BYTES | TEXT => Ok(Some(Open::Chunks(major))),
                ARRAY | MAP => Ok(Some(Open::UntilBreak {
                    items: 0,
                    map: major == MAP,
                })),
                _ => Err(Fault::Reserved),
            };
        }
        let (_, argument, _) = head(rest)?;
        match major {
            BYTES => take_slice(rest, argument).map(|_| None),
            TEXT => std::str::from_utf8(take_slice(rest, argument)?)
                .map(|_| None)
                .map_err(|_| Fault::NotUtf8),
            ARRAY => self.definite(argument, 1, rest.len()),
            MAP => self.definite(argument, 2, rest.len()),
            TAG => Ok(Some(Open::Items(1))),
            // A simple value below 32 has no form of two bytes.
            SIMPLE if info == 24 && argument < 32 => Err(Fault::Reserved),
            _ => Ok(None),
        }
    }

    /// An array or map of `count` entries of `each` items; every item takes a byte at least.
    fn definite(&self, count: u64, each: u64, left: usize) -> Result<Option<Open>, Fault> {
        if count > self.max_items as u64 {
            return Err(Fault::TooManyItems);
        }
        let items = count.checked_mul(each).ok_or(Fault::Truncated)?;
        if items > left as u64 {
            return Err(Fault::Truncated);
        }
        Ok(Some(Open::Items(items)))
    }

    /// Counts the item that was just taken and closes what it completed; the depth that remains.
    fn close(
        &self,
        rest: &mut &[u8],
        stack: &mut [Open; MAX_CBOR_DEPTH],
        mut depth: usize,
    ) -> Result<usize, Fault> {
        while depth > 0 {
            match &mut stack[depth - 1] {
                Open::Items(0) => depth -= 1,
                Open::Items(left) => {
                    *left -= 1;
                    return Ok(depth);
                }
                Open::Chunks(_) => {
                    if rest.first() != Some(&BREAK) {
                        return Ok(depth);
                    }
                    *rest = &rest[1..];
                    depth -= 1;
                }
                Open::UntilBreak { items, map } => {
                    if rest.first() != Some(&BREAK) {
                        *items += 1;
                        let entries = if *map { items.div_ceil(2) } else { *items };
                        if entries > self.max_items as u64 {
                            return Err(Fault::TooManyItems);
                        }
                        return Ok(depth);
                    }
                    if *map && *items % 2 == 1 {
                        return Err(Fault::StrayBreak);
                    }
                    *rest = &rest[1..];
                    depth -= 1;
                }
            }
        }
        Ok(0)
    }
}
