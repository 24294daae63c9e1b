//! The names at which listeners wait.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use grid_core::{Error, ErrorKind, Result};

use crate::backlog::Backlog;

/// A name space of listeners. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryHub {
    listeners: Arc<Mutex<BTreeMap<String, Arc<Backlog>>>>,
}

impl MemoryHub {
    /// A hub of its own, for tests that must not meet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The hub that all URLs of this process share.
    #[must_use]
    pub fn global() -> Self {
        static GLOBAL: LazyLock<MemoryHub> = LazyLock::new(MemoryHub::new);
        GLOBAL.clone()
    }

    /// Takes `name` for a new listener.
    pub(crate) fn bind(&self, name: &str) -> Result<Arc<Backlog>> {
        let mut listeners = self.lock();
        if listeners.contains_key(name) {
            return Err(Error::new(
                ErrorKind::Locked,
                "listen",
                "somebody in this process listens there already; close it or choose another name",
            )
            .with("address", format_args!("memory:{name}")));
        }
        let backlog = Arc::new(Backlog::default());
        listeners.insert(name.to_owned(), Arc::clone(&backlog));
        Ok(backlog)
    }

    /// Frees `name`, if it still belongs to `backlog`.
    pub(crate) fn release(&self, name: &str, backlog: &Arc<Backlog>) {
        let mut listeners = self.lock();
        if listeners
            .get(name)
            .is_some_and(|current| Arc::ptr_eq(current, backlog))
        {
            listeners.remove(name);
        }
    }

    /// The connections that wait at `name`, if anybody listens there.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Backlog>> {
        self.lock().get(name).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Backlog>>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
