//! The search for one order of the steps that explains them.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use xxhash_rust::xxh3::xxh3_128;

use super::demand::Demand;
use super::observers::relevant;
use super::register::{Does, State, Step, with_owners};
use super::waiting::Waiting;

/// What the search came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Linearizable,
    NotLinearizable,
    Undecided,
}

/// Whether these steps, sorted by their calls, can be explained.
pub(super) fn judge(steps: &[Step<'_>], max_configurations: usize) -> Answer {
    search(&relevant(&with_owners(steps)), max_configurations)
}

/// Looks for an order of `steps`, which are sorted by their calls, and visits at most
/// `max_configurations` on the way.
///
/// Four things keep the search short, and none of them loses an explanation:
/// - A step that only observes and fits is taken at once: it changes nothing, so it is never
///   better to wait.
/// - Writes whose versions are known are taken in the order of their versions.
/// - What some read has yet to see is overwritten only if another write can bring it in time.
/// - A write that may never have taken effect is taken only just before one that observes it.
fn search(steps: &[Step<'_>], max_configurations: usize) -> Answer {
    let mut search = Search::new(steps);
    let mut path: Vec<Branch> = Vec::new();
    let mut configurations = 0;
    while search.missing > 0 {
        configurations += 1;
        if configurations > max_configurations {
            return Answer::Undecided;
        }
        let choices = if search.seen.insert(search.configuration()) {
            search.choices()
        } else {
            Vec::new()
        };
        path.push(Branch {
            choices,
            taken: None,
        });
        if !advance(&mut search, &mut path) {
            return Answer::NotLinearizable;
        }
    }
    Answer::Linearizable
}

/// Takes the next choice of the last branch that has one, going back over those that have none.
fn advance(search: &mut Search<'_, '_>, path: &mut Vec<Branch>) -> bool {
    while let Some(branch) = path.last_mut() {
        if let Some(taken) = branch.taken.take() {
            search.undo(&taken);
        }
        if let Some(step) = branch.choices.pop() {
            branch.taken = Some(search.take(step));
            return true;
        }
        path.pop();
    }
    false
}

/// One configuration on the way, and what can still be tried there.
struct Branch {
    /// Steps to try, the best one last.
    choices: Vec<usize>,
    taken: Option<Taken>,
}

/// What it takes to undo a step.
struct Taken {
    step: usize,
    last: Option<usize>,
    speculative: bool,
    above: usize,
}

/// The place of a write among those of the entry whose versions are known.
#[derive(Debug, Clone, Copy)]
struct Order {
    rank: usize,
    /// How many with earlier versions must take effect.
    must_before: usize,
}

struct Search<'s, 'h> {
    steps: &'s [Step<'h>],
    /// Those that have not taken effect.
    waiting: Waiting,
    /// The sum of the marks of all steps that have taken effect: stands for their set.
    marks: u128,
    /// The last write that took effect.
    last: Option<usize>,
    /// Whether that was one which may never have taken effect, and was not observed yet.
    speculative: bool,
    /// Steps that must still take effect.
    missing: usize,
    /// By step, its place among the writes with known versions.
    order: Vec<Option<Order>>,
    /// Of those, all that may still take effect have a rank of at least this.
    above: usize,
    /// How many of those that must take effect have done so.
    ranked: usize,
    /// What reads still ask for.
    demand: Demand<'s, 'h>,
    /// Configurations that were visited.
    seen: BTreeSet<u128>,
}

impl<'s, 'h> Search<'s, 'h> {
    fn new(steps: &'s [Step<'h>]) -> Self {
        Self {
            steps,
            waiting: Waiting::new(steps.len()),
            marks: 0,
            last: None,
            speculative: false,
            missing: steps.iter().filter(|step| step.ended.is_some()).count(),
            order: order(steps),
            above: 0,
            ranked: 0,
            demand: Demand::new(steps),
            seen: BTreeSet::new(),
        }
    }

    fn state(&self) -> State<'s, 'h> {
        let steps = self.steps;
        self.last
            .and_then(|last| steps.get(last))
            .map(|step| &step.does)
    }

    /// A number that stands for which steps have taken effect and what they left. Two
    /// configurations share one with a probability of about 2⁻¹²⁸.
    fn configuration(&self) -> u128 {
        let last = self.last.map_or(0, |last| mark(last, b'l'));
        let speculative = mark(usize::from(self.speculative), b's');
        self.marks.wrapping_add(last).wrapping_add(speculative)
    }

    /// What can take effect next, the best choice last.
    fn choices(&self) -> Vec<usize> {
        let state = self.state();
        let mut must = Vec::new();
        let mut may = Vec::new();
        let mut earliest_end = usize::MAX;
        for index in self.waiting.iter() {
            let Some(step) = self.steps.get(index) else {
                continue;
            };
            if step.called > earliest_end {
                break;
            }
            earliest_end = earliest_end.min(step.ended.unwrap_or(usize::MAX));
            if !step.does.fits(state) {
                continue;
            }
            if !step.does.is_write() {
                return vec![index];
            }
            let in_order = self
                .order_of(index)
                .is_none_or(|order| order.rank >= self.above && order.must_before == self.ranked);
            let useful = !self.speculative || step.does.observes();
            if in_order && useful && self.demand.allows(self.last, index) {
                match step.ended {
                    Some(ended) => must.push((ended, index)),
                    None => may.push(index),
                }
            }
        }
        // The last of the list is tried first: what is not asked for, then what ends first.
        let ends = must.iter().map(|(ended, _)| *ended).max().unwrap_or(0);
        must.sort_by_cached_key(|(ended, index)| {
            Reverse((self.demand.until(*index, ends), *ended))
        });
        may.extend(must.into_iter().map(|(_, index)| index));
        may
    }

    fn take(&mut self, index: usize) -> Taken {
        let taken = Taken {
            step: index,
            last: self.last,
            speculative: self.speculative,
            above: self.above,
        };
        let steps = self.steps;
        let Some(step) = steps.get(index) else {
            return taken;
        };
        self.waiting.remove(index);
        self.demand.take(index);
        self.marks = self.marks.wrapping_add(mark(index, b'd'));
        self.speculative = false;
        if step.does.is_write() {
            self.last = Some(index);
            self.speculative = step.ended.is_none();
        }
        let order = self.order_of(index);
        if let Some(order) = order {
            self.above = order.rank + 1;
        }
        if step.ended.is_some() {
            self.missing -= 1;
            self.ranked += usize::from(order.is_some());
        }
        taken
    }

    fn undo(&mut self, taken: &Taken) {
        self.waiting.put_back(taken.step);
        self.marks = self.marks.wrapping_sub(mark(taken.step, b'd'));
        self.last = taken.last;
        self.speculative = taken.speculative;
        self.above = taken.above;
        let steps = self.steps;
        let Some(step) = steps.get(taken.step) else {
            return;
        };
        self.demand.undo(taken.step);
        if step.ended.is_some() {
            self.missing += 1;
            self.ranked -= usize::from(self.order_of(taken.step).is_some());
        }
    }

    fn order_of(&self, index: usize) -> Option<Order> {
        self.order.get(index).copied().flatten()
    }
}

/// By step, its place among the writes with known versions.
fn order(steps: &[Step<'_>]) -> Vec<Option<Order>> {
    let mut versions = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        if let Does::Write {
            version: Some(version),
            ..
        } = step.does
        {
            versions.push((version, index, step.ended.is_some()));
        }
    }
    versions.sort_unstable();
    let mut order = vec![None; steps.len()];
    let mut must_before = 0;
    for (rank, (_, index, must)) in versions.into_iter().enumerate() {
        if let Some(slot) = order.get_mut(index) {
            *slot = Some(Order { rank, must_before });
        }
        must_before += usize::from(must);
    }
    order
}

/// 128 bits for a number in a role, as good as random.
fn mark(number: usize, role: u8) -> u128 {
    let mut bytes = [role; size_of::<usize>() + 1];
    bytes[1..].copy_from_slice(&number.to_le_bytes());
    xxh3_128(&bytes)
}
