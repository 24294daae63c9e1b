//! Replicas, their stores and a server of partitions under faults: frames are lost under way,
//! stores are slow or fail, processes die, clocks run fast, a server refuses part of a push or goes
//! on in another history.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
mod device;
mod following;
mod outbox;
mod server;
mod views;
mod world;
