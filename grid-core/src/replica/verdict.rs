//! What the server decided of pending ops, and when they leave outbox and overlay.

use std::ops::Bound;
use std::time::Duration;

use super::log_position::LogPosition;
use super::note::Note;
use super::outbox::Pending;
use super::receive::protocol;
use super::replica::Replica;
use super::session::Now;
use crate::address::{MapName, PartitionId};
use crate::error::Result;
use crate::op::{OpId, RunId};
use crate::protocol::{Ack, Deferred, Verdict};
use crate::record::Sequence;

impl Replica {
    pub(super) fn on_ack(&mut self, ack: &Ack, now: Now) -> Result<()> {
        if let (Some(session), Some(window)) = (&mut self.session, ack.window) {
            session.set_window(ack.partition, window, now);
        }
        for range in &ack.accepted {
            let last = range.first.saturating_add(range.count.saturating_sub(1));
            self.check_pushed(ack.run, last)?;
            let first = OpId {
                run: ack.run,
                number: range.first,
            };
            let Some(first) = self.outbox.position(first) else {
                continue;
            };
            for position in self.outbox.between(first.ordinal, first.number, last) {
                self.decide(position, &Verdict::Accepted, ack.partition, ack.sequence);
            }
        }
        for exception in &ack.exceptions {
            self.check_pushed(ack.run, exception.number)?;
            let id = OpId {
                run: ack.run,
                number: exception.number,
            };
            if let Some(position) = self.outbox.position(id) {
                self.decide(position, &exception.verdict, ack.partition, ack.sequence);
            }
        }
        Ok(())
    }

    /// A verdict on an op that was not pushed must not make it vanish.
    fn check_pushed(&self, run: RunId, number: u64) -> Result<()> {
        let session = self.session.as_ref();
        let highest = session.and_then(|session| session.highest.get(&run));
        if highest.is_some_and(|highest| number <= *highest) {
            return Ok(());
        }
        let op = OpId { run, number };
        Err(protocol("the server decided an op that was not pushed").with("op", op))
    }

    fn decide(
        &mut self,
        position: LogPosition,
        verdict: &Verdict,
        partition: PartitionId,
        sequence: Sequence,
    ) {
        if !self.outbox.decide(position) {
            return;
        }
        let Some(pending) = self.outbox.get_mut(position) else {
            return;
        };
        pending.fate = Some(verdict.into());
        if *verdict != Verdict::Accepted {
            pending.exception = Some(partition);
        }
        let op = &pending.op;
        let (id, hlc, map, key) = (op.id, op.hlc, op.map.clone(), op.key.clone());
        if let Some(session) = &mut self.session
            && let Some(put_off) = session.put_off.get_mut(&id.run)
        {
            put_off.decided(id.number);
        }
        if !std::mem::replace(&mut pending.told, true) {
            self.notes.push(Note::Decided {
                op: id,
                map: map.clone(),
                key: key.clone(),
                verdict: verdict.clone(),
            });
        }
        let stamp = match verdict {
            Verdict::Accepted => Some(hlc),
            Verdict::Restamped(stamp) => {
                self.wants_run |= id.run == self.run;
                Some(*stamp)
            }
            Verdict::Superseded(by) => {
                self.see(by.hlc);
                None
            }
            Verdict::Rejected { .. } => None,
        };
        if let Some(stamp) = stamp {
            // Whatever is written from here on comes after it, by whichever run.
            self.see(stamp);
        }
        let Some(state) = self.maps.get_mut(&map) else {
            return;
        };
        if let Some(stamp) = stamp {
            state.overlay.accepted(&key, position, stamp);
        }
        let rejected = matches!(verdict, Verdict::Rejected { .. });
        let level = state
            .level(partition)
            .is_some_and(|level| level >= sequence);
        let shown = level && !state.overlay.has_before(&key, position);
        if rejected || shown || !state.follows(&key) {
            self.settle(position);
            // Later ops on the key may have waited for this one.
            self.settle_reached(&map, partition);
        } else {
            state.waiting.insert((partition, sequence, position));
        }
    }

    /// Takes an op out of outbox and overlay.
    pub(super) fn settle(&mut self, position: LogPosition) {
        let Some(Pending { op, fate, .. }) = self.outbox.settle(position) else {
            return;
        };
        self.unsaved.settled = true;
        if let Some(fate) = fate {
            self.fates.add(fate);
        }
        if let Some(map) = self.maps.get_mut(&op.map) {
            map.change(&op.key, &mut self.notes, |map| {
                map.overlay.remove(&op.key, position);
            });
        }
    }

    /// Settles the decided ops whose outcome the confirmed state of `partition` shows by now. One
    /// that has an earlier op on its key before it stays: without it the application would see
    /// that one again, as long as the server's verdict on it is on its way.
    pub(super) fn settle_reached(&mut self, name: &MapName, partition: PartitionId) {
        let Some(map) = self.maps.get_mut(name) else {
            return;
        };
        let Some(level) = map.level(partition) else {
            return;
        };
        let first = (partition, Sequence::ZERO, LogPosition::FIRST);
        let last = (partition, level, LogPosition::LAST);
        let mut reached: Vec<_> = map.waiting.range(first..=last).copied().collect();
        reached.sort_unstable_by_key(|(_, _, position)| *position);
        for wait in reached {
            let (_, _, position) = wait;
            let key = self.outbox.get(position).map(|pending| &pending.op.key);
            let Some(map) = self.maps.get_mut(name) else {
                return;
            };
            if key.is_some_and(|key| map.overlay.has_before(key, position)) {
                continue;
            }
            map.waiting.remove(&wait);
            self.settle(position);
        }
    }

