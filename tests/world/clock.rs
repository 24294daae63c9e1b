//! A wall clock that is wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use grid_core::BoxFuture;
use grid_core::traits::Runtime;
use hybrid_grid::tokio_runtime::TokioRuntime;

/// The runtime of a device or a server whose wall clock is off by what the test says. Clones share
/// the clock.
#[derive(Debug, Clone)]
pub(crate) struct WrongClock {
    inner: TokioRuntime,
    offset_ms: Arc<AtomicI64>,
}

impl WrongClock {
    /// A clock that is ahead of the true one by this much, in milliseconds.
    pub(crate) fn new(offset_ms: i64) -> Self {
        Self {
            inner: TokioRuntime::current().unwrap(),
            offset_ms: Arc::new(AtomicI64::new(offset_ms)),
        }
    }

    pub(crate) fn set_ms(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::SeqCst);
    }
}

impl Runtime for WrongClock {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.inner.spawn(name, task);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.inner.sleep(duration)
    }

    fn now_ms(&self) -> u64 {
        let offset_ms = self.offset_ms.load(Ordering::SeqCst);
        self.inner.now_ms().saturating_add_signed(offset_ms)
    }

    fn monotonic(&self) -> Duration {
        self.inner.monotonic()
    }

    fn random(&self) -> u64 {
        self.inner.random()
    }
}
