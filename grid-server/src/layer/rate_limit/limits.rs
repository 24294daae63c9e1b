//! Who has how much left.

use std::fmt;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use grid_core::Namespace;
use grid_core::traits::Runtime;

use super::error::Exceeded;
use crate::config::Settings;
use crate::sessions::Session;

/// Ops a second, each 0 where there is no limit. A second's worth may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(crate) client: u32,
    pub(crate) namespace: u32,
}

impl Rates {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            client: settings.client_ops_per_second,
            namespace: settings.namespace_ops_per_second,
        }
    }

    /// The most that may come at once; none where there is no limit.
    pub(crate) fn burst(&self) -> Option<u32> {
        [self.client, self.namespace]
            .into_iter()
            .filter(|rate| *rate > 0)
            .min()
    }
}

/// The time as the server has it: the simulator's, in the simulator.
#[derive(Debug, Clone)]
struct ServerClock(Arc<dyn Runtime>);

impl Clock for ServerClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

/// After how many questions those are forgotten who have all of their room back.
const QUESTIONS_BETWEEN_SWEEPS: u32 = 8192;

/// What is left, by key.
struct Limit<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DashMapStateStore<K>, ServerClock, NoOpMiddleware<Duration>>,
    clock: ServerClock,
    most: NonZeroU32,
    questions: AtomicU32,
}

impl<K: Hash + Eq + Clone> fmt::Debug for Limit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit")
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone> Limit<K> {
    fn new(rate: u32, runtime: &Arc<dyn Runtime>) -> Option<Self> {
        let most = NonZeroU32::new(rate)?;
        let clock = ServerClock(runtime.clone());
        let store = DashMapStateStore::default();
        Some(Self {
            limiter: RateLimiter::new(Quota::per_second(most), store, clock.clone()),
            clock,
            most,
            questions: AtomicU32::new(0),
        })
    }

    fn take(&self, key: &K, ops: NonZeroU32) -> Result<(), Exceeded> {
        let asked = self.questions.fetch_add(1, Ordering::Relaxed);
        if asked % QUESTIONS_BETWEEN_SWEEPS == QUESTIONS_BETWEEN_SWEEPS - 1 {
            self.limiter.retain_recent();
        }
        match self.limiter.check_key_n(key, ops) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(Exceeded::For(not_until.wait_time_from(self.clock.now()))),
            Err(_) => Err(Exceeded::Always(self.most.get())),
        }
    }
}

/// What is left to every client and every namespace.
#[derive(Debug)]
pub(super) struct Limits {
    clients: Option<Limit<Arc<str>>>,
    namespaces: Option<Limit<Namespace>>,
}

impl Limits {
    pub(super) fn new(rates: Rates, runtime: &Arc<dyn Runtime>) -> Self {
        Self {
            clients: Limit::new(rates.client, runtime),
            namespaces: Limit::new(rates.namespace, runtime),
        }
    }

    /// Takes room for `ops`. The client's own limit comes first, so that one client that sends too
    /// much takes nothing from the others of its namespace.
    pub(super) fn take(&self, session: &Session, ops: u32) -> Result<(), Exceeded> {
        let Some(ops) = NonZeroU32::new(ops) else {
            return Ok(());
        };
        if let Some(clients) = &self.clients {
            clients.take(session.client(), ops)?;
        }
        if let Some(namespaces) = &self.namespaces {
            namespaces.take(session.namespace(), ops)?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn known_clients(&self) -> usize {
        self.clients
            .as_ref()
            .map_or(0, |clients| clients.limiter.len())
    }
}
