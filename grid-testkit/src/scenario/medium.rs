//! Input and output of a party: it takes time, it can fail, and the power may go in its middle.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grid_core::{Error, ErrorKind, Result};

use crate::sim::{Executor, PartyId, Stream};

/// Longest time of half a call, in microseconds, unless a fault makes it longer.
const LONGEST_MICROS: u64 = 1500;

/// What goes wrong with a party's input and output.
#[derive(Debug, Clone, Copy, Default)]
struct Trouble {
    /// Until when calls fail.
    fails_until: Duration,
    /// Until when calls take long, and how long.
    slow_until: Duration,
    slow: Duration,
}

/// The way of one party to its store, disk or database: every call on it is a step of the run,
/// takes simulated time, may fail because a fault says so, and may be the one in which the power
/// goes.
#[derive(Clone)]
pub struct Medium {
    executor: Executor,
    party: PartyId,
    trouble: Arc<Mutex<Trouble>>,
    power: Arc<dyn Power>,
}

/// Knows when a party loses its power.
pub(super) trait Power: Send + Sync {
    /// Called at each half of a call of `party`; true when the power went just now.
    fn goes(&self, party: PartyId) -> bool;
}

impl std::fmt::Debug for Medium {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Medium")
            .field("party", &self.party)
            .finish_non_exhaustive()
    }
}

impl Medium {
    pub(super) fn new(executor: &Executor, party: PartyId, power: Arc<dyn Power>) -> Self {
        Self {
            executor: executor.clone(),
            party,
            trouble: Arc::default(),
            power,
        }
    }

    /// Whose way it is.
    pub(super) fn party(&self) -> PartyId {
        self.party
    }

    fn lock(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number below `bound`, for what a call comes to.
    pub(super) fn below(&self, bound: u64) -> u64 {
        self.executor.below(Stream::Device(self.party), bound)
    }

    /// Calls fail for a while.
    pub(super) fn fail_for(&self, time: Duration) {
        self.lock().fails_until = self.executor.now() + time;
    }

    /// Calls take long for a while.
    pub(super) fn slow_for(&self, call: Duration, time: Duration) {
        let mut trouble = self.lock();
        trouble.slow = call;
        trouble.slow_until = self.executor.now() + time;
    }

    /// All is well again.
    pub(super) fn mend(&self) {
        *self.lock() = Trouble::default();
    }

    /// To be awaited before a call takes effect; `what` says in the timeline what the call does.
    ///
    /// # Errors
    /// `Unavailable` while calls fail.
    pub async fn begin(&self, what: &'static str) -> Result<()> {
        self.half(what).await;
        if self.lock().fails_until > self.executor.now() {
            let message = "the simulated device does not answer; try again";
            return Err(Error::new(ErrorKind::Unavailable, what, message));
        }
        Ok(())
    }

    /// To be awaited after a call took effect, before its caller learns of it.
    pub async fn end(&self, what: &'static str) {
        self.half(what).await;
    }

    async fn half(&self, what: &'static str) {
        let micros = self
            .executor
            .below(Stream::Device(self.party), LONGEST_MICROS);
        let now = self.executor.now();
        let trouble = *self.lock();
        let slow = if trouble.slow_until > now {
            trouble.slow
        } else {
            Duration::ZERO
        };
        let due = now + Duration::from_micros(micros) + slow;
        self.executor.pass_until(due).await;
        self.executor.step_taken(self.party, what, 0);
        if self.power.goes(self.party) {
            // The task ends here: nothing of its party runs any more.
            std::future::pending::<()>().await;
        }
    }
}
