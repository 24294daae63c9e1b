//! The identity of a data set: what is fixed when it is made, and must never be mixed up.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use grid_core::codec::{Reader, Writer};
use grid_core::traits::{Append, Epoch, Journal, Persistence, Position, Runtime, StateRecord};
use grid_core::{DigestKey, Error, ErrorKind, History, PartitionId, Result, Sequence};

use crate::config::Settings;

/// The partition number under which the identity is stored; no data has it.
const IDENTITY: PartitionId = PartitionId(u16::MAX);
/// The version of the format.
const VERSION: u8 = 1;
const READ_BYTES: usize = 4096;

/// What is fixed for the life of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DataSet {
    pub(crate) history: History,
    pub(crate) digest_key: DigestKey,
    pub(crate) partition_count: u16,
    pub(crate) map_spread: u16,
}

impl DataSet {
    /// The data set of this journal and database, made now if there is none yet.
    ///
    /// # Errors
    /// `Conflict` when the two belong to different data sets, or when it was made with another
    /// partition count or spread than the settings name.
    pub(crate) async fn open(
        journal: &Arc<dyn Journal>,
        persistence: &Arc<dyn Persistence>,
        runtime: &Arc<dyn Runtime>,
        settings: &Settings,
    ) -> Result<Self> {
        let stored = match persistence.load_state(IDENTITY).await? {
            Some(state) => Some(Self::decode(&state.data)?),
            None => None,
        };
        let begin = journal.extent(IDENTITY).await?.truncated;
        let entries = journal.read(IDENTITY, begin, READ_BYTES).await?;
        let journalled = match entries.first() {
            Some(entry) => Some(Self::decode(&entry.batch)?),
            None => None,
        };
        let data_set = match (stored, journalled) {
            (Some(stored), Some(journalled)) if stored != journalled => {
                return Err(mixed_up(&stored, &journalled));
            }
            (Some(known), _) | (None, Some(known)) => known,
            (None, None) => Self {
                history: History(runtime.random()),
                digest_key: DigestKey(runtime.random()),
                partition_count: settings.partition_count,
                map_spread: settings.map_spread,
            },
        };
        check(
            "partition_count",
            data_set.partition_count,
            settings.partition_count,
        )?;
        check("map_spread", data_set.map_spread, settings.map_spread)?;
        if journalled.is_none() {
            data_set.write_to(journal).await?;
        }
        if stored.is_none() {
            data_set.store_in(persistence).await?;
        }
        Ok(data_set)
    }

    /// Writes it to the end of the journal; returns the position after which it stands.
    ///
    /// # Errors
    /// As the journal's.
    pub(crate) async fn write_to(&self, journal: &Arc<dyn Journal>) -> Result<Position> {
        let tail = journal.extent(IDENTITY).await?.tail;
        let append = Append {
            partition: IDENTITY,
            epoch: Epoch(1),
            tail,
            batch: self.encode(),
        };
        journal
            .append(vec![append])
            .await
            .into_iter()
            .next()
            .unwrap_or_else(|| {
                Err(Error::new(
                    ErrorKind::Internal,
                    "open data set",
                    "the journal gave no answer",
                ))
            })
            .map(|_| tail)
    }

    /// Lets the journal forget where the identity stood up to `through`.
    ///
    /// # Errors
    /// As the journal's.
    pub(crate) async fn forget_through(
        journal: &Arc<dyn Journal>,
        through: Position,
    ) -> Result<()> {
        journal.truncate(IDENTITY, through).await
    }

    async fn store_in(&self, persistence: &Arc<dyn Persistence>) -> Result<()> {
        let state = StateRecord {
            history: self.history,
            sequence: Sequence::ZERO,
            data: self.encode(),
        };
        persistence.store(IDENTITY, &[], &state).await
    }

    fn encode(&self) -> Bytes {
        let mut buffer = BytesMut::new();
        buffer.extend_from_slice(&[VERSION]);
        let mut writer = Writer::new(&mut buffer);
        writer.tuple(4);
        writer.history(self.history);
        writer.u64(self.digest_key.0);
        writer.u64(self.partition_count.into());
        writer.u64(self.map_spread.into());
        buffer.freeze()
    }

    fn decode(bytes: &Bytes) -> Result<Self> {
        let mut reader = Reader::of_row(bytes);
        let version = reader.raw_byte()?;
        if version != VERSION {
            return Err(Error::new(
                ErrorKind::Version,
                "open data set",
                format!(
                    "its identity has format {version}; this program reads format {VERSION}: use \
                     the version of the program that wrote it, or a later one"
                ),
            ));
        }
        let tuple = reader.tuple(4)?;
        let data_set = Self {
            history: reader.history()?,
            digest_key: DigestKey(reader.u64()?),
            partition_count: reader.u16()?,
            map_spread: reader.u16()?,
        };
        reader.end(tuple)?;
        reader.finish()?;
        Ok(data_set)
    }
}

/// Compares what a data set was made with and what the settings name.
fn check(name: &str, made_with: u16, wanted: u16) -> Result<()> {
    if made_with == wanted {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Conflict,
        "open data set",
        format!(
            "it was made with `{name}` {made_with}, and the settings say {wanted}; the number is \
             fixed for the life of a data set: set it back, or start with an empty one"
        ),
    ))
}

fn mixed_up(stored: &DataSet, journalled: &DataSet) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "open data set",
        "the journal and the database belong to different data sets; give the server the two that \
         belong together",
    )
    .with("history of the database", stored.history)
    .with("history of the journal", journalled.history)
}
