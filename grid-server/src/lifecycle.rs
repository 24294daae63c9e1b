//! The life of a server, as all of its tasks see it.
//!
//! tokio's watch channel would do, but it wakes its receivers in random order, and in the simulator
//! everything follows from one seed.

use std::fmt;
use std::sync::Arc;

use crate::sync::Notify;
use crate::sync::atomic::{AtomicU8, Ordering};

/// How far a server's life has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// It serves.
    Running = 0,
    /// It takes nothing new, and finishes what it took.
    Draining = 1,
    /// What it took is finished: clients are told goodbye.
    Drained = 2,
    /// It is over, or was dropped without a shutdown: whoever sees this ends at once.
    Over = 3,
}

#[derive(Debug)]
struct Life {
    phase: AtomicU8,
    changed: Notify,
}

impl Life {
    fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// Ends the server where it stands; whoever looks at its log learns `why`, once.
    fn fail(&self, why: fmt::Arguments<'_>) {
        if self.phase.load(Ordering::SeqCst) < Phase::Over as u8 {
            tracing::error!("{why}, and the server with it");
            self.enter(Phase::Over);
        }
    }
}

/// One task's view of the server's life.
#[derive(Debug, Clone)]
pub(crate) struct Lifecycle(Arc<Life>);

/// The server's hold on its own life; dropping it ends every task where it stands.
#[derive(Debug)]
pub(crate) struct LifecycleOwner(Lifecycle);

impl LifecycleOwner {
    pub(crate) fn new() -> (Self, Lifecycle) {
        let lifecycle = Lifecycle(Arc::new(Life {
            phase: AtomicU8::new(Phase::Running as u8),
            changed: Notify::new(),
        }));
        (Self(lifecycle.clone()), lifecycle)
    }

    /// The server's life, as its tasks see it.
    pub(crate) fn life(&self) -> &Lifecycle {
        &self.0
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.0.0.enter(phase);
    }
}

impl Drop for LifecycleOwner {
    fn drop(&mut self) {
        self.enter(Phase::Over);
    }
}

impl Lifecycle {
    /// Completes once the server's life has reached `phase`.
    pub(crate) async fn reached(&self, phase: Phase) {
        loop {
            // A waiter hears of what comes after it was made, so the phase is looked at after.
            let changed = self.0.changed.notified();
            if self.has_reached(phase) {
                return;
            }
            changed.await;
        }
    }

    /// Makes the server's life depend on a task: unless it is told that the task is done, the
    /// server is over when the returned value is dropped, as it is by a panic.
    pub(crate) fn depends_on(&self, task: &'static str) -> Vital {
        Vital {
            life: self.0.clone(),
            task,
            done: false,
        }
    }

    /// Ends the server, which cannot be without what has ended: says `why` in its log.
    pub(crate) fn fail(&self, why: fmt::Arguments<'_>) {
        self.0.fail(why);
    }

    /// Whether the server's life has reached `phase`.
    pub(crate) fn has_reached(&self, phase: Phase) -> bool {
        self.0.phase.load(Ordering::SeqCst) >= phase as u8
    }
}

/// Held by a task that the server cannot be without.
#[derive(Debug)]
pub(crate) struct Vital {
    life: Arc<Life>,
    task: &'static str,
    done: bool,
}

impl Vital {
    /// The task has come to its end.
    pub(crate) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        if !self.done {
            let task = self.task;
            self.life
                .fail(format_args!("the task `{task}` ended by a panic"));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_phase_is_reached_by_it_and_by_every_later_one() {
        let (owner, lifecycle) = LifecycleOwner::new();
        assert!(lifecycle.reached(Phase::Draining).now_or_never().is_none());
        owner.enter(Phase::Drained);
        assert!(lifecycle.reached(Phase::Draining).now_or_never().is_some());
        assert!(lifecycle.reached(Phase::Drained).now_or_never().is_some());
        assert!(!lifecycle.has_reached(Phase::Over));
        owner.enter(Phase::Draining);
        assert!(lifecycle.has_reached(Phase::Drained), "no way back");
    }

    #[test]
    fn a_task_that_is_dropped_before_it_is_done_ends_the_server() {
        let (_owner, lifecycle) = LifecycleOwner::new();
        lifecycle.depends_on("one that ends well").done();
        assert!(!lifecycle.has_reached(Phase::Draining));
        drop(lifecycle.depends_on("one that panics"));
        assert!(lifecycle.has_reached(Phase::Over));
    }

    #[test]
    fn dropping_the_owner_wakes_who_waits_for_the_end() {
        let (owner, lifecycle) = LifecycleOwner::new();
        let mut over = Box::pin(lifecycle.reached(Phase::Over));
        assert!(over.as_mut().now_or_never().is_none());
        drop(owner);
        assert!(over.as_mut().now_or_never().is_some());
    }
}
