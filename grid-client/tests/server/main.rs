//! Clients and a server, the real ones, in a simulated world: its time is virtual, its network
//! loses what it is told to lose, its chance comes from one seed.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod losses;
mod outbox;
mod pausing_storage;
mod policy;
mod putting_off;
mod queries;
mod repairs;
mod scripted;
mod states;
mod talking;
mod world;
