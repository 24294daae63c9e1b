//! Which values reads still ask for: what tells early that a way leads nowhere.

use std::collections::{BTreeMap, BTreeSet};

use grid_core::Stamp;

use super::register::{Does, Step};
use crate::history::value::Value;

/// What a read asks for: a value (or none), at a version if it is known who left that.
type Asked<'s> = (Option<&'s Value>, Option<Stamp>);

/// By what is asked for, the reads that still must see it and the writes that can still leave it.
pub(super) struct Demand<'s, 'h> {
    steps: &'s [Step<'h>],
    /// By step, the numbers of what it reads or writes: the value alone, and with its version.
    numbers: Vec<[Option<usize>; 2]>,
    /// The number of "no value".
    nothing: Option<usize>,
    asked: Vec<Waiting>,
}

/// The reads and writes of one thing that have not taken effect: a moment, and the step.
#[derive(Default)]
struct Waiting {
    reads_by_call: BTreeSet<(usize, usize)>,
    reads_by_end: BTreeSet<(usize, usize)>,
    writes_by_call: BTreeSet<(usize, usize)>,
}

impl<'s, 'h> Demand<'s, 'h> {
    pub(super) fn new(steps: &'s [Step<'h>]) -> Self {
        let mut known: BTreeMap<Asked<'s>, usize> = BTreeMap::from([((None, None), 0)]);
        let mut number = |asked: Asked<'s>| {
            let next = known.len();
            *known.entry(asked).or_insert(next)
        };
        let numbers = steps.iter().map(|step| match &step.does {
            Does::Write { value, version, .. } => {
                let versioned = version.map(|version| number((*value, Some(version))));
                [Some(number((*value, None))), versioned]
            }
            Does::Read { value, version } => {
                let version = version.filter(|version| version.owned);
                let asked = (value.as_ref(), version.map(|version| version.version));
                [Some(number(asked)), None]
            }
            Does::Lose(_) | Does::Mismatch(_) => [None, None],
        });
        let numbers = numbers.collect();
        let asked = known.iter().map(|_| Waiting::default()).collect();
        let mut demand = Self {
            steps,
            numbers,
            nothing: known.get(&(None, None)).copied(),
            asked,
        };
        (0..steps.len()).for_each(|index| demand.undo(index));
        demand
    }

    /// Notes that a step takes effect.
    pub(super) fn take(&mut self, index: usize) {
        self.change(index, |set, item| {
            set.remove(&item);
        });
    }

    /// Notes that a step has not taken effect.
    pub(super) fn undo(&mut self, index: usize) {
        self.change(index, |set, item| {
            set.insert(item);
        });
    }

    fn change(
        &mut self,
        index: usize,
        change: impl Fn(&mut BTreeSet<(usize, usize)>, (usize, usize)),
    ) {
        let Some(step) = self.steps.get(index) else {
            return;
        };
        for number in self.numbers(index) {
            let Some(waiting) = self.asked.get_mut(number) else {
                continue;
            };
            if step.does.is_write() {
                change(&mut waiting.writes_by_call, (step.called, index));
            } else {
                change(&mut waiting.reads_by_call, (step.called, index));
                let ended = step.ended.unwrap_or(usize::MAX);
                change(&mut waiting.reads_by_end, (ended, index));
            }
        }
    }

    /// Whether `write` may take effect on what the write `last` left: not if some read has yet to
    /// see that, and ends before anybody else who writes it is called.
    pub(super) fn allows(&self, last: Option<usize>, write: usize) -> bool {
        let offers: Vec<usize> = self.numbers(write).collect();
        let held: Vec<usize> = match last {
            Some(last) => self.numbers(last).collect(),
            None => self.nothing.into_iter().collect(),
        };
        let lost = held.iter().filter(|number| !offers.contains(number));
        let mut lost = lost.filter_map(|number| self.asked.get(*number));
        lost.all(|waiting| match waiting.reads_by_end.first() {
            None => true,
            Some((read_ends, _)) => {
                let again = waiting.writes_by_call.first();
                again.is_some_and(|(called, _)| called < read_ends)
            }
        })
    }

    /// When the last read is called that asks for what a write leaves, of those before `moment`:
    /// what is asked for last should be written last.
    pub(super) fn until(&self, write: usize, moment: usize) -> usize {
        let asked = self
            .numbers(write)
            .filter_map(|number| self.asked.get(number));
        let last = asked.filter_map(|waiting| {
            let mut reads = waiting.reads_by_call.range(..(moment, 0));
            reads.next_back().map(|(called, _)| *called)
        });
        last.max().unwrap_or(0)
    }

    fn numbers(&self, index: usize) -> impl Iterator<Item = usize> + use<> {
        let numbers = self.numbers.get(index).copied().unwrap_or([None, None]);
        numbers.into_iter().flatten()
    }
}
