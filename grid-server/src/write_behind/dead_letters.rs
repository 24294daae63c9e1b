//! Dead letters: versions that the database refuses for good, kept in the database all the same.
//!
//! They are records of a partition and a map that nothing else uses, written through the same
//! trait, so that every system of record has them. A letter holds the whole version: what a
//! partition is made of at a start is the database's records, its letters and the journal's tail.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use grid_core::codec::{Reader, Writer, decode_record, encode_record};
use grid_core::limits::RECORD_PAGE_BYTES;
use grid_core::traits::{AddressedRecord, Persistence, RecordCursor, StateRecord};
use grid_core::{
    History, Key, MapAddress, MapName, Namespace, PartitionId, Record, Result, Sequence, Stamp,
};

use super::isolate::Poison;
use super::stored_record::stored_record;

/// Under which they are stored.
const LETTERS: PartitionId = PartitionId::DEAD_LETTERS;
/// The map in which they are stored.
const MAP: &str = "$dead-letters";
/// Letters that are read at once.
const PAGE: usize = 256;
/// The fields of a letter.
const FIELDS: usize = 5;
/// Most bytes of what the database said that are kept.
const MAX_REASON_BYTES: usize = 1024;
/// Bytes that a letter takes up beside the value that it holds, at most.
pub(crate) const ENVELOPE_BYTES: usize = 4096;

/// Entries of one partition that have a letter, and the sequence of the version in it.
pub(crate) type Buried = BTreeMap<RecordCursor, Sequence>;

/// A version of an entry that the system of record refused for good.
///
/// The server holds it and serves it, and a restart keeps it; the table of records does not have
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Names the letter. A later version of the same entry has the same letter.
    pub id: String,
    /// The partition.
    pub partition: PartitionId,
    /// The map.
    pub address: MapAddress,
    /// The version.
    pub record: Record,
    /// What the system of record said.
    pub reason: String,
    /// When it was refused, in milliseconds since 1970.
    pub refused_at_ms: u64,
}

/// Some of the letters of a data set, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetterPage {
    /// The letters.
    pub letters: Vec<DeadLetter>,
    /// Whether there may be more after these.
    pub more: bool,
}

impl DeadLetter {
    pub(crate) fn cursor(&self) -> RecordCursor {
        RecordCursor {
            address: self.address.clone(),
            key: self.record.key.clone(),
        }
    }

    pub(crate) fn addressed(&self) -> AddressedRecord {
        AddressedRecord {
            address: self.address.clone(),
            record: self.record.clone(),
        }
    }
}

/// The letters of a data set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeadLetters<'a> {
    persistence: &'a dyn Persistence,
    history: History,
}

impl<'a> DeadLetters<'a> {
    pub(crate) fn new(persistence: &'a dyn Persistence, history: History) -> Self {
        Self {
            persistence,
            history,
        }
    }

    /// Keeps what was refused, each in place of an earlier version of its entry.
    ///
    /// # Errors
    /// As those of the persistence.
    pub(super) async fn bury(
        &self,
        partition: PartitionId,
        poison: &[Poison],
        now_ms: u64,
    ) -> Result<()> {
        let letters = poison.iter().map(|each| {
            let value = encode(partition, each, now_ms);
            letter(partition, &each.record, Some(value))
        });
        let letters = letters.collect::<Result<Vec<_>>>()?;
        self.store(&letters).await
    }

    /// Lets go of letters, unless they hold a later version than is named.
    ///
    /// # Errors
    /// As those of the persistence.
    pub(crate) async fn remove(&self, partition: PartitionId, settled: &Buried) -> Result<()> {
        let Some(last) = settled.values().copied().max() else {
            return Ok(());
        };
        let tombstones = settled.iter().map(|(cursor, sequence)| {
            let record = Record {
                key: cursor.key.clone(),
                value: None,
                stamp: Stamp::ZERO,
                sequence: *sequence,
                expires_at_ms: None,
            };
            let address = cursor.address.clone();
            letter(partition, &AddressedRecord { address, record }, None)
        });
        let tombstones = tombstones.collect::<Result<Vec<_>>>()?;
        self.store(&tombstones).await?;
        self.persistence.collect(LETTERS, last).await
    }

