//! The horizon: the sequence below which tombstones are gone and cursors are of no use.

use std::collections::VecDeque;

use crate::hlc::Hlc;
use crate::record::Sequence;

/// Marks in one retention: the horizon lags by at most one part in so many.
const MARKS_PER_RETENTION: u64 = 64;
/// Most marks that are kept; more come together only when the clock jumps or the retention was
/// made longer, and then the oldest are dropped, which only delays the horizon.
const MAX_MARKS: usize = 256;

/// What a partition remembers of its own past.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Horizon {
    /// Times in milliseconds since 1970, and the sequence reached by then.
    pub(super) marks: VecDeque<(u64, Sequence)>,
    /// Tombstones at or below it are gone.
    pub(super) collected_through: Sequence,
    /// The highest time of any tombstone that is gone.
    pub(super) highest_collected: Hlc,
}

impl Horizon {
    /// Whether a batch decided at `now_ms` should leave a mark.
    pub(super) fn wants_mark(&self, now_ms: u64, retention_ms: u64) -> bool {
        let step_ms = (retention_ms / MARKS_PER_RETENTION).max(1);
        self.marks
            .back()
            .is_none_or(|(at_ms, _)| now_ms >= at_ms.saturating_add(step_ms))
    }

    pub(super) fn mark(&mut self, at_ms: u64, sequence: Sequence) {
        self.marks.push_back((at_ms, sequence));
        if self.marks.len() > MAX_MARKS {
            self.marks.pop_front();
        }
    }

    /// The sequence one retention ago, but none after `stored`; if tombstones were not collected up
    /// to there.
    pub(super) fn due(&self, now_ms: u64, retention_ms: u64, stored: Sequence) -> Option<Sequence> {
        let before_ms = now_ms.checked_sub(retention_ms)?;
        self.marks
            .iter()
            .rev()
            .find(|(at_ms, _)| *at_ms <= before_ms)
            .map(|(_, sequence)| stored.min(*sequence))
            .filter(|sequence| *sequence > self.collected_through)
    }

    /// Takes note that tombstones up to `through` are gone, the latest of them of `highest`.
    pub(super) fn collected(&mut self, through: Sequence, highest: Hlc) {
        self.collected_through = self.collected_through.max(through);
        self.highest_collected = self.highest_collected.max(highest);
        while self
            .marks
            .front()
            .is_some_and(|(_, sequence)| *sequence <= self.collected_through)
            && self.marks.len() > 1
        {
            self.marks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_is_the_sequence_one_retention_ago() {
        let mut horizon = Horizon::default();
        let retention_ms = 6_400;
        for (at_ms, sequence) in [(1_000, 10), (1_050, 11), (1_100, 20), (9_000, 30)] {
            if horizon.wants_mark(at_ms, retention_ms) {
                horizon.mark(at_ms, Sequence(sequence));
            }
        }
        assert_eq!(
            horizon.marks.len(),
            3,
            "1,050 comes within one step of 1,000"
        );
        let all = Sequence(99);
        assert_eq!(horizon.due(7_399, retention_ms, all), None);
        assert_eq!(horizon.due(7_400, retention_ms, all), Some(Sequence(10)));
        assert_eq!(horizon.due(7_500, retention_ms, all), Some(Sequence(20)));
        let stored = Sequence(12);
        assert_eq!(horizon.due(7_500, retention_ms, stored), Some(stored));
        horizon.collected(Sequence(20), Hlc::new(5, 0));
        assert_eq!(horizon.due(9_000, retention_ms, all), None);
        assert_eq!(horizon.due(15_400, retention_ms, all), Some(Sequence(30)));
        assert_eq!(horizon.due(15_400, retention_ms, stored), None);
    }

    #[test]
    fn marks_are_bounded() {
        let mut horizon = Horizon::default();
        for step in 0..10_000u64 {
            horizon.mark(step, Sequence(step));
        }
        assert_eq!(horizon.marks.len(), MAX_MARKS);
    }
}
