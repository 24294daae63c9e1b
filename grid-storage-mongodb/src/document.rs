//! Records and state records as documents, and back.

use std::fmt::Write;

use bytes::Bytes;
use grid_core::traits::{AddressedRecord, RecordCursor, StateRecord};
use grid_core::{
    Error, ErrorKind, History, Hlc, Key, MapAddress, MapName, Namespace, OpId, PartitionId, Record,
    Result, RunId, Sequence, Stamp,
};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Document, doc};

use crate::{MAX_VALUE_BYTES, error, value};

/// The `kind` of a document that stands for a deletion. A text, because not all that speak the
/// protocol keep truth values apart from numbers.
pub(crate) const TOMBSTONE: &str = "tombstone";
/// The last millisecond that people's calendars have; what lies behind it has no date.
const LAST_DATE_MS: u64 = 253_402_300_799_999;

/// The name of a partition: five digits, so that names follow the numbers.
pub(crate) fn partition_id(partition: PartitionId) -> String {
    format!("{:05}", partition.0)
}

/// Where the documents of a partition end.
pub(crate) fn partition_end(partition: PartitionId) -> String {
    // What follows `/` among the characters that ids are made of.
    format!("{:05}0", partition.0)
}

/// The id of a record. Ids compare as (namespace, map, key) do, each by bytes: they are written in
/// hexadecimal digits, and what separates them comes before every digit.
pub(crate) fn record_id(partition: PartitionId, address: &MapAddress, key: &Key) -> String {
    let mut id = partition_id(partition);
    for part in [
        address.namespace.as_str(),
        address.map.as_str(),
        key.as_str(),
    ] {
        id.push('/');
        for byte in part.bytes() {
            // Writing to a string does not fail.
            let _written = write!(id, "{byte:02x}");
        }
    }
    id
}

/// The id after which a page starts.
pub(crate) fn page_start(partition: PartitionId, after: Option<&RecordCursor>) -> String {
    match after {
        Some(cursor) => record_id(partition, &cursor.address, &cursor.key),
        None => format!("{}/", partition_id(partition)),
    }
}

/// The name of a history, as `Display` has it.
pub(crate) fn history_name(history: History) -> String {
    history.to_string()
}

fn binary(bytes: &[u8]) -> Bson {
    Bson::Binary(Binary {
        subtype: BinarySubtype::Generic,
        bytes: bytes.to_vec(),
    })
}

/// A document to be written under the guard.
#[derive(Debug, Clone)]
pub(crate) struct Guarded {
    pub(crate) id: String,
    pub(crate) history: String,
    pub(crate) sequence: i64,
    /// All other fields.
    pub(crate) fields: Document,
    /// About how many bytes it takes.
    pub(crate) bytes: usize,
}

impl Guarded {
    pub(crate) fn of_record(
        partition: PartitionId,
        history: History,
        addressed: &AddressedRecord,
    ) -> Result<Self> {
        let AddressedRecord { address, record } = addressed;
        let bytes = record.value.as_ref().map_or(0, Bytes::len);
        if bytes > MAX_VALUE_BYTES {
            return Err(error::too_large("store records", bytes));
        }
        let date = |ms: Option<u64>| {
            ms.filter(|ms| *ms <= LAST_DATE_MS)
                .map(|ms| DateTime::from_millis(ms.cast_signed()))
        };
        let value = record.value.as_deref();
        let (copy, copy_bytes) = value.and_then(value::of_value).unzip();
        let copy_bytes = copy_bytes.unwrap_or(0);
        let fields = doc! {
            "partition": i32::from(partition.0),
            "namespace": address.namespace.as_str(),
            "map": address.map.as_str(),
            "key": record.key.as_str(),
            "value": copy,
            "cbor": value.map(binary),
            "kind": if record.is_tombstone() { TOMBSTONE } else { "value" },
            "stampedAt": date(Some(record.stamp.hlc.millis())),
            "expiresAt": date(record.expires_at_ms),
            "expiresAtMs": record.expires_at_ms.map(u64::cast_signed),
            "hlc": record.stamp.hlc.as_u64().cast_signed(),
            "run": record.stamp.op.run.0.cast_signed(),
            "number": record.stamp.op.number.cast_signed(),
        };
        Ok(Self {
            id: record_id(partition, address, &record.key),
            history: history_name(history),
            sequence: record.sequence.comparable()?,
            fields,
            bytes: 1024 + 4 * record.key.as_bytes().len() + bytes + copy_bytes,
        })
    }