    /// The letters of one partition.
    ///
    /// # Errors
    /// As those of the persistence; `Corrupt` when a letter cannot be read.
    pub(crate) async fn of(&self, partition: PartitionId) -> Result<Vec<DeadLetter>> {
        let mut letters = Vec::new();
        self.each(partition, |letter| letters.push(letter)).await?;
        Ok(letters)
    }

    /// The letters of one partition that hold versions up to `through`.
    ///
    /// # Errors
    /// As those of the persistence; `Corrupt` when a letter cannot be read.
    pub(super) async fn up_to(&self, partition: PartitionId, through: Sequence) -> Result<Buried> {
        let mut found = Buried::new();
        let see = |letter: DeadLetter| {
            if letter.record.sequence <= through {
                found.insert(letter.cursor(), letter.record.sequence);
            }
        };
        self.each(partition, see).await?;
        Ok(found)
    }

    async fn each(&self, partition: PartitionId, mut see: impl FnMut(DeadLetter)) -> Result<()> {
        let prefix = prefix(partition);
        let mut after = Some(RecordCursor {
            address: address()?,
            key: Key::new(&prefix)?,
        });
        loop {
            let page = self.persistence.load(LETTERS, after.as_ref(), PAGE).await?;
            after = page.records.last().map(RecordCursor::of);
            for each in &page.records {
                // Those of the next partitions share the page, and are not this one's to read.
                if !each.record.key.as_str().starts_with(&prefix) {
                    return Ok(());
                }
                read_letter(&each.record)?.into_iter().for_each(&mut see);
            }
            if !page.more || after.is_none() {
                return Ok(());
            }
        }
    }

    /// The letter of this id, if there is one.
    ///
    /// # Errors
    /// As those of the persistence; `Corrupt` when the letter cannot be read.
    pub(crate) async fn find(&self, id: &str) -> Result<Option<DeadLetter>> {
        // What cannot be a key is not the id of a letter.
        let Ok(key) = Key::new(id) else {
            return Ok(None);
        };
        let address = address()?;
        let entry = RecordCursor { address, key };
        let found = stored_record(self.persistence, LETTERS, &entry).await?;
        found.map_or(Ok(None), |record| read_letter(&record))
    }

    /// Up to `limit` letters of all partitions after the one of id `after`, by partition, without
    /// those that are `settled`; fewer, with more to come, once they reach [`RECORD_PAGE_BYTES`].
    ///
    /// # Errors
    /// `Invalid` when `after` is not the id of a letter; as those of the persistence; `Corrupt`
    /// when a letter cannot be read.
    pub(crate) async fn page(
        &self,
        after: Option<&str>,
        limit: usize,
        settled: impl Fn(&DeadLetter) -> bool,
    ) -> Result<DeadLetterPage> {
        let mut found = DeadLetterPage::default();
        let mut bytes = 0;
        let mut after = match after {
            Some(id) => Some(RecordCursor {
                address: address()?,
                key: Key::new(id)?,
            }),
            None => None,
        };
        loop {
            let left = limit - found.letters.len();
            let page = self.persistence.load(LETTERS, after.as_ref(), left).await?;
            after = page.records.last().map(RecordCursor::of);
            for each in &page.records {
                bytes += each.bytes();
                // Tombstones are there between two calls, or after a crash between them.
                let letter = read_letter(&each.record)?;
                found
                    .letters
                    .extend(letter.filter(|letter| !settled(letter)));
            }
            found.more = page.more && after.is_some();
            let is_full = found.letters.len() >= limit || bytes >= RECORD_PAGE_BYTES;
            if !found.more || is_full && !found.letters.is_empty() {
                return Ok(found);
            }
        }
    }

    async fn store(&self, letters: &[AddressedRecord]) -> Result<()> {
        let state = StateRecord {
            history: self.history,
            sequence: Sequence::ZERO,
            data: Bytes::new(),
        };
        self.persistence.store(LETTERS, letters, &state).await
    }
}

