//! Values as CBOR bytes.

use bytes::Bytes;
use grid_core::codec::validate;
use grid_core::limits::MAX_CBOR_DEPTH;
use grid_core::query::check_names;
use grid_core::{Error, ErrorKind, Key, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) fn encode<T: Serialize + ?Sized>(key: &Key, value: &T) -> Result<Bytes> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| {
        Error::new(
            ErrorKind::Invalid,
            "encode value",
            "the value cannot be written as CBOR",
        )
        .with("key", key)
        .with("cause", error)
    })?;
    check(key, &bytes)?;
    Ok(bytes.into())
}

/// What every server refuses is better refused before it is an op. Its bytes bound its items.
pub(crate) fn check(key: &Key, value: &[u8]) -> Result<()> {
    validate(value, MAX_CBOR_DEPTH, value.len()).map_err(|error| {
        let message = format!("the value must be CBOR of at most {MAX_CBOR_DEPTH} levels");
        Error::new(error.kind(), "encode value", message)
            .with("key", key)
            .with_source(error)
    })?;
    check_names(value).map_err(|error| error.with("key", key))
}

pub(crate) fn decode<T: DeserializeOwned>(key: &Key, value: &Bytes) -> Result<T> {
    ciborium::from_reader(&value[..]).map_err(|error| {
        Error::new(
            ErrorKind::Invalid,
            "decode value",
            "the stored value does not have the type that the map was opened with",
        )
        .with("key", key)
        .with("cause", error)
    })
}
