//! What a client asked for that takes up room until it is answered.

use std::sync::Arc;

use super::session::Session;

/// Items that a step of a comparison counts for beside those that it names.
const STEP_ITEMS: usize = 64;

/// A step of a comparison that waits for its answer. While many do, no more is read from the
/// connection.
#[derive(Debug)]
pub(crate) struct Owed {
    session: Arc<Session>,
    items: usize,
}

impl Owed {
    /// A step that names `items` nodes, leaves or keys.
    pub(crate) fn new(session: &Arc<Session>, items: usize) -> Self {
        let items = items.saturating_add(STEP_ITEMS);
        session.outgoing().owe(items);
        Self {
            session: session.clone(),
            items,
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.session.outgoing().repay(self.items);
    }
}
