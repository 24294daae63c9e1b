//! Tests of the partition machine.

mod catching_up;
mod codec;
mod fixture;
mod history;
mod housekeeping;
#[cfg(not(target_arch = "wasm32"))]
mod passes;
#[cfg(not(target_arch = "wasm32"))]
mod properties;
mod verdicts;
