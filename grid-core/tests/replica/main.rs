//! The replica machine against the real partition machine, message by message.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod device;
mod elsewhen;
mod following;
mod interleavings;
mod overlay;
mod pushing;
mod putting_off;
mod random;
mod repairing;
mod restarts;
mod server;
mod windows;
mod world;
