//! What a client writes, drawn from a seed.

use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use grid_core::AckLevel;
use grid_core::codec::Writer;

use super::evidence::Place;

/// Keys that all clients write.
const SHARED_KEYS: u32 = 64;
/// Of a hundred ops, how many wait for the database.
const STORED_PER_CENT: u32 = 25;
/// Most bytes beside the op's name in a value; one of a hundred has [`LARGE_BYTES`].
const PADDING_BYTES: usize = 200;
const LARGE_BYTES: usize = 8192;

/// One op to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// The entry.
    pub place: Place,
    /// The value as CBOR, unlike that of any other op; none for a removal.
    pub value: Option<Bytes>,
    /// What to wait for.
    pub level: AckLevel,
}

/// What one client writes: mostly entries of its own, one for each op, so that every op can be
/// looked for; now and then it removes one of those; and it contends with the other clients for
/// some entries that all of them write and remove.
#[derive(Debug)]
pub struct Habit {
    client: usize,
    rng: Rng,
    number: u64,
    /// Own entries that are known to be there.
    own: Vec<String>,
}

impl Habit {
    /// The map of entries that are written once.
    pub const OWN: &str = "own";
    /// The map of entries that all clients write.
    pub const SHARED: &str = "shared";

    /// The habit of `client` by `seed`.
    #[must_use]
    pub fn new(client: usize, seed: u64) -> Self {
        let client_bits = u64::try_from(client).unwrap_or(u64::MAX);
        Self {
            client,
            rng: Rng::with_seed(seed ^ client_bits.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            number: 0,
            own: Vec::new(),
        }
    }

    /// The maps that are written.
    #[must_use]
    pub fn maps() -> [&'static str; 2] {
        [Self::OWN, Self::SHARED]
    }

    /// The client's number.
    #[must_use]
    pub fn client(&self) -> usize {
        self.client
    }

    /// The next op.
    pub fn draw(&mut self) -> Draw {
        self.number += 1;
        let level = if self.rng.u32(..100) < STORED_PER_CENT {
            AckLevel::Stored
        } else {
            AckLevel::Journaled
        };
        let (map, key, is_put) = match self.rng.u32(..100) {
            0..10 if !self.own.is_empty() => {
                let at = self.rng.usize(..self.own.len());
                (Self::OWN, self.own.swap_remove(at), false)
            }
            10..18 => (Self::SHARED, self.shared_key(), false),
            18..40 => (Self::SHARED, self.shared_key(), true),
            // Keys that are alike up to the `/` share a partition.
            _ => (
                Self::OWN,
                format!("{:x}/{}", self.rng.u32(..64), self.name()),
                true,
            ),
        };
        Draw {
            place: (map.to_owned(), key),
            value: is_put.then(|| self.value()),
            level,
        }
    }

    /// Takes note that an op took effect: what was put may be removed from now on.
    pub fn took_effect(&mut self, draw: Draw) {
        let (map, key) = draw.place;
        if map == Self::OWN && draw.value.is_some() {
            self.own.push(key);
        }
    }

    /// The name of the op that is being drawn.
    fn name(&self) -> String {
        format!("{}-{}", self.client, self.number)
    }

    fn shared_key(&mut self) -> String {
        format!("{:x}", self.rng.u32(..SHARED_KEYS))
    }

    fn value(&mut self) -> Bytes {
        let padding = match self.rng.u32(..100) {
            0 => LARGE_BYTES,
            _ => self.rng.usize(..PADDING_BYTES),
        };
        let mut buffer = BytesMut::new();
        let text = format!("{}{}", self.name(), ".".repeat(padding));
        Writer::new(&mut buffer).text(&text);
        buffer.freeze()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn ops(client: usize, seed: u64) -> Vec<Draw> {
        let mut habit = Habit::new(client, seed);
        let draws = (0..2000).map(|_| {
            let draw = habit.draw();
            habit.took_effect(draw.clone());
            draw
        });
        draws.collect()
    }

    #[test]
    fn a_seed_gives_the_same_ops_and_clients_differ() {
        assert_eq!(ops(3, 9), ops(3, 9));
        assert_ne!(ops(3, 9), ops(3, 10));
        assert_ne!(ops(3, 9), ops(4, 9));
    }

    #[test]
    fn every_put_can_be_told_from_every_other() {
        let all: Vec<Draw> = ops(0, 1).into_iter().chain(ops(1, 1)).collect();
        let puts: Vec<&Draw> = all.iter().filter(|draw| draw.value.is_some()).collect();
        let values: BTreeSet<&Bytes> = puts.iter().filter_map(|draw| draw.value.as_ref()).collect();
        assert_eq!(values.len(), puts.len());
        let own = puts.iter().filter(|draw| draw.place.0 == Habit::OWN);
        let keys: Vec<&Place> = own.map(|draw| &draw.place).collect();
        let distinct: BTreeSet<&&Place> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert!(
            keys.len() > all.len() / 2,
            "{} of {}",
            keys.len(),
            all.len()
        );
    }

    #[test]
    fn both_levels_and_removals_of_both_kinds_come_up() {
        let all = ops(0, 2);
        let count = |wanted: &dyn Fn(&Draw) -> bool| all.iter().filter(|draw| wanted(draw)).count();
        for map in Habit::maps() {
            assert!(
                count(&|draw| draw.place.0 == map && draw.value.is_none()) > 50,
                "{map}"
            );
        }
        let stored = count(&|draw| draw.level == AckLevel::Stored);
        assert!((300..700).contains(&stored), "{stored}");
    }

    #[test]
    fn an_own_entry_is_removed_once_and_only_after_it_took_effect() {
        let mut there = BTreeSet::new();
        for draw in ops(5, 3)
            .into_iter()
            .filter(|draw| draw.place.0 == Habit::OWN)
        {
            match draw.value {
                Some(_) => assert!(there.insert(draw.place)),
                None => assert!(there.remove(&draw.place)),
            }
        }
    }
}
