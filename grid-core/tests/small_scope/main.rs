//! All there is of a small world: every pair of versions that tie, every short life of a clock.
//!
//! Where a domain is small enough to try all of it, no chance decides what is tried. The laws of
//! merging are tried on every triple in `lww.rs`, every order of messages in `replica`.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clocks;
mod device_clocks;
mod lives;
mod order;
mod server_clocks;
mod versions;
