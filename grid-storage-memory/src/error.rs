//! The errors that memory backends give.

use grid_core::{Error, ErrorKind};

use crate::MAX_VALUE_BYTES;

pub(crate) fn closed(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::Closed,
        operation,
        "this opening was closed; open the URL again",
    )
}

pub(crate) fn locked(name: &str) -> Error {
    Error::new(
        ErrorKind::Locked,
        "open memory",
        "another opening of this name lives; close it first",
    )
    .with("url", format_args!("memory:{name}"))
}

pub(crate) fn scheme(url: &str) -> Error {
    Error::new(
        ErrorKind::Invalid,
        "open memory",
        "expected memory: or memory:NAME",
    )
    .with("url", url)
}

pub(crate) fn too_large(operation: &'static str, bytes: usize) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        operation,
        format!("a value of {bytes} bytes; at most {MAX_VALUE_BYTES} are allowed"),
    )
}
