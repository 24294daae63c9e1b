//! Queues never pass their bound.

use std::collections::{BTreeMap, BTreeSet};

use grid_core::protocol::{Message, Push};
use grid_core::{OpId, RunId};

use super::sent::sent;
use crate::scenario::{Event, Invariant, View};

/// On no connection are more ops on their way than the server granted.
#[derive(Debug, Default)]
pub(super) struct WindowKept {
    granted: BTreeMap<u64, u32>,
    open: BTreeMap<u64, BTreeSet<OpId>>,
    /// Runs that a server has put off and that have not come back, with how many ops were sent of
    /// them since: before the client hears of it that may be a window's worth, which is dropped,
    /// and comes again.
    put_off: BTreeMap<(u64, RunId), usize>,
}

impl WindowKept {
    fn message(&mut self, link: u64, message: &Message) -> Result<(), String> {
        let open = self.open.entry(link).or_default();
        match message {
            Message::Welcome(welcome) => {
                self.granted.insert(link, welcome.push_window);
            }
            Message::Push(push) => return self.push(link, push),
            Message::Ack(ack) => {
                let settled = |number: u64| {
                    let mut ranges = ack.accepted.iter();
                    ranges.any(|range| (range.first..range.first + range.count).contains(&number))
                        || ack.exceptions.iter().any(|one| one.number == number)
                };
                open.retain(|op| op.run != ack.run || !settled(op.number));
            }
            Message::Deferred(deferred) => {
                self.put_off.entry((link, deferred.run)).or_default();
                open.retain(|op| op.run != deferred.run || op.number < deferred.from);
            }
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, link: u64, push: &Push) -> Result<(), String> {
        if push.resume {
            self.put_off.remove(&(link, push.run));
        }
        let on_their_way = if let Some(unheard) = self.put_off.get_mut(&(link, push.run)) {
            *unheard += push.ops.len();
            *unheard
        } else {
            let open = self.open.entry(link).or_default();
            open.extend(push.ops.iter().map(|op| op.id));
            open.len()
        };
        let granted = self.granted.get(&link).copied().unwrap_or_default();
        if on_their_way > usize::try_from(granted).unwrap_or(usize::MAX) {
            return Err(format!(
                "{on_their_way} ops on their way, {granted} granted"
            ));
        }
        Ok(())
    }
}

impl Invariant for WindowKept {
    fn name(&self) -> &'static str {
        "queues never pass their bound"
    }

    fn observe(&mut self, event: &Event, _: &View<'_>) -> Result<(), String> {
        match sent(event) {
            Some((link, message)) => self.message(link, message),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use grid_core::protocol::Deferred;

    use super::*;
    use crate::op;

    const RUN: RunId = RunId(7);
    const LINK: u64 = 1;
    const WINDOW: u32 = 4;

    fn push(resume: bool, numbers: std::ops::RangeInclusive<u64>) -> Message {
        Message::Push(Push {
            run: RUN,
            resume,
            previous: numbers.start() - 1,
            ops: numbers.map(|number| op(RUN, number)).collect(),
        })
    }

    fn deferred(from: u64) -> Message {
        Message::Deferred(Deferred {
            run: RUN,
            from,
            message: String::new(),
            retry_after_ms: 1,
        })
    }

    /// What the last of these messages is found to be.
    fn last(messages: &[Message]) -> Result<(), String> {
        let mut invariant = WindowKept::default();
        invariant.granted.insert(LINK, WINDOW);
        let (last, before) = messages.split_last().unwrap();
        for message in before {
            assert_eq!(invariant.message(LINK, message), Ok(()));
        }
        invariant.message(LINK, last)
    }

    #[test]
    fn what_a_client_sends_before_it_hears_that_it_is_put_off_is_bounded_by_the_window() {
        let window = [push(false, 1..=2), deferred(1), push(false, 3..=4)];
        assert_eq!(last(&window), Ok(()));
        // One that never listens.
        let mut messages = vec![deferred(1), push(false, 2..=5), push(false, 6..=6)];
        assert!(last(&messages).is_err());
        messages.insert(2, deferred(1));
        assert!(last(&messages).is_err(), "each worker tells of its own");
        messages.insert(3, push(true, 1..=1));
        assert_eq!(last(&messages), Ok(()), "it came back");
    }

    #[test]
    fn what_comes_back_counts() {
        let mut messages = vec![push(false, 1..=4), deferred(1), push(true, 1..=4)];
        assert_eq!(last(&messages), Ok(()));
        messages.push(push(false, 5..=5));
        assert!(last(&messages).is_err());
    }
}
