//! What a query compares fields with.

use bytes::Bytes;

use super::value::{Str, Value};
use crate::error::{Error, ErrorKind, Result};

/// A value that stands in a query.
///
/// Two literals are the same (`==`) when they are written the same: `1` and `1.0` are not, though
/// no field tells them apart.
///
/// ```
/// use grid_core::query::Literal;
///
/// assert_eq!(Literal::from(7_u8), Literal::Integer(7));
/// assert_eq!(Literal::from("a"), Literal::Text("a".to_owned()));
/// assert_ne!(Literal::from(1), Literal::from(1.0));
/// ```
#[derive(Debug, Clone)]
pub enum Literal {
    /// Nothing, as a value: a field that is missing is not null.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number without a fraction, from −2⁶⁴ to 2⁶⁴ − 1: what CBOR has.
    Integer(i128),
    /// A floating point number, which may be infinite or none.
    Float(f64),
    /// A text.
    Text(String),
    /// A byte string.
    Bytes(Bytes),
}

impl Literal {
    /// The literal as a field that holds it is seen.
    pub(super) fn as_value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Integer(number) => Value::Integer(*number),
            Self::Float(number) => Value::float(*number),
            Self::Text(text) => Value::Text(Str::whole(text.as_bytes())),
            Self::Bytes(bytes) => Value::Bytes(Str::whole(bytes)),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Integer(number) if !(-(1 << 64)..1 << 64).contains(number) => {
                let message = format!("the integer {number} is beyond what CBOR has (64 bits)");
                Err(Error::new(ErrorKind::Invalid, "check query", message))
            }
            _ => Ok(()),
        }
    }
}

impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Literal {}

macro_rules! from_plain {
    ($variant:ident: $($plain:ty),+) => {
        $(impl From<$plain> for Literal {
            fn from(plain: $plain) -> Self {
                Self::$variant(plain.into())
            }
        })+
    };
}

from_plain!(Integer: i8, i16, i32, i64, u8, u16, u32, u64);
from_plain!(Float: f32, f64);
from_plain!(Bool: bool);
from_plain!(Text: &str, String);
from_plain!(Bytes: Bytes, Vec<u8>, &'static [u8]);