    pub(crate) fn of_state(partition: PartitionId, state: &StateRecord) -> Result<Self> {
        Ok(Self {
            id: partition_id(partition),
            history: history_name(state.history),
            sequence: state.sequence.comparable()?,
            fields: doc! {
                "partition": i32::from(partition.0),
                "data": binary(&state.data),
            },
            bytes: state.data.len(),
        })
    }

    /// The change that makes the document this one.
    pub(crate) fn update(&self) -> Document {
        let mut fields = self.fields.clone();
        fields.insert("history", self.history.clone());
        fields.insert("sequence", self.sequence);
        doc! { "$set": fields }
    }
}

/// What the grid never wrote there.
fn damaged(field: &str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "read mongodb document",
        "a document does not hold what was stored; restore it from a backup",
    )
    .with("field", field)
}

fn number(document: &Document, field: &str) -> Result<u64> {
    match document.get(field) {
        Some(Bson::Int64(number)) => Ok(number.cast_unsigned()),
        Some(Bson::Int32(number)) => Ok(i64::from(*number).cast_unsigned()),
        _ => Err(damaged(field)),
    }
}

fn text<'a>(document: &'a Document, field: &str) -> Result<&'a str> {
    document.get_str(field).map_err(|_| damaged(field))
}

fn bytes(document: &Document, field: &str) -> Result<Bytes> {
    match document.get(field) {
        Some(Bson::Binary(binary)) => Ok(Bytes::copy_from_slice(&binary.bytes)),
        _ => Err(damaged(field)),
    }
}

/// The record in `document`, with its names checked.
pub(crate) fn to_record(document: &Document) -> Result<AddressedRecord> {
    let expires_at_ms = match document.get("expiresAtMs") {
        None | Some(Bson::Null) => None,
        Some(_) => Some(number(document, "expiresAtMs")?),
    };
    Ok(AddressedRecord {
        address: MapAddress {
            namespace: Namespace::new(text(document, "namespace")?)?,
            map: MapName::new(text(document, "map")?)?,
        },
        record: Record {
            key: Key::new(text(document, "key")?)?,
            value: match text(document, "kind")? {
                TOMBSTONE => None,
                _ => Some(bytes(document, "cbor")?),
            },
            stamp: Stamp {
                hlc: Hlc::from_u64(number(document, "hlc")?),
                op: OpId {
                    run: RunId(number(document, "run")?),
                    number: number(document, "number")?,
                },
            },
            sequence: Sequence(number(document, "sequence")?),
            expires_at_ms,
        },
    })
}

/// The state record in `document`.
pub(crate) fn to_state(document: &Document) -> Result<StateRecord> {
    let history = u64::from_str_radix(text(document, "history")?, 16);
    Ok(StateRecord {
        history: History(history.map_err(|_| damaged("history"))?),
        sequence: Sequence(number(document, "sequence")?),
        data: bytes(document, "data")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(namespace: &str, map: &str, key: &str) -> String {
        let address = MapAddress {
            namespace: Namespace::new(namespace).unwrap(),
            map: MapName::new(map).unwrap(),
        };
        record_id(PartitionId(3), &address, &Key::new(key).unwrap())
    }

    #[test]
    fn ids_compare_as_names_do() {
        let mut names = Vec::new();
        for namespace in ["a", "a\u{1}", "aa", "é", "~"] {
            for map in ["/", "0", "m", "m\u{1}"] {
                for key in ["k", "k/", "k0", "😀"] {
                    names.push((namespace, map, key));
                }
            }
        }
        names.sort_unstable();
        let ids: Vec<String> = names.iter().map(|(n, m, k)| id(n, m, k)).collect();
        assert!(ids.is_sorted(), "{ids:?}");
        let (first, last) = (&ids[0], &ids[ids.len() - 1]);
        assert!(page_start(PartitionId(3), None) < *first);
        assert!(*last < partition_end(PartitionId(3)));
        assert!(partition_end(PartitionId(3)) < page_start(PartitionId(4), None));
        assert!(partition_end(PartitionId(9_999)) < page_start(PartitionId(10_000), None));
    }
}
