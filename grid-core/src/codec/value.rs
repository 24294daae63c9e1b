//! Checks of CBOR whose meaning is not ours: the values of entries, and fields from newer peers.
//!
//! The check walks the bytes once, with a stack of fixed size: no allocation, no recursion.

use super::fault::Fault;
use super::head::{ARRAY, BREAK, BYTES, INDEFINITE, MAP, SIMPLE, TAG, TEXT, head, take_slice};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_CBOR_DEPTH, MAX_STRING_CHUNKS};

/// Checks that `bytes` are exactly one well-formed CBOR item (RFC 8949) with texts in UTF-8.
///
/// `max_depth` bounds the nesting of arrays, maps and tags (a plain number has depth 0; never more
/// than [`MAX_CBOR_DEPTH`]), `max_items` the items of one array or the entries of one map. A string
/// of no declared length has at most [`MAX_STRING_CHUNKS`] chunks.
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
        utf8: true,
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
pub(crate) struct Walk {
    pub(crate) max_depth: usize,
    pub(crate) max_items: usize,
    /// Whether items may have no declared length.
    pub(crate) indefinite: bool,
    /// Whether texts must be UTF-8.
    pub(crate) utf8: bool,
}

/// A container that is open. Small, because a stack of them is set up for every check.
#[derive(Debug, Clone, Copy)]
struct Open {
    kind: Kind,
    /// Items that are still to come, or that came, as `kind` says.
    items: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Holds `items` more items.
    Definite,
    /// Holds chunks of this major type until the end mark.
    String(u8),
    /// Held `items` items so far; ends with the end mark.
    Array,
    /// Held `items` keys and values so far; ends with the end mark.
    Map,
}

impl Open {
    fn of(kind: Kind) -> Self {
        Self { kind, items: 0 }
    }
}

impl Walk {
    /// Moves `rest` behind the item that it starts with.
    pub(crate) fn skip(&self, rest: &mut &[u8]) -> Result<(), Fault> {
        let Some(mut open) = self.item(rest, None)? else {
            return Ok(());
        };
        let max_depth = self.max_depth.min(MAX_CBOR_DEPTH);
        if max_depth == 0 {
            return Err(Fault::TooDeep);
        }
        let mut around = [open; MAX_CBOR_DEPTH];
        let mut depth = 1;
        loop {
            if self.ends(&mut open, rest)? {
                depth -= 1;
                if depth == 0 {
                    return Ok(());
                }
                open = around[depth];
            } else if let Some(inner) = self.item(rest, Some(open.kind))? {
                if depth == max_depth {
                    return Err(Fault::TooDeep);
                }
                around[depth] = open;
                depth += 1;
                open = inner;
            }
        }
    }

    /// Takes one item, or the head of a container that it returns; `within` is the container
    /// around it.
    #[inline]
    fn item(&self, rest: &mut &[u8], within: Option<Kind>) -> Result<Option<Open>, Fault> {
        let first = *rest.first().ok_or(Fault::Truncated)?;
        let (major, info) = (first >> 5, first & 0x1f);
        if let Some(Kind::String(of)) = within
            && (major != of || info == INDEFINITE)
        {
            return Err(Fault::BadChunk);
        }
        if info == INDEFINITE {
            return self.indefinite(rest, first).map(Some);
        }
        let (_, argument, _) = head(rest)?;
        match major {
            TEXT if self.utf8 => std::str::from_utf8(take_slice(rest, argument)?)
                .map(|_| None)
                .map_err(|_| Fault::NotUtf8),
            BYTES | TEXT => take_slice(rest, argument).map(|_| None),
            ARRAY => self.definite(argument, 1, rest.len()).map(Some),
            MAP => self.definite(argument, 2, rest.len()).map(Some),
            TAG => self.definite(1, 1, rest.len()).map(Some),
            // A simple value below 32 has no form of two bytes.
            SIMPLE if info == 24 && argument < 32 => Err(Fault::Reserved),
            _ => Ok(None),
        }
    }

    /// An array or map of `count` entries of `each` items; every item takes a byte at least.
    fn definite(&self, count: u64, each: u64, left: usize) -> Result<Open, Fault> {
        if count > self.max_items as u64 {
            return Err(Fault::TooManyItems);
        }
        let items = count.checked_mul(each).ok_or(Fault::Truncated)?;
        if items > left as u64 {
            return Err(Fault::Truncated);
        }
        let items = u32::try_from(items).map_err(|_| Fault::TooManyItems)?;
        Ok(Open {
            kind: Kind::Definite,
            items,
        })
    }

    /// Takes the head `first` of an item of no declared length.
    #[cold]
    fn indefinite(&self, rest: &mut &[u8], first: u8) -> Result<Open, Fault> {
        if first == BREAK {
            return Err(Fault::StrayBreak);
        }
        if !self.indefinite {
            return Err(Fault::Indefinite);
        }
        *rest = &rest[1..];
        match first >> 5 {
            major @ (BYTES | TEXT) => Ok(Open::of(Kind::String(major))),
            ARRAY => Ok(Open::of(Kind::Array)),
            MAP => Ok(Open::of(Kind::Map)),
            _ => Err(Fault::Reserved),
        }
    }

    /// Whether `open` ends here; otherwise counts the item that comes next in it.
    #[inline]
    fn ends(&self, open: &mut Open, rest: &mut &[u8]) -> Result<bool, Fault> {
        if open.kind == Kind::Definite {
            let Some(left) = open.items.checked_sub(1) else {
                return Ok(true);
            };
            open.items = left;
            return Ok(false);
        }
        if rest.first() != Some(&BREAK) {
            self.count(open)?;
            return Ok(false);
        }
        if open.kind == Kind::Map && open.items % 2 == 1 {
            return Err(Fault::StrayBreak);
        }
        *rest = &rest[1..];
        Ok(true)
    }

    /// Counts one more item of a container of no declared length.
    fn count(&self, open: &mut Open) -> Result<(), Fault> {
        open.items = open.items.checked_add(1).ok_or(Fault::TooManyItems)?;
        let entries = match open.kind {
            Kind::String(_) if open.items as usize > MAX_STRING_CHUNKS => {
                return Err(Fault::TooManyChunks);
            }
            Kind::Map => open.items.div_ceil(2),
            _ => open.items,
        };
        if u64::from(entries) > self.max_items as u64 {
            return Err(Fault::TooManyItems);
        }
        Ok(())
    }
}
