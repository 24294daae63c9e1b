//! A field's value as queries see it: read in place, nothing decoded that need not be.

use std::cmp::Ordering;

use crate::codec::head::{
    ARRAY, BYTES, FALSE, FLOAT16, FLOAT32, FLOAT64, INDEFINITE, MAP, NEGATIVE, NULL, SIMPLE, TAG,
    TEXT, TRUE, UINT, head, take, take_slice,
};
use crate::codec::{Fault, Walk, half, more};
use crate::limits::{MAX_CBOR_DEPTH, ORDER_PREFIX_BYTES};

const UNDEFINED: u8 = 0xf7;

/// A value; what is in a map is not looked at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    NotANumber,
    Integer(i128),
    /// Any but NaN.
    Float(f64),
    Text(Str<'a>),
    Bytes(Str<'a>),
    Array(Elements<'a>),
    Map,
    /// A simple value without a meaning of its own.
    Simple,
}

/// The types of values in their order; a field that is missing is before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Type {
    Null,
    Bool,
    NotANumber,
    Number,
    Text,
    Bytes,
    Array,
    Map,
    Simple,
}

impl<'a> Value<'a> {
    /// Reads the item at the front of `rest`, around which `depth` containers and tags are open.
    #[inline]
    pub(super) fn read(rest: &mut &'a [u8], depth: usize) -> Result<Self, Fault> {
        let depth = skip_tags(rest, depth)?;
        let first = *rest.first().ok_or(Fault::Truncated)?;
        Ok(match first >> 5 {
            UINT => Self::Integer(head(rest)?.1.into()),
            NEGATIVE => Self::Integer(-1 - i128::from(head(rest)?.1)),
            TEXT => Self::Text(Str::read(rest, depth)?),
            BYTES => Self::Bytes(Str::read(rest, depth)?),
            ARRAY => {
                let item = *rest;
                skip(rest, depth)?;
                Self::Array(Elements { item, depth })
            }
            MAP => {
                skip(rest, depth)?;
                Self::Map
            }
            _ => Self::simple(rest, first, depth)?,
        })
    }

    fn simple(rest: &mut &[u8], first: u8, depth: usize) -> Result<Self, Fault> {
        debug_assert_eq!(first >> 5, SIMPLE, "every other type is read elsewhere");
        let before = *rest;
        take::<1>(rest)?;
        Ok(match first {
            FALSE => Self::Bool(false),
            TRUE => Self::Bool(true),
            NULL | UNDEFINED => Self::Null,
            FLOAT16 => Self::float(half(u16::from_be_bytes(take(rest)?))),
            FLOAT32 => Self::float(f32::from_be_bytes(take(rest)?).into()),
            FLOAT64 => Self::float(f64::from_be_bytes(take(rest)?)),
            _ => {
                *rest = before;
                skip(rest, depth)?;
                Self::Simple
            }
        })
    }

    pub(super) fn float(number: f64) -> Self {
        if number.is_nan() {
            Self::NotANumber
        } else {
            Self::Float(number)
        }
    }

    pub(super) fn kind(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::NotANumber => Type::NotANumber,
            Self::Integer(_) | Self::Float(_) => Type::Number,
            Self::Text(_) => Type::Text,
            Self::Bytes(_) => Type::Bytes,
            Self::Array(_) => Type::Array,
            Self::Map => Type::Map,
            Self::Simple => Type::Simple,
        }
    }

    /// The order of two values of one type; `None` for those of different types.
    ///
    /// Arrays are equal here, and so are maps and simple values: nothing compares them with a
    /// literal, and in an order the keys decide among them.
    #[inline]
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => float_order(*a, *b),
            (Self::Integer(a), Self::Float(b)) => integer_order(*a, *b),
            (Self::Float(a), Self::Integer(b)) => integer_order(*b, *a).reverse(),
            (Self::Text(a), Self::Text(b)) | (Self::Bytes(a), Self::Bytes(b)) => a.compare(*b),
            _ if self.kind() == other.kind() => Ordering::Equal,
            _ => return None,
        })
    }

    /// The order of two fields: as [`Value::total_order`], but of strings no more than the first
    /// [`ORDER_PREFIX_BYTES`] count.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) | (Self::Bytes(a), Self::Bytes(b)) => a.order(*b),
            _ => self.total_order(other),
        }
    }

    /// The order of any two values: by type, then as [`Value::compare`].
    pub(super) fn total_order(&self, other: &Self) -> Ordering {
        self.compare(other)
            .unwrap_or_else(|| self.kind().cmp(&other.kind()))
    }
}

/// The order of two floats that are not NaN; zeros are equal, whatever their sign.
fn float_order(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

/// The exact order of an integer of 65 bits and a float.
pub(super) fn integer_order(integer: i128, float: f64) -> Ordering {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the fraction is gone, and what is out of range saturates beyond every integer"
    )]
    let whole = float.trunc() as i128;
    integer
        .cmp(&whole)
        .then_with(|| float_order(0.0, float - float.trunc()))
}

/// A text or byte string, whole or in chunks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Str<'a> {
    /// The string, or its chunks with their heads.
    bytes: &'a [u8],
    chunked: bool,
}

impl<'a> Str<'a> {
    pub(super) fn whole(bytes: &'a [u8]) -> Self {
        let chunked = false;
        Self { bytes, chunked }
    }

