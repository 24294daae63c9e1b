//! Sets of numbers that mostly follow on each other, as the intervals that they form.

use std::collections::BTreeMap;

/// A set of op numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct IntervalSet {
    /// First number of each interval → its last. Intervals neither touch nor overlap.
    intervals: BTreeMap<u64, u64>,
}

impl IntervalSet {
    pub(super) fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.intervals
            .range(..=number)
            .next_back()
            .is_some_and(|(_, last)| *last >= number)
    }

    /// Adds the numbers from `first` to `last`, both included.
    pub(super) fn insert(&mut self, mut first: u64, mut last: u64) {
        if last < first {
            return;
        }
        while let Some((start, end)) = self
            .intervals
            .range(..=last.saturating_add(1))
            .next_back()
            .map(|(start, end)| (*start, *end))
            .filter(|(_, end)| end.saturating_add(1) >= first)
        {
            self.intervals.remove(&start);
            first = first.min(start);
            last = last.max(end);
        }
        self.intervals.insert(first, last);
    }

    /// Takes out the numbers from `first` to `last`, both included.
    pub(super) fn remove(&mut self, first: u64, last: u64) {
        while let Some((start, end)) = self
            .intervals
            .range(..=last)
            .next_back()
            .map(|(start, end)| (*start, *end))
            .filter(|(_, end)| *end >= first)
        {
            self.intervals.remove(&start);
            if end > last {
                self.intervals.insert(last + 1, end);
            }
            if start < first {
                self.intervals.insert(start, first - 1);
            }
        }
    }

    /// First and last number of each interval, ascending.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (u64, u64)> {
        self.intervals.iter().map(|(first, last)| (*first, *last))
    }
}

// Property tests run natively only.
#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_set(steps in prop::collection::vec((any::<bool>(), 1u64..60, 0u64..12), 0..80)) {
            let mut intervals = IntervalSet::default();
            let mut model = BTreeSet::new();
            for (add, first, length) in steps {
                let last = first + length;
                if add {
                    intervals.insert(first, last);
                    model.extend(first..=last);
                } else {
                    intervals.remove(first, last);
                    model.retain(|number| !(first..=last).contains(number));
                }
                for number in 0..80 {
                    prop_assert_eq!(intervals.contains(number), model.contains(&number));
                }
                let pairs: Vec<_> = intervals.iter().collect();
                prop_assert!(pairs.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{:?}", pairs);
            }
        }
    }

    #[test]
    fn the_ends_of_the_range_do_not_overflow() {
        let mut intervals = IntervalSet::default();
        intervals.insert(u64::MAX, u64::MAX);
        intervals.insert(0, 0);
        intervals.insert(u64::MAX - 1, u64::MAX - 1);
        assert_eq!(
            intervals.iter().collect::<Vec<_>>(),
            [(0, 0), (u64::MAX - 1, u64::MAX)]
        );
        intervals.remove(0, u64::MAX);
        assert!(intervals.is_empty());
    }
}
