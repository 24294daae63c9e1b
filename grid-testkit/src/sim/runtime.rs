//! The `Runtime` of one party of the simulated world.

use std::time::Duration;

use grid_core::BoxFuture;
use grid_core::traits::Runtime;

use super::executor::{Executor, PartyId};
use super::stream::Stream;

/// When the simulated world begins, in milliseconds since 1970.
pub const WORLD_BEGINS_MS: u64 = 1_800_000_000_000;

/// The runtime of one party: its tasks die with it, its wall clock may be wrong.
#[derive(Debug, Clone)]
pub struct SimRuntime {
    executor: Executor,
    party: PartyId,
}

impl SimRuntime {
    /// The runtime of `party`.
    #[must_use]
    pub fn new(executor: &Executor, party: PartyId) -> Self {
        Self {
            executor: executor.clone(),
            party,
        }
    }

    /// The world's scheduler.
    #[must_use]
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// The party.
    #[must_use]
    pub fn party(&self) -> PartyId {
        self.party
    }
}

impl Runtime for SimRuntime {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.executor.spawn(self.party, name, task);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(self.executor.sleep_until(self.executor.now() + duration))
    }

    fn now_ms(&self) -> u64 {
        let elapsed = u64::try_from(self.executor.now().as_millis()).unwrap_or(u64::MAX);
        (WORLD_BEGINS_MS + elapsed).saturating_add_signed(self.executor.clock_offset_ms(self.party))
    }

    fn monotonic(&self) -> Duration {
        self.executor.now()
    }

    fn random(&self) -> u64 {
        self.executor.random(Stream::Party(self.party))
    }
}
