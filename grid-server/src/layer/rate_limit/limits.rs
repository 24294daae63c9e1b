//! Who has how much left.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
///
/// Whoever comes when there is room for one op is let in with all of its ops, and what those are
/// more is a debt of the key: nobody is let in until it is paid. So one that sends much at once
/// waits no longer for its turn than one that sends little.
struct Limit<K: Hash + Ord + Clone> {
    limiter: RateLimiter<K, DashMapStateStore<K>, ServerClock, NoOpMiddleware<Duration>>,
    clock: ServerClock,
    most: NonZeroU32,
    debts: Mutex<BTreeMap<K, u32>>,
    questions: AtomicU32,
}

impl<K: Hash + Ord + Clone> fmt::Debug for Limit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit")
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

impl<K: Hash + Ord + Clone> Limit<K> {
    fn new(rate: u32, runtime: &Arc<dyn Runtime>) -> Option<Self> {
        let most = NonZeroU32::new(rate)?;
        let clock = ServerClock(runtime.clone());
        let store = DashMapStateStore::default();
        Some(Self {
            limiter: RateLimiter::new(Quota::per_second(most), store, clock.clone()),
            clock,
            most,
            debts: Mutex::default(),
            questions: AtomicU32::new(0),
        })
    }

    fn debts(&self) -> MutexGuard<'_, BTreeMap<K, u32>> {
        self.debts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one op in.
    fn enter(&self, key: &K) -> Result<(), Exceeded> {
        let asked = self.questions.fetch_add(1, Ordering::Relaxed);
        let mut debts = self.debts();
        if asked % QUESTIONS_BETWEEN_SWEEPS == QUESTIONS_BETWEEN_SWEEPS - 1 {
            self.sweep(&mut debts);
        }
        if let Some(debt) = debts.remove(key)
            && let Err((left, exceeded)) = self.pay(key, debt)
        {
            debts.insert(key.clone(), left);
            return Err(exceeded);
        }
        self.pay(key, 1).map_err(|(_, exceeded)| exceeded)
    }

    /// Adds ops to one that was let in.
    fn charge(&self, key: &K, ops: u32) {
        if ops > 0 {
            *self.debts().entry(key.clone()).or_default() += ops;
        }
    }

    /// Takes room for `ops`; if it does not reach, says for how many it does not, and until when.
    fn pay(&self, key: &K, mut ops: u32) -> Result<(), (u32, Exceeded)> {
        while let Some(part) = NonZeroU32::new(ops.min(self.most.get())) {
            if let Ok(Err(not_until)) = self.limiter.check_key_n(key, part) {
                let wait = not_until.wait_time_from(self.clock.now());
                return Err((ops, Exceeded(wait)));
            }
            ops -= part.get();
        }
        Ok(())
    }

    /// Forgets those who have all of their room back.
    fn sweep(&self, debts: &mut BTreeMap<K, u32>) {
        let pay = |key: &K, debt: &mut u32| match self.pay(key, *debt) {
            Ok(()) => false,
            Err((left, _)) => {
                *debt = left;
                true
            }
        };
        debts.retain(pay);
        self.limiter.retain_recent();
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
    /// much takes nothing from the others of its namespace; where the namespace has no room, that
    /// costs the client one op.
    pub(super) fn take(&self, session: &Session, ops: u32) -> Result<(), Exceeded> {
        let Some(more) = ops.checked_sub(1) else {
            return Ok(());
        };
        let (client, namespace) = (session.client(), session.namespace());
        if let Some(clients) = &self.clients {
            clients.enter(client)?;
        }
        if let Some(namespaces) = &self.namespaces {
            namespaces.enter(namespace)?;
            namespaces.charge(namespace, more);
        }
        if let Some(clients) = &self.clients {
            clients.charge(client, more);
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
