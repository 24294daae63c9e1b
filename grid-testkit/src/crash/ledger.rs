//! What clients wrote, and what they were told about it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use grid_core::{AckLevel, OpId, Stamp};
use tokio::sync::watch;

use super::evidence::Place;

/// One op of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The number of the client.
    pub client: usize,
    /// The entry.
    pub place: Place,
    /// The value as CBOR; none for a removal.
    pub value: Option<Bytes>,
    /// What the client waits for.
    pub level: AckLevel,
}

/// What a client was told of an op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It took effect, and is as safe as its level says.
    Acked,
    /// It lost against this version.
    Superseded(Stamp),
    /// It was refused; nothing in a crash test asks for that.
    Refused(String),
}

/// How much was written, and how far that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Figures {
    written: usize,
    told: usize,
    told_stored: usize,
}

/// All ops that clients made durable for themselves, and what they were told about each.
#[derive(Debug, Default)]
pub struct Ledger {
    book: Mutex<Book>,
    figures: watch::Sender<Figures>,
}

#[derive(Debug, Default)]
struct Book {
    writes: BTreeMap<OpId, (Write, Option<Told>)>,
    troubles: Vec<String>,
}

impl Ledger {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an op is durable with its client, which will push it until it is decided.
    pub fn written(&self, op: OpId, write: Write) {
        let before = self.lock().writes.insert(op, (write, None));
        match before {
            None => self.figures.send_modify(|figures| figures.written += 1),
            Some(_) => self.trouble(format!("two writes got the op id {op}")),
        }
    }

    /// Notes what a client was told of an op.
    pub fn told(&self, op: OpId, told: Told) {
        let mut book = self.lock();
        let Some((write, answer @ None)) = book.writes.get_mut(&op) else {
            drop(book);
            self.trouble(format!("an answer for op {op}, which waits for none"));
            return;
        };
        let stored = write.level == AckLevel::Stored;
        *answer = Some(told);
        drop(book);
        self.figures.send_modify(|figures| {
            figures.told += 1;
            figures.told_stored += usize::from(stored);
        });
    }

    /// Notes what a client cannot have met in a grid that works.
    pub fn trouble(&self, what: String) {
        self.lock().troubles.push(what);
    }

    /// How many ops wait for their answers now.
    #[must_use]
    pub fn unacked(&self) -> usize {
        let figures = *self.figures.borrow();
        figures.written - figures.told
    }

    /// Completes once `ops` ops at least wait for their answers.
    pub async fn until_unacked(&self, ops: usize) {
        self.until(|figures| figures.written - figures.told >= ops)
            .await;
    }

    /// Completes once `all` more answers have come than until now, `stored` of them to ops that
    /// waited for the database.
    pub async fn until_answered(&self, all: usize, stored: usize) {
        let now = *self.figures.borrow();
        self.until(|figures| {
            figures.told >= now.told + all && figures.told_stored >= now.told_stored + stored
        })
        .await;
    }

    async fn until(&self, condition: impl FnMut(&Figures) -> bool) {
        let mut figures = self.figures.subscribe();
        // The sender is ours, so this ends with the condition only.
        let _met = figures.wait_for(condition).await;
    }

    /// How many ops there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.figures.borrow().written
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All ops, in the order of their ids.
    pub(super) fn ops(&self) -> Vec<(OpId, Write, Option<Told>)> {
        let book = self.lock();
        let entries = book.writes.iter();
        entries
            .map(|(op, (write, told))| (*op, write.clone(), told.clone()))
            .collect()
    }

    /// What clients cannot have met.
    pub(super) fn troubles(&self) -> Vec<String> {
        self.lock().troubles.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::FutureExt;
    use grid_core::RunId;

    use super::*;

    fn id(number: u64) -> OpId {
        OpId {
            run: RunId(1),
            number,
        }
    }

    fn write(level: AckLevel) -> Write {
        Write {
            client: 0,
            place: ("map".to_owned(), "key".to_owned()),
            value: None,
            level,
        }
    }

    #[test]
    fn who_waits_for_unanswered_ops_is_told_when_there_are_enough_at_once() {
        let ledger = Ledger::new();
        let mut enough = pin!(ledger.until_unacked(2));
        assert!(enough.as_mut().now_or_never().is_none());
        ledger.written(id(1), write(AckLevel::Journaled));
        ledger.told(id(1), Told::Acked);
        ledger.written(id(2), write(AckLevel::Journaled));
        assert_eq!((ledger.len(), ledger.unacked()), (2, 1));
        assert!(enough.as_mut().now_or_never().is_none(), "one is answered");
        ledger.written(id(3), write(AckLevel::Journaled));
        assert!(enough.as_mut().now_or_never().is_some());
    }

    #[test]
    fn who_waits_for_answers_counts_from_now_and_those_of_the_database_apart() {
        let ledger = Ledger::new();
        let answer = |number, level| {
            ledger.written(id(number), write(level));
            ledger.told(id(number), Told::Acked);
        };
        answer(1, AckLevel::Stored);
        let mut flows = pin!(ledger.until_answered(2, 1));
        assert!(flows.as_mut().now_or_never().is_none());
        answer(2, AckLevel::Journaled);
        answer(3, AckLevel::Journaled);
        assert!(flows.as_mut().now_or_never().is_none(), "none is stored");
        answer(4, AckLevel::Stored);
        assert!(flows.as_mut().now_or_never().is_some());
    }
}
