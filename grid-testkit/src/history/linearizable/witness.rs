//! The smallest part of a history that shows what is wrong with it.

use super::observers::Observers;
use super::register::{Step, with_owners};
use super::search::{Answer, judge};

/// How often the search is repeated to make a witness smaller.
const MAX_TRIES: usize = 2_000;

/// A part of `steps`, which are not linearizable, that is not linearizable by itself and follows
/// from them.
///
/// Three things may be left out, because they cannot make good steps bad: everything from some
/// moment on, operations that only observe, and writes that nobody who is left can have seen.
pub(super) fn smallest<'h>(steps: &[Step<'h>], max_configurations: usize) -> Vec<Step<'h>> {
    let mut shrinking = Shrinking {
        tries: 0,
        max_configurations,
    };
    let mut steps = shrinking.shortest_prefix(steps);
    let mut before = usize::MAX;
    while steps.len() < before {
        before = steps.len();
        let mut chunk = steps.len().div_ceil(2);
        while chunk > 0 {
            steps = shrinking.without_chunks(steps, chunk);
            chunk /= 2;
        }
    }
    steps
}

struct Shrinking {
    tries: usize,
    max_configurations: usize,
}

impl Shrinking {
    fn is_broken(&mut self, steps: &[Step<'_>]) -> bool {
        self.tries += 1;
        self.tries <= MAX_TRIES && judge(steps, self.max_configurations) == Answer::NotLinearizable
    }

    /// The steps up to the first end that cannot be explained.
    fn shortest_prefix<'h>(&mut self, steps: &[Step<'h>]) -> Vec<Step<'h>> {
        let mut ends: Vec<usize> = steps.iter().filter_map(|step| step.ended).collect();
        ends.sort_unstable();
        // Once broken, more of the history does not mend it: look for the first broken prefix.
        let (mut good, mut broken) = (0, ends.len());
        while good + 1 < broken {
            let middle = usize::midpoint(good, broken);
            let Some(end) = ends.get(middle - 1) else {
                break;
            };
            if self.is_broken(&prefix(steps, *end)) {
                broken = middle;
            } else {
                good = middle;
            }
        }
        let end = broken.checked_sub(1).and_then(|last| ends.get(last));
        let shortest = end.map_or_else(|| steps.to_vec(), |end| prefix(steps, *end));
        if self.is_broken(&shortest) {
            shortest
        } else {
            steps.to_vec()
        }
    }

    /// Leaves out chunk after chunk, wherever the rest stays broken.
    fn without_chunks<'h>(&mut self, mut steps: Vec<Step<'h>>, chunk: usize) -> Vec<Step<'h>> {
        let mut end = steps.len();
        while end > 0 {
            let start = end.saturating_sub(chunk);
            let rest = without(&steps, start, end);
            if rest.len() < steps.len() && self.is_broken(&rest) {
                steps = rest;
            }
            end = start;
        }
        steps
    }
}

/// What had happened when the event at `end` had: writes that were under way may have taken
/// effect, others that were under way had returned nothing.
fn prefix<'h>(steps: &[Step<'h>], end: usize) -> Vec<Step<'h>> {
    let begun = steps.iter().filter(|step| step.called <= end);
    begun
        .filter_map(|step| {
            let over = step.ended.is_some_and(|ended| ended <= end);
            (over || step.does.is_write()).then(|| Step {
                ended: step.ended.filter(|_| over),
                ..step.clone()
            })
        })
        .collect()
}

/// The steps without those from `start` to `end` that may be left out.
fn without<'h>(steps: &[Step<'h>], start: usize, end: usize) -> Vec<Step<'h>> {
    let steps = with_owners(steps);
    let inside = |index: usize| (start..end).contains(&index);
    let numbered = || (0..).zip(&steps);
    let seeing = numbered()
        .filter(|(index, step)| !inside(*index) || step.does.is_write())
        .map(|(_, step)| step);
    let observers = Observers::of(seeing, &steps);
    numbered()
        .filter(|(index, step)| {
            // Without the put of a value that was read too late, one would wonder where it
            // came from.
            let seen = observers.may_see(step) || observers.tell_of(step);
            let must_stay = step.does.is_write() && seen;
            !inside(*index) || must_stay
        })
        .map(|(_, step)| step.clone())
        .collect()
}
