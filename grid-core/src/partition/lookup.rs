//! Looking up the keys of a batch together, so that the waits for memory overlap.
//!
//! In a large map a look-up waits for memory three times: for the table, for the slot that the
//! table names, and for the key that the slot points to. None of these can be asked for before
//! the one before it is there. So each step is taken for all keys before the next one: the
//! processor then waits for many keys at once, not for one after the other.

use super::key_hasher::{KeyHash, TableSeed};
use super::map_state::MapState;

/// A key, and the map to look in; none where the partition has no such map.
#[derive(Clone, Copy)]
pub(super) struct Sought<'a> {
    pub(super) map: Option<&'a MapState>,
    pub(super) key: &'a [u8],
}

/// The hash of a key, and the number of the slot that holds it in its map, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) hash: KeyHash,
    pub(super) slot: Option<u32>,
}

/// Looks up every key, in order.
pub(super) fn find_all(seed: TableSeed, sought: &[Sought<'_>]) -> Vec<Found> {
    let mut found: Vec<Found> = sought
        .iter()
        .map(|each| Found {
            hash: seed.hash(each.key),
            slot: None,
        })
        .collect();
    for (found, each) in found.iter_mut().zip(sought) {
        found.slot = each.map.and_then(|map| map.candidate(found.hash));
    }
    let keys: Vec<Option<&[u8]>> = found
        .iter()
        .zip(sought)
        .map(|(found, each)| each.map?.key_of(found.slot?))
        .collect();
    for ((found, each), key) in found.iter_mut().zip(sought).zip(keys) {
        // Seldom the candidate is another key, of which the table keeps the same bits.
        if key.is_some_and(|key| key != each.key) {
            found.slot = each.map.and_then(|map| map.number(found.hash, each.key));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DigestKey, Key, MapAddress, MapName, Namespace, Record, Sequence, Stamp};

    const SEED: TableSeed = TableSeed(1, 2);

    fn name(number: u64) -> String {
        format!("key {number}")
    }

    /// A map of `keys`, whose versions have the keys' numbers as sequences.
    fn map(keys: impl Iterator<Item = u64>) -> MapState {
        let address = MapAddress {
            namespace: Namespace::default(),
            map: MapName::new("m").unwrap(),
        };
        let mut map = MapState::new(address, SEED, DigestKey(3));
        for number in keys {
            map.load(&Record {
                key: Key::new(&name(number)).unwrap(),
                value: None,
                stamp: Stamp::ZERO,
                sequence: Sequence(number),
                expires_at_ms: None,
            });
        }
        map
    }

    #[test]
    fn every_key_is_found_in_its_map_and_no_other_for_it() {
        // So many that some keys share all bits of the hash that the table keeps.
        let (even, odd) = (map((0..40_000).step_by(2)), map((1..40_000).step_by(2)));
        let names: Vec<String> = (0..40_000).map(name).collect();
        let maps = [Some(&even), Some(&odd), None];
        let sought: Vec<Sought<'_>> = names
            .iter()
            .flat_map(|name| {
                maps.map(|map| Sought {
                    map,
                    key: name.as_bytes(),
                })
            })
            .collect();
        let found = find_all(SEED, &sought);
        assert_eq!(found.len(), sought.len());
        for (at, (found, sought)) in found.iter().zip(&sought).enumerate() {
            assert_eq!(found.hash, SEED.hash(sought.key));
            let (number, parity) = (at as u64 / 3, at % 3);
            let expected = (number % 2 == parity as u64).then_some(Sequence(number));
            let slot = found.slot.and_then(|slot| sought.map?.slot(slot));
            assert_eq!(
                slot.map(|slot| slot.sequence),
                expected,
                "{}",
                names[at / 3]
            );
        }
        let strangers = sought.iter().zip(&found).filter(|(sought, found)| {
            let candidate = sought.map.and_then(|map| map.candidate(found.hash));
            candidate.is_some() && candidate != found.slot
        });
        assert!(strangers.count() > 100, "candidates that were others' keys");
    }
}
