//! The error of a call that must fail.

use grid_core::{Error, ErrorKind, Result};

/// The error of `result`.
///
/// # Panics
/// When it is none; `why` says what should have stopped the call.
pub(super) fn error_of<T>(result: Result<T>, why: &str) -> Error {
    match result {
        Ok(_) => panic!("the call succeeded although {why}"),
        Err(error) => error,
    }
}

/// Checks that `result` failed with `kind`.
///
/// # Panics
/// When it did not; `why` says what should have stopped the call.
pub(super) fn assert_refused<T>(result: Result<T>, kind: ErrorKind, why: &str) {
    let error = error_of(result, why);
    assert_eq!(error.kind(), kind, "{why}: {error}");
}
