//! Reading once: pages of several partitions become one.

use grid_core::partition::{Budget, KeyPage, Partition};
use grid_core::protocol::ReadTarget;
use grid_core::{Key, MapAddress};

/// Bytes of keys and values at which a page is full.
const PAGE_BYTES: usize = 256 * 1024;
/// Most records of one page, whatever was asked for.
const PAGE_RECORDS: usize = 4096;

/// How much fits into a page of which `limit` records were asked for.
fn budget(limit: u32) -> Budget {
    Budget {
        records: usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .min(PAGE_RECORDS),
        bytes: PAGE_BYTES,
    }
}

/// What one partition has of what is wanted.
pub(super) fn read(partition: &Partition, address: &MapAddress, target: &ReadTarget) -> KeyPage {
    match target {
        ReadTarget::Key(key) => KeyPage {
            records: partition.get(address, key).into_iter().collect(),
            more: false,
        },
        ReadTarget::Page {
            selector,
            after,
            limit,
        } => partition.page(address, selector, after.as_ref(), budget(*limit)),
    }
}

/// One page of several. A page that says there is more says nothing of what comes after its last
/// key, so the result ends there.
pub(crate) fn merge_pages(target: &ReadTarget, pages: Vec<KeyPage>) -> KeyPage {
    let limit = match target {
        ReadTarget::Key(_) => 1,
        ReadTarget::Page { limit, .. } => budget(*limit).records,
    };
    let end: Option<Key> = pages
        .iter()
        .filter(|page| page.more)
        .filter_map(|page| page.records.last())
        .map(|record| record.key.clone())
        .min();
    let mut merged = KeyPage::default();
    for page in pages {
        merged.more |= page.more;
        merged.records.extend(page.records);
    }
    merged.records.sort_by(|a, b| a.key.cmp(&b.key));
    let within = end.map_or(merged.records.len(), |end| {
        merged.records.partition_point(|record| record.key <= end)
    });
    let mut bytes = 0;
    let fitting = merged.records[..within]
        .iter()
        .take(limit)
        .take_while(|record| {
            let is_first = bytes == 0;
            bytes += record.key.as_bytes().len() + record.value.as_ref().map_or(0, |v| v.len());
            is_first || bytes <= PAGE_BYTES
        })
        .count();
    merged.more |= fitting < merged.records.len();
    merged.records.truncate(fitting);
    merged
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use grid_core::protocol::Selector;
    use grid_core::{Record, Sequence, Stamp};
    use proptest::prelude::*;

    use super::*;

    fn record(key: &str, bytes: usize) -> Record {
        Record {
            key: Key::new(key).unwrap(),
            value: Some(Bytes::from(vec![0; bytes])),
            stamp: Stamp::ZERO,
            sequence: Sequence(1),
            expires_at_ms: None,
        }
    }

    fn target(after: Option<Key>, limit: u32) -> ReadTarget {
        ReadTarget::Page {
            selector: Selector::All,
            after,
            limit,
        }
    }

    /// A page of one partition, as a partition makes it.
    fn page(all: &[Record], after: Option<&Key>, limit: usize) -> KeyPage {
        let mut records: Vec<Record> = all
            .iter()
            .filter(|record| after.is_none_or(|after| record.key > *after))
            .cloned()
            .collect();
        let all = records.len();
        let mut bytes = 0;
        let fits = records.iter().take(limit).take_while(|record| {
            bytes += record.key.as_bytes().len() + record.value.as_ref().unwrap().len();
            bytes <= PAGE_BYTES
        });
        let fitting = fits.count().max(usize::from(all > 0));
        records.truncate(fitting);
        KeyPage {
            records,
            more: fitting < all,
        }
    }

    proptest! {
        #[test]
        fn pages_of_many_partitions_read_one_after_the_other_miss_nothing(
            keys in prop::collection::btree_map("[a-d]{1,4}", (0..4usize, 0..400_000usize), 0..60),
            limit in 1..9u32,
        ) {
            let mut partitions = vec![Vec::new(); 4];
            for (key, (partition, bytes)) in &keys {
                partitions[*partition].push(record(key, *bytes));
            }
            let (mut after, mut seen) = (None, Vec::new());
            loop {
                let pages = partitions
                    .iter()
                    .map(|all| page(all, after.as_ref(), limit as usize))
                    .collect();
                let merged = merge_pages(&target(after.clone(), limit), pages);
                prop_assert!(merged.records.len() <= limit as usize);
                let size: usize = merged.records.iter().map(|r| r.value.as_ref().unwrap().len()).sum();
                prop_assert!(size <= PAGE_BYTES || merged.records.len() == 1);
                seen.extend(merged.records.iter().map(|r| r.key.to_string()));
                if !merged.more {
                    break;
                }
                prop_assert!(!merged.records.is_empty(), "more, and no progress");
                after = merged.records.last().map(|r| r.key.clone());
            }
            prop_assert_eq!(seen, keys.into_keys().collect::<Vec<_>>());
        }
    }
}
