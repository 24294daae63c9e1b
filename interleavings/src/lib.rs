//! The few pieces that threads share, under every order of their steps.
//!
//! Almost all of the grid is state machines with one owner, queues of tokio, and locks around whole
//! values. What is left (a lock or an atomic together with a bell that wakes who waits) is
//! compiled here from its own source files, with the locks and atomics of shuttle in the place of
//! those of the standard library: each of those files takes them from `crate::sync`. A scene is a
//! file in `scenes/`: threads that use such a piece, and what must hold at their end. A bell that
//! is missed shows as a deadlock.

#[path = "../../grid-transport-memory/src/backlog.rs"]
mod backlog;
#[path = "../../grid-transport-memory/src/connection.rs"]
mod connection;
#[expect(dead_code, reason = "scenes use a part of it")]
#[path = "../../grid-server/src/lifecycle.rs"]
mod lifecycle;
#[path = "../../grid-transport-memory/src/pipe.rs"]
mod pipe;
pub mod scenes;

#[expect(dead_code, reason = "scenes use a part of it")]
mod sessions;
mod sync;
