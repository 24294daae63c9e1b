//! A value, as far as a history cares.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Up to this many bytes of a value are kept as they are; of a longer one, its hash.
const MAX_HEX_BYTES: usize = 16;

/// A value in a canonical form: two are the same value if and only if their texts are equal.
///
/// The checkers never look inside. Histories tell most when every write puts a value of its own,
/// such as its number: then a read shows which write it saw, even where no versions are recorded.
///
/// ```
/// use grid_testkit::history::Value;
///
/// assert_eq!(Value::from(7).to_string(), "7");
/// assert_eq!(Value::new("milk").to_string(), "milk");
/// // Values of the grid are bytes of CBOR.
/// assert_eq!(Value::of_bytes(&[0x18, 0x2a]).to_string(), "x182a");
/// assert!(Value::of_bytes(&[0; 1000]).to_string().starts_with("xxh3:"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Value(String);

impl Value {
    /// The value with this canonical text, for example JSON with sorted keys.
    ///
    /// ```
    /// # use grid_testkit::history::Value;
    /// assert_eq!(Value::new("milk"), Value::from("milk"));
    /// ```
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The value with these bytes: in hexadecimal behind an `x`, or 128 bits of XXH3 if they are
    /// more than 16.
    ///
    /// ```
    /// # use grid_testkit::history::Value;
    /// assert_ne!(Value::of_bytes(b"a"), Value::of_bytes(b"b"));
    /// ```
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        if bytes.len() > MAX_HEX_BYTES {
            let hash = xxhash_rust::xxh3::xxh3_128(bytes);
            return Self(format!("xxh3:{hash:032x}"));
        }
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("x{hex}"))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

macro_rules! from_number {
    ($($number:ty),*) => {
        $(impl From<$number> for Value {
            fn from(number: $number) -> Self {
                Self(number.to_string())
            }
        })*
    };
}

from_number!(i32, i64, u32, u64, usize);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
