//! Queues never pass their bound.

use std::collections::{BTreeMap, BTreeSet};

use grid_core::protocol::Message;
use grid_core::{OpId, RunId};

use super::sent::sent;
use crate::scenario::{Event, Invariant, View};

/// On no connection are more ops on their way than the server granted.
#[derive(Debug, Default)]
pub(super) struct WindowKept {
    granted: BTreeMap<u64, u32>,
    open: BTreeMap<u64, BTreeSet<OpId>>,
    /// Runs that a server has put off and that have not come back: what is sent of them before the
    /// client hears of it is dropped, and comes again.
    put_off: BTreeSet<(u64, RunId)>,
}

impl Invariant for WindowKept {
    fn name(&self) -> &'static str {
        "queues never pass their bound"
    }

    fn observe(&mut self, event: &Event, _: &View<'_>) -> Result<(), String> {
        let Some((link, message)) = sent(event) else {
            return Ok(());
        };
        let open = self.open.entry(link).or_default();
        match message {
            Message::Welcome(welcome) => {
                self.granted.insert(link, welcome.push_window);
            }
            Message::Push(push) => {
                if push.resume {
                    self.put_off.remove(&(link, push.run));
                } else if self.put_off.contains(&(link, push.run)) {
                    return Ok(());
                }
                open.extend(push.ops.iter().map(|op| op.id));
                let granted = self.granted.get(&link).copied().unwrap_or_default();
                if open.len() > usize::try_from(granted).unwrap_or(usize::MAX) {
                    return Err(format!(
                        "{} ops on their way, {granted} granted",
                        open.len()
                    ));
                }
            }
            Message::Ack(ack) => {
                let settled = |number: u64| {
                    let mut ranges = ack.accepted.iter();
                    ranges.any(|range| (range.first..range.first + range.count).contains(&number))
                        || ack.exceptions.iter().any(|one| one.number == number)
                };
                open.retain(|op| op.run != ack.run || !settled(op.number));
            }
            Message::Deferred(deferred) => {
                self.put_off.insert((link, deferred.run));
                open.retain(|op| op.run != deferred.run || op.number < deferred.from);
            }
            _ => {}
        }
        Ok(())
    }
}