/// Where letters are stored.
fn address() -> Result<MapAddress> {
    Ok(MapAddress {
        namespace: Namespace::default(),
        map: MapName::new(MAP)?,
    })
}

/// What the ids of a partition's letters begin with.
fn prefix(partition: PartitionId) -> String {
    format!("{:05}-", partition.0)
}

/// The letter's own record: its sequence is that of the version in it, so that the guard of the
/// persistence holds for letters as it does for entries.
fn letter(
    partition: PartitionId,
    about: &AddressedRecord,
    value: Option<Bytes>,
) -> Result<AddressedRecord> {
    let AddressedRecord {
        address: of,
        record,
    } = about;
    let name = [
        of.namespace.as_str().as_bytes(),
        of.map.as_str().as_bytes(),
        record.key.as_bytes(),
    ]
    .join(&0);
    let id = format!(
        "{}{:032x}",
        prefix(partition),
        xxhash_rust::xxh3::xxh3_128(&name)
    );
    Ok(AddressedRecord {
        address: address()?,
        record: Record {
            key: Key::new(&id)?,
            value,
            stamp: record.stamp,
            sequence: record.sequence,
            expires_at_ms: None,
        },
    })
}

fn encode(partition: PartitionId, poison: &Poison, now_ms: u64) -> Bytes {
    let AddressedRecord { address, record } = &poison.record;
    let mut row = BytesMut::new();
    encode_record(record, &mut row);
    let mut buffer = BytesMut::new();
    let mut writer = Writer::new(&mut buffer);
    writer.tuple(FIELDS);
    writer.partition(partition);
    writer.address(address);
    writer.bytes(&row);
    writer.text(shortened(&poison.error.to_string()));
    writer.u64(now_ms);
    buffer.freeze()
}

fn decode(id: &Key, value: &Bytes) -> Result<DeadLetter> {
    let mut reader = Reader::of_row(value);
    let tuple = reader.tuple(FIELDS)?;
    let letter = DeadLetter {
        id: id.as_str().to_owned(),
        partition: reader.partition()?,
        address: reader.address()?,
        record: decode_record(&reader.bytes()?)?,
        reason: reader.text()?.to_owned(),
        refused_at_ms: reader.u64()?,
    };
    reader.end(tuple)?;
    reader.finish()?;
    Ok(letter)
}

/// The letter in a record of the partition of letters; none if the record says that it is gone.
///
/// # Errors
/// `Corrupt` when it cannot be read.
pub fn read_letter(record: &Record) -> Result<Option<DeadLetter>> {
    let value = record.value.as_ref();
    value.map(|value| decode(&record.key, value)).transpose()
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_REASON_BYTES)]
}

#[cfg(test)]
mod tests {
    use grid_core::{Error, ErrorKind};
    use grid_storage_memory::MemoryPersistence;

    use super::*;

    fn poison(key: &str) -> Poison {
        let record = Record {
            key: Key::new(key).unwrap(),
            value: Some("v".into()),
            stamp: Stamp::ZERO,
            sequence: Sequence(1),
            expires_at_ms: None,
        };
        let address = MapAddress {
            namespace: Namespace::default(),
            map: MapName::new("m").unwrap(),
        };
        Poison {
            record: AddressedRecord { address, record },
            error: Error::new(ErrorKind::Invalid, "store", "told to refuse"),
        }
    }

    #[test]
    fn a_damaged_letter_of_another_partition_is_not_read() {
        let database = MemoryPersistence::new();
        let letters = DeadLetters::new(&database, History(1));
        let (sound, sick) = (PartitionId(3), PartitionId(4));
        grid_testkit::block_on(async {
            let two = [poison("a"), poison("b")];
            letters.bury(sound, &two, 7).await.unwrap();
            let damaged = letter(sick, &poison("c").record, Some("damaged".into()));
            letters.store(&[damaged.unwrap()]).await.unwrap();
            assert_eq!(letters.of(sound).await.unwrap().len(), 2);
            let error = letters.of(sick).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        });
    }
}
