//! The twelve pitfalls that systems of this kind fall into, each by its number, with the client,
//! the server, the stores and the sockets that ship.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod acks;
mod clocks;
mod copies;
mod failing;
mod million;
mod names;
mod order;
mod outbox;
mod pipelining;
mod reconnect;
mod subscribers;
mod verdicts;
#[path = "../world/mod.rs"]
mod world;
