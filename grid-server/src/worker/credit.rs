//! Slowing clients down while much waits for the system of record.
//!
//! Of what may still wait for the system of record, each connection that pushes is granted a share,
//! so that all of them together do not pass the bound: then nobody has to be refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::PartitionId;
use grid_core::op::RunId;

use crate::sessions::{Session, SessionId};
use crate::write_behind::Room;

/// What the connections were granted, for the sake of partitions of which much waits.
#[derive(Debug, Default)]
pub(super) struct Credit {
    partitions: BTreeMap<PartitionId, BTreeMap<SessionId, Grant>>,
}

/// What one connection was granted.
#[derive(Debug)]
struct Grant {
    session: Arc<Session>,
    run: RunId,
    window: u32,
}

/// A window that a connection is to be told.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) session: Arc<Session>,
    pub(super) run: RunId,
    pub(super) window: u32,
}

impl Credit {
    /// The window of a connection that pushes to a partition; none if it is as it was. `full` is
    /// that of a connection that need not wait.
    pub(super) fn grant(
        &mut self,
        partition: PartitionId,
        (session, run): (&Arc<Session>, RunId),
        room: Room,
        full: u32,
    ) -> Option<u32> {
        let grants = self.partitions.entry(partition).or_default();
        let before = grants.get(&session.id()).map(|grant| grant.window);
        if before.is_none() && room.is_ample {
            if grants.is_empty() {
                self.partitions.remove(&partition);
            }
            return None;
        }
        let window = share(grants, session.id(), room, full);
        let grant = Grant {
            session: session.clone(),
            run,
            window,
        };
        // Also what was not lessened, for it is part of what may come.
        grants.insert(session.id(), grant);
        if room.is_ample {
            self.forget_full(partition, full);
        }
        (before.unwrap_or(full) != window).then_some(window)
    }

    /// The partitions for whose sake connections were granted less than all.
    pub(super) fn partitions(&self) -> Vec<PartitionId> {
        self.partitions.keys().copied().collect()
    }

    /// There is more room in a partition: who may push more by now, half as much again at least.
    pub(super) fn reopen(&mut self, partition: PartitionId, room: Room, full: u32) -> Vec<Telling> {
        let Some(grants) = self.partitions.get_mut(&partition) else {
            return Vec::new();
        };
        let mut tellings = Vec::new();
        let mut sessions: Vec<(u32, SessionId)> = grants
            .iter()
            .map(|(session, grant)| (grant.window, *session))
            .collect();
        // Those who may do least come first.
        sessions.sort_unstable();
        for (before, session) in sessions {
            let window = share(grants, session, room, full);
            if window > before && (window == full || window > before.saturating_add(before / 2)) {
                tellings.extend(grants.get_mut(&session).map(|grant| grant.tell(window)));
            }
        }
        if room.is_ample {
            self.forget_full(partition, full);
        }
        tellings
    }

    /// A partition is run no more: nobody has to wait for its sake.
    pub(super) fn forget(&mut self, partition: PartitionId, full: u32) -> Vec<Telling> {
        let grants = self.partitions.remove(&partition).unwrap_or_default();
        let grants = grants.into_values();
        grants.map(|mut grant| grant.tell(full)).collect()
    }

    /// A connection is gone.
    pub(super) fn leave(&mut self, session: SessionId) {
        self.partitions.retain(|_, grants| {
            grants.remove(&session);
            !grants.is_empty()
        });
    }

    fn forget_full(&mut self, partition: PartitionId, full: u32) {
        if let Some(grants) = self.partitions.get_mut(&partition) {
            grants.retain(|_, grant| grant.window < full);
            if grants.is_empty() {
                self.partitions.remove(&partition);
            }
        }
    }
}

impl Grant {
    fn tell(&mut self, window: u32) -> Telling {
        self.window = window;
        Telling {
            session: self.session.clone(),
            run: self.run,
            window,
        }
    }
}

/// The part of the room that one of those who push gets: one more than they are share it, and what
/// the others were granted is theirs. Where nothing waits it is one op at least.
fn share(grants: &BTreeMap<SessionId, Grant>, session: SessionId, room: Room, full: u32) -> u32 {
    let others = grants.iter().filter(|(id, _)| **id != session);
    let (count, granted) = others.fold((0_u64, 0_u64), |(count, granted), (_, grant)| {
        (count + 1, granted + u64::from(grant.window))
    });
    let free = room.ops.saturating_sub(granted);
    let part = (room.ops / (count + 2)).min(free);
    let part = part.max(u64::from(room.is_empty));
    u32::try_from(part).unwrap_or(u32::MAX).min(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: PartitionId = PartitionId(3);
    const RUN: RunId = RunId(7);
    const FULL: u32 = 50;

    fn room(ops: u64) -> Room {
        Room {
            ops,
            is_ample: ops >= 50,
            is_empty: ops == 100,
        }
    }

    #[test]
    fn windows_shrink_as_the_room_does_and_all_of_them_fit_into_it() {
        let clients: Vec<_> = (0..4).map(|_| Session::for_tests()).collect();
        let mut credit = Credit::default();
        assert_eq!(credit.grant(P, (&clients[0], RUN), room(60), FULL), None);
        assert!(credit.partitions().is_empty());
        let mut granted = [0; 4];
        for left in (0..50).rev() {
            for (client, granted) in clients.iter().zip(&mut granted) {
                let window = credit.grant(P, (client, RUN), room(left), FULL);
                *granted = window.unwrap_or(*granted);
            }
            let sum: u32 = granted.iter().sum();
            assert!(u64::from(sum) <= left.max(1), "{granted:?} of {left}");
        }
        assert_eq!(granted, [0; 4]);
    }

    #[test]
    fn who_waited_is_told_once_there_is_room_and_everybody_gets_some() {
        let (one, other) = (Session::for_tests(), Session::for_tests());
        let mut credit = Credit::default();
        for client in [&one, &other] {
            assert_eq!(credit.grant(P, (client, RUN), room(0), FULL), Some(0));
        }
        assert!(credit.reopen(P, room(2), FULL).is_empty(), "not for one op");
        let told = credit.reopen(P, room(30), FULL);
        let windows: Vec<u32> = told.iter().map(|telling| telling.window).collect();
        assert_eq!(windows, [10, 10]);
        assert!(
            credit.reopen(P, room(36), FULL).is_empty(),
            "too little more"
        );
        credit.leave(other.id());
        let told = credit.reopen(P, room(100), FULL);
        assert_eq!((told.len(), told[0].window), (1, FULL));
        assert!(credit.partitions().is_empty(), "nobody is held back");
    }

    #[test]
    fn where_nothing_waits_everybody_may_push_and_who_is_let_go_may_push_all() {
        let clients: Vec<_> = (0..200).map(|_| Session::for_tests()).collect();
        let mut credit = Credit::default();
        for client in &clients {
            credit.grant(P, (client, RUN), room(0), FULL);
        }
        let told = credit.reopen(P, room(100), FULL);
        assert_eq!(told.len(), 200);
        assert!(told.iter().all(|telling| telling.window == 1));
        let told = credit.forget(P, FULL);
        assert!(told.len() == 200 && told.iter().all(|telling| telling.window == FULL));
        assert!(credit.forget(P, FULL).is_empty());
    }
}
