//! What a query compares fields with.

use std::borrow::Cow;

use bytes::Bytes;

use super::value::{Str, Value};
use crate::address::Key;
use crate::error::{Error, ErrorKind, Result};

/// A value that stands in a query.
///
/// Two literals are the same (`==`) when they are written the same: `1` and `1.0` are not, though
/// no field tells them apart. There is one NaN.
///
/// ```
/// use grid_core::query::Literal;
///
/// assert_eq!(Literal::from(7_u8), Literal::Integer(7));
/// assert_eq!(Literal::from("a"), Literal::Text("a".to_owned()));
/// assert_ne!(Literal::from(1), Literal::from(1.0));
/// assert_eq!(Literal::from(None::<u8>), Literal::Null);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
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

    /// How long what it compares with is, in bytes.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Float(_) => 0,
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
            (Self::Float(a), Self::Float(b)) => {
                a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
            }
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
from_plain!(Text: &str, &String, String, Box<str>, Cow<'_, str>, char);
from_plain!(Bytes: Bytes, Vec<u8>);

impl From<usize> for Literal {
    fn from(number: usize) -> Self {
        (number as u64).into()
    }
}

impl From<isize> for Literal {
    fn from(number: isize) -> Self {
        (number as i64).into()
    }
}

impl From<&[u8]> for Literal {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl<const N: usize> From<&[u8; N]> for Literal {
    fn from(bytes: &[u8; N]) -> Self {
        bytes[..].into()
    }
}

impl From<&Key> for Literal {
    fn from(key: &Key) -> Self {
        key.as_str().into()
    }
}

impl From<&Literal> for Literal {
    fn from(literal: &Literal) -> Self {
        literal.clone()
    }
}

impl<T: Into<Literal>> From<Option<T>> for Literal {
    fn from(option: Option<T>) -> Self {
        option.map_or(Self::Null, Into::into)
    }
}
