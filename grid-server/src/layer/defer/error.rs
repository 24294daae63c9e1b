//! What is told about anything but a push.

use grid_core::{Error, ErrorKind};

use crate::layer::PutOff;

/// What is put off has no other way to come again than a new connection.
pub(super) fn not_now(put_off: PutOff) -> Error {
    Error::new(ErrorKind::Overloaded, "put off", put_off.message)
}