    /// Reads the string at the front of `rest`.
    #[inline]
    pub(super) fn read(rest: &mut &'a [u8], depth: usize) -> Result<Self, Fault> {
        if rest.first().is_some_and(|first| first & 0x1f == INDEFINITE) {
            let item = *rest;
            skip(rest, depth)?;
            let bytes = &item[1..item.len() - rest.len() - 1];
            return Ok(Self {
                bytes,
                chunked: true,
            });
        }
        let (_, length, _) = head(rest)?;
        take_slice(rest, length).map(Self::whole)
    }

    /// The parts of the string, one after the other.
    pub(super) fn chunks(self) -> impl Iterator<Item = &'a [u8]> {
        let mut whole = (!self.chunked).then_some(self.bytes);
        let mut rest = if self.chunked { self.bytes } else { &[] };
        std::iter::from_fn(move || {
            if let Some(whole) = whole.take() {
                return Some(whole);
            }
            // The chunks were walked over when the string was read: the end is the one failure.
            let (_, length, _) = head(&mut rest).ok()?;
            take_slice(&mut rest, length).ok()
        })
    }

    /// The order of the bytes, which for UTF-8 is that of the code points.
    #[inline]
    pub(super) fn compare(self, other: Self) -> Ordering {
        if !self.chunked && !other.chunked {
            return self.bytes.cmp(other.bytes);
        }
        self.chunks().flatten().cmp(other.chunks().flatten())
    }

    pub(super) fn starts_with(self, prefix: &[u8]) -> bool {
        if !self.chunked {
            return self.bytes.starts_with(prefix);
        }
        let mut bytes = self.chunks().flatten();
        prefix.iter().all(|byte| bytes.next() == Some(byte))
    }

    /// What counts of the string in an order.
    pub(super) fn front(self) -> impl Iterator<Item = u8> {
        let bytes = self.chunks().flatten().copied();
        bytes.take(ORDER_PREFIX_BYTES)
    }

    fn order(self, other: Self) -> Ordering {
        if self.chunked || other.chunked {
            return self.front().cmp(other.front());
        }
        let [a, b] = [self, other].map(|string| {
            let front = string.bytes.len().min(ORDER_PREFIX_BYTES);
            &string.bytes[..front]
        });
        a.cmp(b)
    }
}

/// The elements of an array.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elements<'a> {
    /// Starts with the array.
    item: &'a [u8],
    depth: usize,
}

impl<'a> Elements<'a> {
    /// Whether any element is such.
    pub(super) fn any(self, mut is_such: impl FnMut(Value<'a>) -> bool) -> bool {
        let mut rest = self.item;
        // The array was walked over when it was read: it has no damage.
        let mut found = || -> Result<bool, Fault> {
            let mut left = open(&mut rest)?;
            while more(&mut rest, &mut left)? {
                if is_such(Value::read(&mut rest, self.depth + 1)?) {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        found().unwrap_or(false)
    }
}

/// Takes the head of an array or map: how many items or entries it has, if it says.
pub(super) fn open(rest: &mut &[u8]) -> Result<Option<u64>, Fault> {
    if rest.first().is_some_and(|first| first & 0x1f == INDEFINITE) {
        take::<1>(rest)?;
        return Ok(None);
    }
    Ok(Some(head(rest)?.1))
}

/// Moves `rest` behind the tags at its front; the new depth.
#[inline]
pub(super) fn skip_tags(rest: &mut &[u8], mut depth: usize) -> Result<usize, Fault> {
    while rest.first().is_some_and(|first| first >> 5 == TAG) {
        head(rest)?;
        depth += 1;
        if depth > MAX_CBOR_DEPTH {
            return Err(Fault::TooDeep);
        }
    }
    Ok(depth)
}

/// Moves `rest` behind the item at its front.
#[inline]
pub(super) fn skip(rest: &mut &[u8], depth: usize) -> Result<(), Fault> {
    let walk = Walk {
        max_depth: MAX_CBOR_DEPTH.saturating_sub(depth),
        max_items: usize::MAX,
        indefinite: true,
        // What is stored was checked; texts compare by their bytes.
        utf8: false,
    };
    walk.skip(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_floats_compare_exactly() {
        let above = (1_i128 << 53) + 1;
        let two_to_53 = 9_007_199_254_740_992.0;
        for (integer, float, order) in [
            (above, two_to_53, Ordering::Greater),
            (1 << 53, two_to_53, Ordering::Equal),
            (-above, -two_to_53, Ordering::Less),
            (0, -0.0, Ordering::Equal),
            (0, 0.5, Ordering::Less),
            (0, -0.5, Ordering::Greater),
            (-1, -0.5, Ordering::Less),
            (0, f64::from_bits(1), Ordering::Less),
            (0, -f64::from_bits(1), Ordering::Greater),
            ((1 << 64) - 1, 2_f64.powi(64), Ordering::Less),
            (-(1 << 64), -2_f64.powi(64), Ordering::Equal),
            ((1 << 64) - 1, f64::INFINITY, Ordering::Less),
            (-(1 << 64), f64::NEG_INFINITY, Ordering::Greater),
            (i128::from(i64::MAX), f64::MAX, Ordering::Less),
        ] {
            assert_eq!(integer_order(integer, float), order, "{integer} {float:e}");
        }
    }
}
