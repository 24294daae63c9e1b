//! Values as plain data, for backends whose databases have documents of their own.

use std::collections::BTreeSet;

use super::fault::Fault;
use super::head::{
    ARRAY, BREAK, FALSE, FLOAT16, FLOAT32, FLOAT64, INDEFINITE, MAP, NEGATIVE, NULL, SIMPLE, TEXT,
    TRUE, UINT, head, take, take_slice,
};
use crate::limits::MAX_CBOR_DEPTH;

/// A CBOR value that is made of nothing but what JSON and its relatives have.
///
/// The bytes of a value say more than its data does: the width of numbers, the order of a map's
/// keys, whether lengths are declared. So this is for showing a value, and never for storing it in
/// the place of its bytes.
///
/// ```
/// use grid_core::codec::Data;
///
/// let value = b"\xa1\x64done\xf5";
/// assert_eq!(Data::read(value), Some(Data::Map(vec![("done", Data::Bool(true))])));
/// assert_eq!(Data::read(b"\x41x"), None, "a byte string");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Data<'a> {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number without a fraction, from −2⁶⁴ to 2⁶⁴ − 1.
    Integer(i128),
    /// A floating point number, which may be infinite or none.
    Float(f64),
    /// A text.
    Text(&'a str),
    /// A list.
    Array(Vec<Data<'a>>),
    /// Names and what they stand for, in the order of the bytes; each name is there once.
    Map(Vec<(&'a str, Data<'a>)>),
}

impl<'a> Data<'a> {
    /// The data of `value`, or `None` when it is not exactly one CBOR item, or holds anything that
    /// is no plain data: byte strings, tags, `undefined`, names that are no text, one name twice,
    /// texts in chunks.
    #[must_use]
    pub fn read(value: &'a [u8]) -> Option<Self> {
        let mut rest = value;
        let data = item(&mut rest, 0).ok().flatten()?;
        rest.is_empty().then_some(data)
    }
}

/// What an item may be: data, or something well-formed that is none.
type Found<T> = Result<Option<T>, Fault>;

fn item<'a>(rest: &mut &'a [u8], depth: usize) -> Found<Data<'a>> {
    let first = *rest.first().ok_or(Fault::Truncated)?;
    if depth > MAX_CBOR_DEPTH {
        return Err(Fault::TooDeep);
    }
    let (major, open) = (first >> 5, first & 0x1f == INDEFINITE);
    Ok(match major {
        UINT => Some(Data::Integer(i128::from(head(rest)?.1))),
        NEGATIVE => Some(Data::Integer(-1 - i128::from(head(rest)?.1))),
        TEXT => Some(Data::Text(text(rest)?)),
        ARRAY if open => array(rest, None, depth)?,
        ARRAY => {
            let count = head(rest)?.1;
            array(rest, Some(count), depth)?
        }
        MAP if open => map(rest, None, depth)?,
        MAP => {
            let count = head(rest)?.1;
            map(rest, Some(count), depth)?
        }
        SIMPLE => simple(rest)?,
        _ => None,
    })
}

fn text<'a>(rest: &mut &'a [u8]) -> Result<&'a str, Fault> {
    let (major, length, _) = head(rest)?;
    if major != TEXT {
        return Err(Fault::NoText);
    }
    std::str::from_utf8(take_slice(rest, length)?).map_err(|_| Fault::NotUtf8)
}

/// Whether a collection has one more item: as many as it declared, or until the end mark.
pub(crate) fn more(rest: &mut &[u8], left: &mut Option<u64>) -> Result<bool, Fault> {
    match left {
        Some(0) => Ok(false),
        Some(left) => {
            *left -= 1;
            Ok(true)
        }
        None if rest.first() == Some(&BREAK) => {
            *rest = &rest[1..];
            Ok(false)
        }
        None => Ok(true),
    }
}

fn array<'a>(rest: &mut &'a [u8], declared: Option<u64>, depth: usize) -> Found<Data<'a>> {
    if declared.is_none() {
        take::<1>(rest)?;
    }
    let mut left = declared;
    let mut items = Vec::new();
    while more(rest, &mut left)? {
        let Some(data) = item(rest, depth + 1)? else {
            return Ok(None);
        };
        items.push(data);
    }
    Ok(Some(Data::Array(items)))
}

