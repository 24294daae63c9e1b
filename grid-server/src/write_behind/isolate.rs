//! Finding the records of a batch that the database refuses for good.

use grid_core::traits::{AddressedRecord, Persistence, StateRecord};
use grid_core::{Error, ErrorKind, PartitionId, Result};

/// A record that the database refuses, and what it says.
#[derive(Debug)]
pub(super) struct Poison {
    pub(super) record: AddressedRecord,
    pub(super) error: Error,
}

/// Whether the error is about what was to be stored, so that storing it again cannot help. All
/// other errors are the database's own: they are waited out, and nothing is given up for them.
pub(super) fn is_poison(error: &Error) -> bool {
    let about_records = matches!(
        error.kind(),
        ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::Unsupported
    );
    about_records && !error.is_retryable()
}

/// Stores what can be stored of `records`, of which the database has refused some; returns those
/// that it refuses each on its own. `before` is the state record that the database has, for the
/// state must not get ahead of the records. `admit` is asked about each that is found, and may end
/// the search.
///
/// With n records of which p are refused, the database is called about 2·p·log2(n) times, and not
/// more than n + log2(n) times if they stand next to each other.
///
/// # Errors
/// As those of the persistence, where they are not about the records; as those of `admit`.
pub(super) async fn isolate(
    persistence: &dyn Persistence,
    partition: PartitionId,
    records: &[AddressedRecord],
    before: &StateRecord,
    mut admit: impl FnMut(&AddressedRecord) -> Result<()>,
) -> Result<Vec<Poison>> {
    let mut poison = Vec::new();
    let mut rest = records;
    // So many of the rest were refused together.
    let mut refused = rest.len();
    // As many are tried when nothing is known of the rest: more each time that they are stored.
    let mut reach = 1;
    while !rest.is_empty() {
        let count = if refused > 0 { refused / 2 } else { reach };
        let (piece, after) = rest.split_at(count.clamp(1, rest.len()));
        match persistence.store(partition, piece, before).await {
            Ok(()) => {
                if refused == 0 {
                    reach = reach.saturating_mul(2);
                }
                refused = refused.saturating_sub(piece.len());
                rest = after;
            }
            Err(error) if is_poison(&error) => match piece {
                [record] => {
                    admit(record)?;
                    poison.push(Poison {
                        record: record.clone(),
                        error,
                    });
                    (refused, reach) = (0, 1);
                    rest = after;
                }
                _ => refused = piece.len(),
            },
            Err(error) => return Err(error),
        }
    }
    Ok(poison)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use bytes::Bytes;
    use grid_core::{History, Key, MapAddress, MapName, Namespace, Record, Sequence, Stamp};
    use grid_storage_memory::MemoryPersistence;
    use grid_testkit::hooks::{HookedPersistence, PersistenceHooks};
    use proptest::prelude::*;

    use super::*;

    /// Refuses some sequences, and notes the others.
    #[derive(Debug, Default)]
    struct Table {
        refused: BTreeSet<u64>,
        stored: Mutex<Vec<u64>>,
        calls: AtomicUsize,
    }

    #[async_trait]
    impl PersistenceHooks for Table {
        async fn store(
            &self,
            _: &dyn Persistence,
            _: PartitionId,
            records: &[AddressedRecord],
            _: &StateRecord,
        ) -> Result<()> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            let sequences: Vec<u64> = records.iter().map(|each| each.record.sequence.0).collect();
            if sequences.iter().any(|each| self.refused.contains(each)) {
                return Err(Error::new(ErrorKind::Invalid, "store", "told to refuse"));
            }
            self.stored.lock().unwrap().extend(sequences);
            Ok(())
        }
    }

    fn record(sequence: u64) -> AddressedRecord {
        AddressedRecord {
            address: MapAddress {
                namespace: Namespace::default(),
                map: MapName::new("m").unwrap(),
            },
            record: Record {
                key: Key::new(&format!("k{sequence}")).unwrap(),
                value: None,
                stamp: Stamp::ZERO,
                sequence: Sequence(sequence),
                expires_at_ms: None,
            },
        }
    }

    /// What is found among so many records, what is stored, and the calls that it takes.
    fn found(count: u64, refused: BTreeSet<u64>) -> (BTreeSet<u64>, Vec<u64>, usize) {
        let table = Table {
            refused,
            ..Table::default()
        };
        let database = HookedPersistence::new(Arc::new(MemoryPersistence::new()), table);
        let records: Vec<AddressedRecord> = (0..count).map(record).collect();
        let before = StateRecord {
            history: History(1),
            sequence: Sequence::ZERO,
            data: Bytes::new(),
        };
        let poison = isolate(&database, PartitionId(1), &records, &before, |_| Ok(()));
        let poison = grid_testkit::block_on(poison).unwrap();
        let poison = poison.iter().map(|each| each.record.record.sequence.0);
        let Table { stored, calls, .. } = database.hooks();
        let stored = stored.lock().unwrap().clone();
        (poison.collect(), stored, calls.load(Ordering::SeqCst))
    }

    proptest! {
        #[test]
        fn what_is_refused_is_found_and_the_rest_stored_once(
            count in 1..300_u64,
            picked in proptest::collection::btree_set(0..300_u64, 0..40),
        ) {
            let refused: BTreeSet<u64> = picked.into_iter().filter(|each| *each < count).collect();
            let (poison, stored, calls) = found(count, refused.clone());
            prop_assert_eq!(&poison, &refused);
            let good: Vec<u64> = (0..count).filter(|each| !refused.contains(each)).collect();
            prop_assert_eq!(stored, good);
            let depth = usize::try_from(count.ilog2()).unwrap() + 1;
            prop_assert!(calls <= 2 * (poison.len() + 1) * depth, "{} calls", calls);
        }
    }

    #[test]
    fn few_calls_find_one_of_many_and_one_each_finds_those_that_stand_together() {
        assert!(found(5_000, BTreeSet::from([4_321])).2 <= 26);
        assert!(found(5_000, (0..5_000).collect()).2 <= 5_013);
        assert!(found(5_000, (2_000..2_100).collect()).2 <= 130);
    }
}
