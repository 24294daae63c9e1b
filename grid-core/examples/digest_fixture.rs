//! The vectors as a library for any target: shows that a build for wasm computes the very digests
//! that servers and native clients do.
//!
//! ```text
//! cargo build -p grid-core --example digest_fixture --target wasm32-unknown-unknown
//! ```
//!
//! Instantiate the module without imports and call `check_fixtures`.

#[path = "../vectors/check.rs"]
mod check;

/// Checks every vector of partitions, digests and times.
///
/// Returns how many agreed, or `0x8000_0000 | file << 16 | line` of the first that did not (files
/// from 0: partition, digest, hlc; lines from 1).
#[expect(
    unsafe_code,
    reason = "a host finds the function by its plain name only"
)]
#[unsafe(no_mangle)]
pub extern "C" fn check_fixtures() -> u32 {
    match check::check_all() {
        Ok(agreed) => agreed,
        Err(mismatch) => 0x8000_0000 | mismatch.file << 16 | mismatch.line,
    }
}
