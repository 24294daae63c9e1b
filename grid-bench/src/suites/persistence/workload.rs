//! The rows: documents of 200 bytes, of which every batch changes as many as it adds.

use bytes::Bytes;
use grid_core::traits::{AddressedRecord, StateRecord};
use grid_core::{History, OpId, PartitionId, Record, Result, RunId, Sequence, Stamp};

use crate::suites::sample;

/// Bytes of a value.
const VALUE_BYTES: usize = 200;

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
        let (value, json) = value();
        let first = number * rows.div_ceil(2);
        let record = |index: u32| {
            let sequence = u64::from(number) * u64::from(rows) + u64::from(index - first) + 1;
            Ok(AddressedRecord {
                address: sample::address()?,
                record: Record {
                    key: sample::key(index)?,
                    value: Some(value.clone()),
                    stamp: Stamp {
                        op: OpId {
                            run: RunId(1),
                            number: sequence,
                        },
                        ..Stamp::ZERO
                    },
                    sequence: Sequence(sequence),
                    expires_at_ms: None,
                },
            })
        };
        Ok(Self {
            partition,
            records: (first..first + rows).map(record).collect::<Result<_>>()?,
            state: StateRecord {
                history: History(1),
                sequence: Sequence(u64::from(number + 1) * u64::from(rows)),
                data: Bytes::from_static(&[7; 64]),
            },
            json,
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
