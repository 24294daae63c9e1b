//! Which writes can have been seen at all: the others explain nothing.

use super::register::{Does, Step};

/// The steps of an entry whose returns depend on its state, and how long each write can have been
/// that state.
pub(super) struct Observers<'s, 'h> {
    observing: Vec<&'s Step<'h>>,
    /// By the call of each write that must take effect, the earliest end of that write and all
    /// that were called later: then, something called before has been overwritten.
    overwritten: Vec<(usize, usize)>,
}

impl<'s, 'h> Observers<'s, 'h> {
    /// The observers among `seeing`, in an entry to which `steps` were done.
    pub(super) fn of(seeing: impl Iterator<Item = &'s Step<'h>>, steps: &[Step<'h>]) -> Self {
        let writes = steps.iter().filter(|step| step.does.is_write());
        let mut overwritten: Vec<(usize, usize)> = writes
            .filter_map(|write| Some((write.called, write.ended?)))
            .collect();
        overwritten.sort_unstable();
        let mut earliest = usize::MAX;
        for (_, end) in overwritten.iter_mut().rev() {
            earliest = earliest.min(*end);
            *end = earliest;
        }
        Self {
            observing: seeing.filter(|step| step.does.observes()).collect(),
            overwritten,
        }
    }

    /// Whether one of the steps may have returned what it returned because of this write.
    pub(super) fn may_see(&self, write: &Step<'h>) -> bool {
        let gone = self.gone(write);
        self.observing.iter().any(|observer| {
            let ended = observer.ended.unwrap_or(usize::MAX);
            let meets = ended > write.called && observer.called < gone;
            meets && observer.op != write.op && observer.does.fits(Some(&write.does))
        })
    }

    /// Whether one of the steps read the value of this put, be it rightly or not.
    pub(super) fn tell_of(&self, write: &Step<'h>) -> bool {
        let is_put = matches!(write.does, Does::Write { value: Some(_), .. });
        let mut observing = self.observing.iter();
        is_put
            && observing.any(|observer| {
                let reads = matches!(observer.does, Does::Read { .. });
                reads && observer.does.fits(Some(&write.does))
            })
    }

    /// From when on something else has certainly overwritten this write.
    fn gone(&self, write: &Step<'h>) -> usize {
        let Some(ended) = write.ended else {
            return usize::MAX;
        };
        let later = self
            .overwritten
            .partition_point(|(called, _)| *called < ended);
        let overwritten = self.overwritten.get(later);
        overwritten.map_or(usize::MAX, |(_, end)| *end)
    }
}

/// The steps without the writes that may never have taken effect and that nobody can have seen:
/// if there is an explanation with such a write, there is one without it.
pub(super) fn relevant<'h>(steps: &[Step<'h>]) -> Vec<Step<'h>> {
    let mut relevant = steps.to_vec();
    loop {
        let observers = Observers::of(relevant.iter(), &relevant);
        let stays = |step: &&Step<'h>| step.ended.is_some() || observers.may_see(step);
        let staying: Vec<Step<'h>> = relevant.iter().filter(stays).cloned().collect();
        if staying.len() == relevant.len() {
            return staying;
        }
        relevant = staying;
    }
}
