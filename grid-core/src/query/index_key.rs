//! What a field is, as bytes that an index over filters can hash.

use std::borrow::Borrow;
use std::fmt;

use super::hex::write_hex;
use super::literal::Literal;
use super::order_key::{NUMBER, put_field, put_missing};
use super::value::Value;

/// A field's value as bytes: fields that are equal to each other have the same.
///
/// So have 1 and 1.0, and a text in chunks and in one part. Few others have: arrays, maps, simple
/// values, and texts that differ after [`ORDER_PREFIX_BYTES`](crate::limits::ORDER_PREFIX_BYTES).
/// A field that is missing has a key of its own. It hashes as its bytes do.
///
/// ```
/// use grid_core::query::{IndexKey, Literal};
///
/// assert_eq!(IndexKey::of(&Literal::from(1)), IndexKey::of(&Literal::from(1.0)));
/// assert_ne!(IndexKey::of(&Literal::Null), IndexKey::missing());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexKey(Vec<u8>);

impl IndexKey {
    /// The key of fields that equal `literal`.
    #[must_use]
    pub fn of(literal: &Literal) -> Self {
        let mut key = Self::missing();
        key.set(Some(&literal.as_value()));
        key
    }

    /// The key of a field that is not there.
    #[must_use]
    pub fn missing() -> Self {
        let mut bytes = Vec::new();
        put_missing(&mut bytes);
        Self(bytes)
    }

    /// The key as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether fields with this key are of a type that has but a few values.
    pub(super) fn is_of_few_values(&self) -> bool {
        self.0.first().is_none_or(|first| *first < NUMBER)
    }

    /// Makes this the key of `field`, in the memory that it has.
    pub(super) fn set(&mut self, field: Option<&Value<'_>>) {
        self.0.clear();
        match field {
            Some(field) => put_field(field, &mut self.0),
            None => put_missing(&mut self.0),
        }
    }
}

impl Borrow<[u8]> for IndexKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexKey(")?;
        write_hex(f, &self.0)?;
        f.write_str(")")
    }
}
