//! What the fuzzer runs: each target is a function of bytes that panics when a promise is broken.
//!
//! The targets are ordinary code. `cargo xtask fuzz` links them with libFuzzer, through the shell
//! in `fuzz/`, and looks for new inputs; a test run does so briefly, the same each time; `cargo
//! test -p grid-fuzz` runs the corpus, and small changes of it, on any compiler. A target is one
//! file in `targets/`: it says what it promises and makes its own seeds.

#![expect(
    clippy::expect_used,
    reason = "a target reports what it finds by panicking"
)]

mod conversation;
#[expect(clippy::unwrap_used, reason = "a test's description of the format")]
#[path = "../../grid-testkit/tests/format/mod.rs"]
mod format;
mod script;
mod store;
mod target;
pub mod targets;
#[expect(clippy::unwrap_used, reason = "a test's list of messages")]
#[path = "../../grid-core/tests/wire/mod.rs"]
mod wire;

pub use target::{Seed, Target};
