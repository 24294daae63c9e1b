//! The life of a server, as all of its tasks see it.

use tokio::sync::watch;

/// How far a server's life has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It serves.
    Running,
    /// It takes nothing new, and finishes what it took.
    Draining,
    /// What it took is finished: clients are told goodbye.
    Drained,
    /// It is over, or was dropped without a shutdown: whoever sees this ends at once.
    Over,
}

/// One task's view of the server's life.
#[derive(Debug, Clone)]
pub(crate) struct Lifecycle(watch::Receiver<Phase>);

/// The server's hold on its own life; dropping it ends every task where it stands.
#[derive(Debug)]
pub(crate) struct LifecycleOwner(watch::Sender<Phase>);

impl LifecycleOwner {
    pub(crate) fn new() -> (Self, Lifecycle) {
        let (sender, receiver) = watch::channel(Phase::Running);
        (Self(sender), Lifecycle(receiver))
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.0.send_replace(phase);
    }
}

impl Lifecycle {
    /// Completes once the server's life has reached `phase`.
    pub(crate) async fn reached(&mut self, phase: Phase) {
        // An error means that the server was dropped: then its life is over.
        let _ = self.0.wait_for(|current| *current >= phase).await;
    }

    /// Completes once everything that was taken is answered.
    pub(crate) async fn drained(mut self) {
        self.reached(Phase::Drained).await;
    }

    /// Whether it is over: shut down, or dropped.
    pub(crate) fn is_over(&self) -> bool {
        *self.0.borrow() == Phase::Over || self.0.has_changed().is_err()
    }
}
