//! The trait that hands in tasks, time and chance.

use std::fmt;
use std::time::Duration;

use crate::maybe_send::{BoxFuture, MaybeSend, MaybeSync};

/// Where tasks run, and the only source of time and chance: tokio, the browser, the simulator.
pub trait Runtime: MaybeSend + MaybeSync + fmt::Debug + 'static {
    /// Runs `task` in the background; `name` shows up in traces. A task ends when it returns or
    /// when the runtime does.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>);

    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// The wall clock, in milliseconds since 1970. It may jump, and go back.
    fn now_ms(&self) -> u64;

    /// A clock that never goes back, from an arbitrary origin.
    fn monotonic(&self) -> Duration;

    /// 64 random bits, fit to name a run.
    fn random(&self) -> u64;
}
