//! What a client is told of a push that was put off.

use grid_core::RunId;
use grid_core::protocol::{Deferred, Message, Push};

use crate::layer::PutOff;
use crate::sessions::Session;

/// A push that may be put off, or what is left of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deferral {
    run: RunId,
    from: u64,
    /// How many ops it has.
    pub(crate) ops: usize,
}

impl Deferral {
    pub(crate) fn of(push: &Push) -> Self {
        Self {
            run: push.run,
            // Where a push comes back to is what it is held against when it comes.
            from: push.begins(),
            ops: push.ops.len(),
        }
    }

    /// What is left of it once its first `taken` ops are handed on; `next` is the one behind them.
    pub(crate) fn behind(self, taken: usize, next: u64) -> Self {
        if taken == 0 {
            return self;
        }
        Self {
            from: next,
            ops: self.ops.saturating_sub(taken),
            ..self
        }
    }

    /// Has the client push again from where this begins. What it has on the way behind them
    /// is dropped until it does.
    pub(crate) fn tell(self, session: &Session, put_off: PutOff) {
        session.deferred().insert(self.run, self.from);
        session.ops_answered(self.ops);
        session.answer(&Message::Deferred(Deferred {
            run: self.run,
            from: self.from,
            retry_after_ms: put_off.retry_after_ms(),
            message: put_off.message,
        }));
    }
}
