//! The rows: documents of 200 bytes, of which every batch changes as many as it adds.

use std::collections::BTreeMap;

use bytes::Bytes;
use grid_core::address::Placement;
use grid_core::traits::{AddressedRecord, StateRecord};
use grid_core::{History, Key, OpId, PartitionId, Record, Result, RunId, Sequence, Stamp};
use grid_server::Settings;

use crate::suites::sample;

/// Bytes of a value.
const VALUE_BYTES: usize = 200;
/// As large as a server draws them: small numbers take less room in some databases.
const HISTORY: History = History(0x6a09_e667_f3bc_c908);

/// One batch, and what the bare side stores of it.
pub(super) struct Batch {
    pub(super) partition: PartitionId,
    pub(super) records: Vec<AddressedRecord>,
    pub(super) state: StateRecord,
    /// The value of every record as JSON, which the bare side does not have to make.
    pub(super) json: String,
}

impl Batch {
    /// Batch `number` of `rows` rows.
    pub(super) fn new(partition: PartitionId, number: u32, rows: u32) -> Result<Self> {
        let first = number * rows.div_ceil(2);
        let keys = (first..first + rows).map(sample::key);
        let keys = keys.collect::<Result<Vec<_>>>()?;
        Self::of(partition, u64::from(number) * u64::from(rows), keys)
    }

    /// A batch of the next versions of `keys`, in a partition that is at `sequence`.
    fn of(partition: PartitionId, sequence: u64, keys: Vec<Key>) -> Result<Self> {
        let (value, json) = value();
        let address = sample::address()?;
        let records = (sequence + 1..)
            .zip(keys)
            .map(|(sequence, key)| AddressedRecord {
                address: address.clone(),
                record: Record {
                    key,
                    value: Some(value.clone()),
                    stamp: Stamp {
                        op: OpId {
                            run: RunId(1),
                            number: sequence,
                        },
                        ..sample::stamp(sequence)
                    },
                    sequence: Sequence(sequence),
                    expires_at_ms: None,
                },
            });
        let records: Vec<AddressedRecord> = records.collect();
        Ok(Self {
            partition,
            state: StateRecord {
                history: HISTORY,
                sequence: Sequence(sequence + records.len() as u64),
                data: Bytes::from_static(&[7; 64]),
            },
            records,
            json,
        })
    }
}

/// The key of an entry that a client writes. Without a `/`, which would keep all of them in one
/// partition.
pub(super) fn client_key(index: u32) -> Result<Key> {
    Key::new(&format!("customer-{index:08}"))
}

/// The entries of a server's backlog, in the partitions in which it has them.
pub(super) struct Backlog(BTreeMap<PartitionId, Vec<Key>>);

impl Backlog {
    /// Entries 0 to `entries`, which is not included.
    pub(super) fn new(entries: u32, settings: &Settings) -> Result<Self> {
        let address = sample::address()?;
        let placement = Placement::new(&address, settings.map_spread, settings.partition_count);
        let mut partitions: BTreeMap<PartitionId, Vec<Key>> = BTreeMap::new();
        for index in 0..entries {
            let key = client_key(index)?;
            partitions
                .entry(placement.partition(&key))
                .or_default()
                .push(key);
        }
        Ok(Self(partitions))
    }

    /// All of it in batches of up to `rows` rows: the versions after `rounds` earlier ones of each.
    pub(super) fn batches(&self, rows: u32, rounds: u64) -> impl Iterator<Item = Result<Batch>> {
        self.0.iter().flat_map(move |(partition, keys)| {
            let first = rounds * keys.len() as u64;
            let firsts = (first..).step_by(rows as usize);
            let batches = firsts.zip(keys.chunks(rows as usize));
            batches.map(|(first, keys)| Batch::of(*partition, first, keys.to_vec()))
        })
    }
}

/// `{"done": true, "text": "xxx…"}` as CBOR and as JSON.
pub(super) fn value() -> (Bytes, String) {
    let head = b"\xa2\x64done\xf5\x64text\x78";
    let text = "x".repeat(VALUE_BYTES - head.len() - 1);
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    let value = [head, &[length][..], text.as_bytes()].concat();
    (value.into(), format!(r#"{{"done":true,"text":"{text}"}}"#))
}

#[cfg(test)]
mod tests {
    use grid_core::codec::Data;

    use super::*;

    #[test]
    fn a_value_has_its_size_and_can_be_shown() {
        let (value, json) = value();
        assert_eq!(value.len(), VALUE_BYTES);
        let Some(Data::Map(entries)) = Data::read(&value) else {
            panic!("a map");
        };
        let Some(("text", Data::Text(text))) = entries.last() else {
            panic!("a text");
        };
        assert_eq!(json, format!(r#"{{"done":true,"text":"{text}"}}"#));
    }
}
