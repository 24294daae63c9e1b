//! The connections that wait at one listener to be accepted.

use std::collections::VecDeque;

use crate::connection::MemoryConnection;
use crate::sync::{Mutex, MutexGuard, Notify, PoisonError};

/// Connections that wait to be accepted; further callers are turned away.
pub(crate) const BACKLOG_CONNECTIONS: usize = 1024;

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<MemoryConnection>,
    closed: bool,
}

/// A queue of connections.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    state: Mutex<State>,
    arrived: Notify,
}

impl Backlog {
    /// Queues `connection`; false when the listener is closed or the queue is full.
    pub(crate) fn offer(&self, connection: MemoryConnection) -> bool {
        let mut state = self.lock();
        if state.closed || state.waiting.len() >= BACKLOG_CONNECTIONS {
            return false;
        }
        state.waiting.push_back(connection);
        drop(state);
        self.arrived.notify_one();
        true
    }

    /// The next connection; `None` when the listener is closed.
    pub(crate) async fn next(&self) -> Option<MemoryConnection> {
        loop {
            {
                let mut state = self.lock();
                if let Some(connection) = state.waiting.pop_front() {
                    if !state.waiting.is_empty() {
                        // The bell rings once for several that came before anybody heard it.
                        self.arrived.notify_one();
                    }
                    return Some(connection);
                }
                if state.closed {
                    // Whoever else waits must learn it too.
                    self.arrived.notify_one();
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }

    /// Takes no more connections and drops those that wait, so that their callers see them close.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
