//! What `sync` of the other crates is, with a scheduler of shuttle's behind it.

use std::future::Future;

pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};
pub(crate) use std::sync::PoisonError;

use atomic::{AtomicBool, Ordering};

/// tokio's bell, before each of whose steps another thread may run. What happens within a step is
/// tokio's matter, and tried there.
#[derive(Debug)]
pub(crate) struct Notify {
    bell: tokio::sync::Notify,
    /// Only looked at: that is where shuttle may go on with another thread.
    step: AtomicBool,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self {
            bell: tokio::sync::Notify::new(),
            step: AtomicBool::new(false),
        }
    }

    fn step(&self) {
        self.step.load(Ordering::SeqCst);
    }

    pub(crate) fn notify_one(&self) {
        self.step();
        self.bell.notify_one();
    }

    pub(crate) fn notify_waiters(&self) {
        self.step();
        self.bell.notify_waiters();
    }

    pub(crate) fn notified(&self) -> impl Future<Output = ()> {
        self.step();
        let notified = self.bell.notified();
        async move {
            self.step();
            notified.await;
        }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}
