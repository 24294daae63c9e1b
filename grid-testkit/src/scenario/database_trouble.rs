//! What goes wrong with what the servers' database is handed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grid_core::PartitionId;
use grid_core::traits::AddressedRecord;

use super::fault::Fault;
use super::server_side::ServerSide;
use super::world::World;

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The database refuses the record at this place, for good.
    Refuses(usize),
    /// It takes some of it and gives no answer.
    Tears,
}

/// What goes wrong from time to time. Clones are one and the same, as the database is.
#[derive(Debug, Clone)]
pub(super) struct DatabaseTrouble {
    /// Partitions of records; those above are the servers' own.
    partitions: u16,
    spells: Arc<Mutex<Spells>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Spells {
    refuses_until: Duration,
    /// Refused are those whose sequence is a multiple of this.
    every: u64,
    tears_until: Duration,
}

impl DatabaseTrouble {
    pub(super) fn new(partitions: u16) -> Self {
        Self {
            partitions,
            spells: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Spells> {
        self.spells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records whose sequence is a multiple of `every` are refused until then.
    pub(super) fn refuse(&self, every: u64, until: Duration) {
        let mut spells = self.lock();
        spells.every = every;
        spells.refuses_until = until;
    }

    /// Calls take effect in part until then.
    pub(super) fn tear(&self, until: Duration) {
        self.lock().tears_until = until;
    }

    /// All is well again.
    pub(super) fn mend(&self) {
        *self.lock() = Spells::default();
    }

    /// What happens to a call at `now`.
    pub(super) fn of(
        &self,
        now: Duration,
        partition: PartitionId,
        records: &[AddressedRecord],
    ) -> Option<Trouble> {
        let spells = *self.lock();
        if spells.tears_until > now {
            return Some(Trouble::Tears);
        }
        if spells.refuses_until <= now || partition.0 >= self.partitions {
            return None;
        }
        let refused = |one: &AddressedRecord| one.record.sequence.0.is_multiple_of(spells.every);
        records.iter().position(refused).map(Trouble::Refuses)
    }
}

/// Makes a fault of the database happen.
pub(super) fn trouble_database(world: &World, fault: Fault) {
    let millis = Duration::from_millis;
    let now = world.executor.now();
    match fault {
        Fault::DatabaseError { for_ms } => each_server(world, |side| {
            if !side.put_back {
                side.database_medium.fail_for(millis(for_ms));
            }
        }),
        Fault::DatabaseSlow { call_ms, for_ms } => each_server(world, |side| {
            let (call, time) = (millis(call_ms), millis(for_ms));
            side.database_medium.slow_for(call, time);
        }),
        Fault::DatabaseRefuses { every, for_ms } => {
            let until = now + millis(for_ms);
            world.database_trouble.refuse(every.max(1), until);
        }
        Fault::DatabaseTears { for_ms } => world.database_trouble.tear(now + millis(for_ms)),
        _ => {}
    }
}

fn each_server(world: &World, mut change: impl FnMut(&mut ServerSide)) {
    for server in 0..world.server_count() {
        world.with_server(server, &mut change);
    }
}