fn map<'a>(rest: &mut &'a [u8], declared: Option<u64>, depth: usize) -> Found<Data<'a>> {
    if declared.is_none() {
        take::<1>(rest)?;
    }
    let mut left = declared;
    let mut entries = Vec::new();
    let mut names = BTreeSet::new();
    while more(rest, &mut left)? {
        let name = text(rest)?;
        let Some(data) = item(rest, depth + 1)? else {
            return Ok(None);
        };
        if !names.insert(name) {
            return Ok(None);
        }
        entries.push((name, data));
    }
    Ok(Some(Data::Map(entries)))
}

fn simple<'a>(rest: &mut &[u8]) -> Found<Data<'a>> {
    let [first] = take::<1>(rest)?;
    Ok(match first {
        FALSE => Some(Data::Bool(false)),
        TRUE => Some(Data::Bool(true)),
        NULL => Some(Data::Null),
        FLOAT16 => Some(Data::Float(half(u16::from_be_bytes(take(rest)?)))),
        FLOAT32 => Some(Data::Float(f32::from_be_bytes(take(rest)?).into())),
        FLOAT64 => Some(Data::Float(f64::from_be_bytes(take(rest)?))),
        _ => None,
    })
}

/// The number that these bits are in half precision (RFC 8949, appendix D).
pub(crate) fn half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let magnitude = match i32::from((bits >> 10) & 0x1f) {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (fraction + 1024.0) * 2_f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::validate;

    #[test]
    fn plain_data_is_read_whatever_its_form() {
        for (bytes, data) in [
            (&b"\xf6"[..], Data::Null),
            (b"\x18\x05", Data::Integer(5)),
            (
                b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
                Data::Integer((1 << 64) - 1),
            ),
            (
                b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
                Data::Integer(-(1 << 64)),
            ),
            (b"\xf9\x3e\x00", Data::Float(1.5)),
            (b"\xf9\x00\x01", Data::Float(2_f64.powi(-24))),
            (b"\xf9\xfc\x00", Data::Float(f64::NEG_INFINITY)),
            (b"\xfa\x3f\xc0\x00\x00", Data::Float(1.5)),
            (b"\x62\xc3\xa9", Data::Text("é")),
            (b"\x9f\x01\xff", Data::Array(vec![Data::Integer(1)])),
            (
                b"\xbf\x61a\x80\xff",
                Data::Map(vec![("a", Data::Array(vec![]))]),
            ),
        ] {
            assert_eq!(Data::read(bytes), Some(data), "{bytes:x?}");
        }
        let Some(Data::Float(zero)) = Data::read(b"\xf9\x80\x00") else {
            panic!("a zero");
        };
        assert!(zero.is_sign_negative());
    }

    #[test]
    fn what_plain_data_has_no_word_for_is_none() {
        for bytes in [
            &b"\x40"[..],              // a byte string
            b"\x81\x40",               // within
            b"\xc1\x00",               // a tag
            b"\xf7",                   // undefined
            b"\xf0",                   // a simple value
            b"\xa1\x01\x02",           // a name that is no text
            b"\xa2\x61a\x01\x61a\x02", // a name twice
            b"\x7f\x61a\xff",          // a text in chunks
            b"\x61\xff",               // no UTF-8
            b"\x82\x01",               // cut short
            b"\x01\x01",               // two items
            b"\xff",
            b"",
        ] {
            assert_eq!(Data::read(bytes), None, "{bytes:x?}");
        }
        let deep = [vec![0x81; MAX_CBOR_DEPTH + 1], vec![0]].concat();
        assert_eq!(Data::read(&deep), None);
        assert!(Data::read(&deep[1..]).is_some());
    }

    proptest! {
        /// Never more than the check of values takes for CBOR.
        #[test]
        fn data_is_well_formed_cbor(bytes: Vec<u8>) {
            if Data::read(&bytes).is_some() {
                prop_assert!(validate(&bytes, MAX_CBOR_DEPTH, usize::MAX).is_ok());
            }
        }
    }
}
