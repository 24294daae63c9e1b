//! The bytes that wait for the database, counted so that a part of them can be counted down.

use std::collections::VecDeque;

use grid_core::Sequence;

/// Most steps that are kept apart. More are made coarser: then what is stored is counted down
/// later.
const MAX_STEPS: usize = 256;
/// Batches are put together up to this part of all bytes. Two steps that follow on each other hold
/// more than that then, so there are half of [`MAX_STEPS`] at most.
const PARTS: u64 = MAX_STEPS as u64 / 4;

/// Bytes of journal batches that wait for the database.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    steps: VecDeque<Step>,
    bytes: u64,
}

/// Some batches, one after the other.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// The sequence to which they lead.
    through: Sequence,
    bytes: u64,
}

impl Waiting {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A batch of so many bytes was journalled, which leads to `through`.
    pub(super) fn add(&mut self, through: Sequence, bytes: u64) {
        self.bytes += bytes;
        self.push(Step { through, bytes });
        if self.steps.len() > MAX_STEPS {
            let steps = std::mem::take(&mut self.steps);
            steps.into_iter().for_each(|step| self.push(step));
        }
    }

    /// Puts a step behind the last one, or into it if both together are small.
    fn push(&mut self, step: Step) {
        match self.steps.back_mut() {
            Some(last) if last.bytes + step.bytes <= self.bytes / PARTS => {
                last.through = step.through;
                last.bytes += step.bytes;
            }
            _ => self.steps.push_back(step),
        }
    }

    /// Counts down the batches that lead to `through` or less; returns their bytes.
    pub(super) fn stored(&mut self, through: Sequence) -> u64 {
        let mut stored = 0;
        while let Some(step) = self.steps.pop_front_if(|step| step.through <= through) {
            stored += step.bytes;
        }
        self.bytes -= stored;
        stored
    }

    /// Counts down the first `bytes`.
    pub(super) fn stored_bytes(&mut self, bytes: u64) {
        let mut left = bytes;
        while left > 0
            && let Some(step) = self.steps.front_mut()
        {
            let part = left.min(step.bytes);
            step.bytes -= part;
            left -= part;
            self.bytes -= part;
            if step.bytes == 0 {
                self.steps.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches of 10 bytes, each of one change.
    fn waiting(batches: u64) -> Waiting {
        let mut waiting = Waiting::default();
        (1..=batches).for_each(|sequence| waiting.add(Sequence(sequence), 10));
        waiting
    }

    #[test]
    fn only_what_is_stored_for_certain_is_counted_down() {
        let mut few = waiting(5);
        few.add(Sequence(9), 100);
        assert_eq!(few.stored(Sequence(2)), 20);
        assert_eq!(few.stored(Sequence(8)), 30, "the last batch is not whole");
        assert_eq!(few.bytes(), 100);
    }

    #[test]
    fn many_batches_take_little_memory_and_none_is_counted_down_early_or_twice() {
        let mut many = waiting(100_000);
        assert!(many.steps.len() <= MAX_STEPS);
        assert_eq!(many.bytes(), 1_000_000);
        let mut counted = 0;
        for sequence in 1..=100_000 {
            counted += many.stored(Sequence(sequence));
            assert!(counted <= sequence * 10, "after {sequence}");
            let coarse = 100_000 * 10 / PARTS;
            assert!(sequence * 10 - counted <= coarse, "after {sequence}");
        }
        assert_eq!((counted, many.bytes()), (1_000_000, 0));
    }

    #[test]
    fn bytes_are_counted_down_within_a_step() {
        let mut some = waiting(4);
        some.stored_bytes(25);
        assert_eq!(some.bytes(), 15);
        assert_eq!(some.stored(Sequence(3)), 5);
        some.stored_bytes(10);
        assert_eq!(some.bytes(), 0);
        assert!(some.steps.is_empty());
    }
}
