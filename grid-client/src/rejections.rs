//! Every rejection, for whoever wants to show them, so that none is missed.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::{Engine, Phase};
use crate::fate::Rejected;

/// How many rejections are kept for those who have not read them yet.
pub(crate) const MAX_KEPT_REJECTIONS: usize = 10_000;

/// The latest rejections since the grid was opened.
#[derive(Debug, Default)]
pub(crate) struct RejectionLog {
    kept: VecDeque<Rejected>,
    dropped: u64,
}

impl RejectionLog {
    pub(crate) fn push(&mut self, rejected: Rejected) {
        if self.kept.len() == MAX_KEPT_REJECTIONS {
            self.kept.pop_front();
            self.dropped += 1;
        }
        self.kept.push_back(rejected);
    }

    /// The first rejection at or after `position`, and the position after it.
    fn at(&self, position: u64) -> Option<(Rejected, u64)> {
        let position = position.max(self.dropped);
        let index = usize::try_from(position - self.dropped).ok()?;
        Some((self.kept.get(index)?.clone(), position + 1))
    }
}

/// Rejections in the order in which they arrived, from the first since the grid was opened.
#[derive(Debug)]
pub struct Rejections {
    pub(crate) engine: Arc<Engine>,
    pub(crate) position: u64,
    pub(crate) missed: u64,
}

impl Rejections {
    /// Waits for the next rejection; `None` when the grid closes and all were read.
    pub async fn next(&mut self) -> Option<Rejected> {
        let mut progress = self.engine.watch_progress();
        loop {
            progress.borrow_and_update();
            let (found, closing) = {
                let core = self.engine.lock();
                (core.rejections.at(self.position), core.phase != Phase::Open)
            };
            if let Some((rejected, next)) = found {
                self.missed += next - 1 - self.position;
                self.position = next;
                return Some(rejected);
            }
            if closing || progress.changed().await.is_err() {
                return None;
            }
        }
    }

    /// How many were dropped because this reader was more than 10,000 behind.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use grid_core::protocol::RejectReason;
    use grid_core::{Key, MapName, OpId, RunId};

    use super::*;

    #[test]
    fn the_latest_are_kept_and_a_reader_learns_where_it_goes_on() {
        let mut log = RejectionLog::default();
        let rejected = |number| Rejected {
            op: OpId {
                run: RunId(1),
                number,
            },
            map: MapName::new("m").unwrap(),
            key: Key::new("k").unwrap(),
            reason: RejectReason::Forbidden,
            message: String::new(),
        };
        let most = MAX_KEPT_REJECTIONS as u64;
        (0..most + 5).for_each(|number| log.push(rejected(number)));
        for (position, found) in [(0, Some(5)), (5, Some(5)), (6, Some(6)), (most + 5, None)] {
            let told = log.at(position);
            let numbers = told.map(|(rejected, next)| (rejected.op.number, next));
            let expected = found.map(|number| (number, number + 1));
            assert_eq!(numbers, expected, "{position}");
        }
        assert_eq!(log.kept.len() as u64, most);
    }
}