    /// Notes that the server has just called a partition unchanged without naming its sequence: the
    /// cursor shows the outcome of all ops that are decided, at once or when a repair is done. A
    /// change of theirs would have come as an event before their verdict; what the verdict's
    /// sequence counts beyond the cursor are changes of other maps.
    pub(super) fn wait_for_cursor(&mut self, name: &MapName, partition: PartitionId) {
        let Some(map) = self.maps.get_mut(name) else {
            return;
        };
        let Some(cursor) = map.confirmed.cursor(partition) else {
            return;
        };
        let above = Bound::Excluded((partition, cursor, LogPosition::LAST));
        let last = Bound::Included((partition, Sequence(u64::MAX), LogPosition::LAST));
        let ahead: Vec<_> = map.waiting.range((above, last)).copied().collect();
        for wait in ahead {
            let (_, _, position) = wait;
            map.waiting.remove(&wait);
            map.waiting.insert((partition, cursor, position));
        }
    }

    pub(super) fn on_deferred(&mut self, deferred: &Deferred, now: Now) -> Result<()> {
        self.check_pushed(deferred.run, deferred.from)?;
        let id = OpId {
            run: deferred.run,
            number: deferred.from,
        };
        let Some(position) = self.outbox.position(id) else {
            return Ok(());
        };
        let revoked = self.outbox.rewind(position);
        if !revoked.is_empty() {
            for map in self.maps.values_mut() {
                map.waiting.retain(|(_, _, at)| !revoked.contains(at));
            }
        }
        if let Some(session) = &mut self.session {
            let asked = Duration::from_millis(deferred.retry_after_ms.into());
            let put_off = session.put_off.entry(deferred.run).or_default();
            put_off.refused(deferred.run, deferred.from, asked, now.elapsed);
            session.why_put_off = Some((id, deferred.message.clone()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Namespace;

    const FOLLOWED: PartitionId = PartitionId(5);

    fn position(number: u64) -> LogPosition {
        LogPosition { ordinal: 1, number }
    }

    /// A replica of one map, in which ops of some partitions wait.
    fn waiting(
        waits: impl IntoIterator<Item = (PartitionId, Sequence, LogPosition)>,
    ) -> (Replica, MapName) {
        let name = MapName::new("m").unwrap();
        let mut replica = Replica::new(Namespace::default());
        let map = replica.map_mut(&name);
        map.waiting.extend(waits);
        map.confirmed.set_cursor(FOLLOWED, Sequence(10));
        (replica, name)
    }

    #[test]
    fn what_an_unchanged_partition_is_ahead_of_waits_for_its_cursor_and_nothing_else_does() {
        let before = PartitionId(FOLLOWED.0 - 1);
        let after = PartitionId(FOLLOWED.0 + 1);
        let stays = [
            (before, Sequence(99), position(1)),
            (FOLLOWED, Sequence(9), position(2)),
            (FOLLOWED, Sequence(10), position(3)),
            (after, Sequence(11), position(4)),
        ];
        let ahead = [
            (FOLLOWED, Sequence(11), position(0)),
            (FOLLOWED, Sequence(11), position(5)),
            (FOLLOWED, Sequence(u64::MAX), LogPosition::LAST),
        ];
        let (mut replica, name) = waiting(stays.into_iter().chain(ahead));
        replica.wait_for_cursor(&name, FOLLOWED);
        let due = ahead.map(|(partition, _, position)| (partition, Sequence(10), position));
        let expected = stays.into_iter().chain(due).collect();
        assert_eq!(replica.map_mut(&name).waiting, expected);
    }

    /// It went through the waiting ops of all partitions: that took minutes.
    #[test]
    fn the_cost_of_an_unchanged_partition_does_not_grow_with_what_waits_in_others() {
        const WAITING: u64 = 200_000;
        const TIMES: u64 = 20_000;
        let other = |number| PartitionId(if number % 2 == 0 { 4 } else { 6 });
        let waits = (1..=WAITING).map(|number| (other(number), Sequence(99), position(number)));
        let (mut replica, name) = waiting(waits);
        #[expect(
            clippy::disallowed_methods,
            reason = "a test that takes minutes has failed"
        )]
        let start = std::time::Instant::now();
        for time in 1..=TIMES {
            let wait = (FOLLOWED, Sequence(10 + time), position(WAITING + time));
            replica.map_mut(&name).waiting.insert(wait);
            replica.wait_for_cursor(&name, FOLLOWED);
        }
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
        let waiting = &replica.map_mut(&name).waiting;
        assert_eq!(waiting.len() as u64, WAITING + TIMES);
    }
}
