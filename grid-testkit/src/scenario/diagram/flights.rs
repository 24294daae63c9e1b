//! Which frame that arrives is which one that was sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::protocol::Message;

use crate::sim::{FrameFate, PartyId};

/// The way of a frame: sender, receiver, connection.
pub(super) type Way = (PartyId, PartyId, u64);

/// One frame.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) way: Way,
    pub(super) bytes: usize,
    pub(super) message: Option<Arc<Message>>,
    /// The row in which it was sent.
    pub(super) sent: usize,
    /// The rows in which it arrived.
    pub(super) arrived: Vec<usize>,
    /// What became of it apart from that.
    pub(super) fates: Vec<FrameFate>,
}

impl Flight {
    pub(super) fn has(&self, fate: FrameFate) -> bool {
        self.fates.contains(&fate)
    }

    /// Whether something took it on its way.
    pub(super) fn is_lost(&self) -> bool {
        [FrameFate::Dropped, FrameFate::Cut, FrameFate::Reset]
            .into_iter()
            .any(|fate| self.has(fate))
    }

    /// How often it can still arrive.
    fn left(&self) -> usize {
        if self.is_lost() {
            return 0;
        }
        (1 + usize::from(self.has(FrameFate::Duplicated))).saturating_sub(self.arrived.len())
    }

    /// Whether it may have arrived as this one.
    fn may_be(&self, bytes: usize, message: Option<&Arc<Message>>) -> bool {
        self.has(FrameFate::Corrupted) || (self.bytes == bytes && self.message.as_ref() == message)
    }
}

/// The frames of a run.
#[derive(Debug, Default)]
pub(super) struct Flights {
    all: Vec<Flight>,
    /// Those that are on their way.
    open: BTreeMap<Way, Vec<usize>>,
    /// The one that was sent last on each way: what is told of its fate follows at once.
    last: BTreeMap<Way, usize>,
}

impl Flights {
    /// A frame leaves in row `row`; returns its number.
    pub(super) fn sent(
        &mut self,
        way: Way,
        bytes: usize,
        message: Option<Arc<Message>>,
        row: usize,
    ) -> usize {
        let number = self.all.len();
        self.all.push(Flight {
            way,
            bytes,
            message,
            sent: row,
            arrived: Vec::new(),
            fates: Vec::new(),
        });
        self.open.entry(way).or_default().push(number);
        self.last.insert(way, number);
        number
    }

    /// Something becomes of the frame that was sent last. A connection that breaks takes with it
    /// what else is on its way.
    pub(super) fn fate(&mut self, way: Way, fate: FrameFate) {
        if let Some(flight) = self.last.get(&way).and_then(|last| self.all.get_mut(*last)) {
            flight.fates.push(fate);
        }
        if fate == FrameFate::Reset {
            let (from, to, link) = way;
            for way in [way, (to, from, link)] {
                for number in self.open.remove(&way).unwrap_or_default() {
                    if let Some(flight) = self.all.get_mut(number)
                        && !flight.has(FrameFate::Reset)
                    {
                        flight.fates.push(FrameFate::Reset);
                    }
                }
            }
        }
    }

    /// A frame arrives in row `row`; returns its number.
    pub(super) fn arrived(
        &mut self,
        way: Way,
        bytes: usize,
        message: Option<&Arc<Message>>,
        row: usize,
    ) -> Option<usize> {
        let open = self.open.get_mut(&way)?;
        let all = &mut self.all;
        open.retain(|number| all.get(*number).is_some_and(|flight| flight.left() > 0));
        let same = |number: &&usize| {
            let flight = all.get(**number);
            flight.is_some_and(|flight| flight.may_be(bytes, message))
        };
        let number = *open.iter().find(same)?;
        all.get_mut(number)?.arrived.push(row);
        Some(number)
    }

    pub(super) fn get(&self, number: usize) -> Option<&Flight> {
        self.all.get(number)
    }

    pub(super) fn into_all(self) -> Vec<Flight> {
        self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAY: Way = (PartyId(16), PartyId(0), 3);

    fn ping(number: u64) -> Option<Arc<Message>> {
        Some(Arc::new(Message::Ping(number)))
    }

    #[test]
    fn a_frame_that_overtakes_another_is_told_apart_by_its_content() {
        let mut flights = Flights::default();
        let first = flights.sent(WAY, 5, ping(1), 0);
        let second = flights.sent(WAY, 5, ping(2), 1);
        assert_eq!(flights.arrived(WAY, 5, ping(2).as_ref(), 2), Some(second));
        assert_eq!(flights.arrived(WAY, 5, ping(1).as_ref(), 3), Some(first));
        assert_eq!(flights.arrived(WAY, 5, ping(1).as_ref(), 4), None);
    }

    #[test]
    fn a_doubled_frame_arrives_twice_and_a_lost_one_never() {
        let mut flights = Flights::default();
        let lost = flights.sent(WAY, 5, ping(1), 0);
        flights.fate(WAY, FrameFate::Dropped);
        let doubled = flights.sent(WAY, 5, ping(1), 1);
        flights.fate(WAY, FrameFate::Duplicated);
        assert_eq!(flights.arrived(WAY, 5, ping(1).as_ref(), 2), Some(doubled));
        assert_eq!(flights.arrived(WAY, 5, ping(1).as_ref(), 3), Some(doubled));
        assert_eq!(flights.arrived(WAY, 5, ping(1).as_ref(), 4), None);
        assert!(flights.get(lost).is_some_and(Flight::is_lost));
    }

    #[test]
    fn a_corrupt_frame_arrives_as_something_else() {
        let mut flights = Flights::default();
        let corrupt = flights.sent(WAY, 5, ping(1), 0);
        flights.fate(WAY, FrameFate::Corrupted);
        assert_eq!(flights.arrived(WAY, 5, None, 1), Some(corrupt));
    }

    #[test]
    fn a_connection_that_breaks_takes_both_ways_with_it() {
        let back = (WAY.1, WAY.0, WAY.2);
        let mut flights = Flights::default();
        let answer = flights.sent(back, 5, ping(1), 0);
        flights.sent(WAY, 5, ping(2), 1);
        flights.fate(WAY, FrameFate::Reset);
        assert!(flights.get(answer).is_some_and(Flight::is_lost));
        assert_eq!(flights.arrived(back, 5, ping(1).as_ref(), 2), None);
    }
}
