//! Where an entry stands in an order, as bytes.

use std::borrow::Borrow;
use std::fmt;

use super::hex::write_hex;
use super::value::{Str, Type, Value, integer_order};

/// The place of an entry in an order: bytes that compare as the entries do.
///
/// It holds the order's fields and the entry's key, so no two entries of a map have the same. It is
/// at most some 2 KiB for each field and 512 bytes for the key; usually it is some ten bytes for
/// each. Made by [`CompiledOrder::key`](super::CompiledOrder::key).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey(Box<[u8]>);

impl OrderKey {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for a sorted index that compares bytes. A `BTreeMap` of order keys can be asked
    /// by bytes, too.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OrderKey(")?;
        write_hex(f, &self.0)?;
        f.write_str(")")
    }
}

impl Borrow<[u8]> for OrderKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

// The first byte of a field. No field's bytes are the start of another's, so that those that
// follow never count against them.
const MISSING: u8 = 0;
/// The types before numbers have no more than two values.
pub(super) const NUMBER: u8 = 4;

fn first_byte(kind: Type) -> u8 {
    match kind {
        Type::Null => 1,
        Type::Bool => 2,
        Type::NotANumber => 3,
        Type::Number => NUMBER,
        Type::Text => 5,
        Type::Bytes => 6,
        Type::Array => 7,
        Type::Map => 8,
        Type::Simple => 9,
    }
}

pub(super) fn put_missing(out: &mut Vec<u8>) {
    out.push(MISSING);
}

pub(super) fn put_field(field: &Value<'_>, out: &mut Vec<u8>) {
    out.push(first_byte(field.kind()));
    match field {
        Value::Bool(truth) => out.push((*truth).into()),
        Value::Integer(number) => put_integer(*number, out),
        Value::Float(number) => put_number(*number, 0, out),
        Value::Text(text) | Value::Bytes(text) => put_string(*text, out),
        Value::Null | Value::NotANumber | Value::Array(_) | Value::Map | Value::Simple => {}
    }
}

/// Puts an integer as the greatest float that is not above it, and what is left.
fn put_integer(number: i128, out: &mut Vec<u8>) {
    #[expect(clippy::cast_precision_loss, reason = "what is lost is told beside it")]
    let near = number as f64;
    let below = if integer_order(number, near).is_lt() {
        near.next_down()
    } else {
        near
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float beside an integer of 65 bits has no fraction where they differ"
    )]
    let left = number - below as i128;
    put_number(below, u16::try_from(left).unwrap_or(u16::MAX), out);
}

/// Puts a number that is `left` above a float: floats of 2⁶³ and more are 2,048 apart.
fn put_number(float: f64, left: u16, out: &mut Vec<u8>) {
    // The sum turns −0.0 into 0.0.
    let bits = (float + 0.0).to_bits();
    let sign = 1 << 63;
    let sortable = if bits & sign == 0 { bits | sign } else { !bits };
    out.extend_from_slice(&sortable.to_be_bytes());
    out.extend_from_slice(&left.to_be_bytes());
}

/// Puts a string such that a zero ends it, which none within does: those are followed by 255.
fn put_string(string: Str<'_>, out: &mut Vec<u8>) {
    for byte in string.front() {
        out.push(byte);
        out.extend((byte == 0).then_some(0xff));
    }
    out.extend_from_slice(&[0, 0]);
}
