//! The confirmed state of one map: a copy of what the server has, changed only by deltas and
//! repair.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::address::{Key, PartitionId};
use crate::digest::{DigestKey, EntryDigest};
use crate::op::Stamp;
use crate::record::{Record, Sequence};

/// One confirmed entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) value: Bytes,
    pub(super) stamp: Stamp,
    pub(super) sequence: Sequence,
    pub(super) expires_at_ms: Option<u64>,
    pub(super) partition: PartitionId,
}

/// What is known of one partition of the map.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    root: u128,
    cursor: Option<Sequence>,
}

/// Keys by their hash, for each partition; kept only while some partition is being repaired.
type Index = BTreeMap<PartitionId, BTreeMap<u64, Key>>;

#[derive(Debug, Default)]
pub(super) struct Confirmed {
    digest_key: DigestKey,
    entries: BTreeMap<Key, Held>,
    parts: BTreeMap<PartitionId, Part>,
    index: Option<Index>,
}

impl Confirmed {
    pub(super) fn new(digest_key: DigestKey) -> Self {
        Self {
            digest_key,
            ..Self::default()
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Held> {
        self.entries.get(key)
    }

    pub(super) fn entries(&self) -> &BTreeMap<Key, Held> {
        &self.entries
    }

    fn digest(&self, key: &Key, held: &Held) -> EntryDigest {
        self.digest_key
            .entry(key.as_bytes(), &held.stamp, &held.value)
    }

    /// Sets an entry; false when it was so already.
    ///
    /// Key and value are copied, so that a small entry does not keep a whole frame in memory.
    pub(super) fn put(&mut self, partition: PartitionId, record: &Record, value: &Bytes) -> bool {
        let held = self.entries.get(&record.key);
        let same = held.is_some_and(|held| {
            held.stamp == record.stamp
                && held.sequence == record.sequence
                && held.partition == partition
                && held.expires_at_ms == record.expires_at_ms
                && held.value == *value
        });
        if same {
            return false;
        }
        let held = Held {
            value: Bytes::copy_from_slice(value),
            stamp: record.stamp,
            sequence: record.sequence,
            expires_at_ms: record.expires_at_ms,
            partition,
        };
        let key = match self.entries.get_key_value(&record.key) {
            Some((key, _)) => key.clone(),
            None => record.key.detached(),
        };
        self.remove(&key);
        let digest = self.digest(&key, &held);
        let part = self.parts.entry(partition).or_default();
        part.root = part.root.wrapping_add(digest.digest);
        if let Some(index) = &mut self.index {
            let keys = index.entry(partition).or_default();
            keys.insert(digest.key_hash, key.clone());
        }
        self.entries.insert(key, held);
        true
    }

    /// Removes an entry; false when there was none.
    pub(super) fn remove(&mut self, key: &Key) -> bool {
        let Some(held) = self.entries.remove(key) else {
            return false;
        };
        let digest = self.digest(key, &held);
        if let Some(part) = self.parts.get_mut(&held.partition) {
            part.root = part.root.wrapping_sub(digest.digest);
        }
        if let Some(keys) = self
            .index
            .as_mut()
            .and_then(|index| index.get_mut(&held.partition))
        {
            keys.remove(&digest.key_hash);
        }
        true
    }

    /// The sum of the digests of the entries in `partition`.
    pub(super) fn root(&self, partition: PartitionId) -> u128 {
        self.parts.get(&partition).map_or(0, |part| part.root)
    }

    /// Where the copy of `partition` stands.
    pub(super) fn cursor(&self, partition: PartitionId) -> Option<Sequence> {
        self.parts.get(&partition)?.cursor
    }

    pub(super) fn set_cursor(&mut self, partition: PartitionId, cursor: Sequence) {
        self.parts.entry(partition).or_default().cursor = Some(cursor);
    }

    pub(super) fn forget_cursors(&mut self) {
        for part in self.parts.values_mut() {
            part.cursor = None;
        }
    }

    /// Every partition that has a cursor, ascending.
    pub(super) fn cursors(&self) -> Vec<(PartitionId, Sequence)> {
        self.parts
            .iter()
            .filter_map(|(partition, part)| Some((*partition, part.cursor?)))
            .collect()
    }

    pub(super) fn keys_in(&self, partition: PartitionId) -> impl Iterator<Item = &Key> {
        self.entries
            .iter()
            .filter(move |(_, held)| held.partition == partition)
            .map(|(key, _)| key)
    }

    /// Takes another key of digests: all roots change.
    pub(super) fn set_digest_key(&mut self, digest_key: DigestKey) {
        if self.digest_key == digest_key {
            return;
        }
        self.digest_key = digest_key;
        for part in self.parts.values_mut() {
            part.root = 0;
        }
        for (key, held) in &self.entries {
            let digest = digest_key.entry(key.as_bytes(), &held.stamp, &held.value);
            let part = self.parts.entry(held.partition).or_default();
            part.root = part.root.wrapping_add(digest.digest);
        }
        self.index = None;
    }

    /// Makes [`Confirmed::digests`] and [`Confirmed::by_hash`] work.
    pub(super) fn build_index(&mut self) {
        if self.index.is_some() {
            return;
        }
        let mut index = Index::new();
        for (key, held) in &self.entries {
            let hash = self.digest_key.key_hash(key.as_bytes());
            let keys = index.entry(held.partition).or_default();
            keys.insert(hash, key.clone());
        }
        self.index = Some(index);
    }

    pub(super) fn drop_index(&mut self) {
        self.index = None;
    }

    /// The digests of the entries in `partition`.
    pub(super) fn digests(&self, partition: PartitionId) -> impl Iterator<Item = EntryDigest> {
        self.index
            .iter()
            .filter_map(move |index| index.get(&partition))
            .flatten()
            .filter_map(|(hash, key)| {
                let held = self.entries.get(key)?;
                let key = self.digest_key;
                Some(key.entry_with_hash(*hash, &held.stamp, &held.value))
            })
    }

    /// The entry of `partition` whose key has this hash, and its digest.
    pub(super) fn by_hash(&self, partition: PartitionId, hash: u64) -> Option<(Key, EntryDigest)> {
        let key = self.index.as_ref()?.get(&partition)?.get(&hash)?;
        let held = self.entries.get(key)?;
        Some((key.clone(), self.digest(key, held)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hlc, OpId, RunId};

    fn record(key: &str, hlc: u64) -> Record {
        Record {
            key: Key::new(key).unwrap(),
            value: Some(Bytes::from(vec![u8::try_from(hlc % 20).unwrap()])),
            stamp: Stamp {
                hlc: Hlc::from_u64(hlc),
                op: OpId {
                    run: RunId(1),
                    number: hlc,
                },
            },
            sequence: Sequence(hlc),
            expires_at_ms: None,
        }
    }

    fn put(confirmed: &mut Confirmed, partition: u16, record: &Record) -> bool {
        confirmed.put(
            PartitionId(partition),
            record,
            record.value.as_ref().unwrap(),
        )
    }

    fn rebuilt(confirmed: &Confirmed, partition: PartitionId) -> u128 {
        confirmed
            .entries
            .iter()
            .filter(|(_, held)| held.partition == partition)
            .fold(0, |sum: u128, (key, held)| {
                sum.wrapping_add(confirmed.digest(key, held).digest)
            })
    }

    #[test]
    fn roots_and_index_follow_every_change() {
        let mut confirmed = Confirmed::new(DigestKey(5));
        confirmed.build_index();
        let mut chance = 1u64;
        for step in 1..2_000 {
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(99);
            let key = format!("k{}", chance >> 59);
            if (chance >> 40).is_multiple_of(3) {
                confirmed.remove(&Key::new(&key).unwrap());
            } else {
                // Now and then a key moves to another partition.
                put(
                    &mut confirmed,
                    u16::try_from((chance >> 30) % 2).unwrap(),
                    &record(&key, step),
                );
            }
            if step == 1_000 {
                confirmed.set_digest_key(DigestKey(6));
                confirmed.build_index();
            }
            for partition in [PartitionId(0), PartitionId(1)] {
                assert_eq!(confirmed.root(partition), rebuilt(&confirmed, partition));
                let indexed = confirmed
                    .digests(partition)
                    .fold(0, |sum: u128, entry| sum.wrapping_add(entry.digest));
                assert_eq!(indexed, confirmed.root(partition));
            }
        }
    }

    #[test]
    fn an_equal_record_changes_nothing_and_another_sequence_does() {
        let mut confirmed = Confirmed::new(DigestKey(5));
        let mut record = record("k", 3);
        assert!(put(&mut confirmed, 0, &record));
        assert!(!put(&mut confirmed, 0, &record));
        record.sequence = Sequence(4);
        assert!(put(&mut confirmed, 0, &record));
        assert!(put(&mut confirmed, 1, &record));
        assert_eq!(confirmed.root(PartitionId(0)), 0);
    }
}
