//! The identity of a data set: what is fixed when it is made, and must never be mixed up.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use grid_core::codec::{Reader, Writer};
use grid_core::traits::{Append, Epoch, Journal, Persistence, Position, Runtime, StateRecord};
use grid_core::{DigestKey, Error, ErrorKind, History, PartitionId, Result, Sequence};

use crate::config::Settings;

/// The partition number under which the identity is stored; no data has it.
const IDENTITY: PartitionId = PartitionId::IDENTITY;
/// The version of the format.
const VERSION: u8 = 1;
const READ_BYTES: usize = 4096;
/// How often the identity is read again because another server has moved it.
const MAX_READ_TRIES: usize = 16;

/// What is fixed for the life of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DataSet {
    pub(crate) history: History,
    pub(crate) digest_key: DigestKey,
    pub(crate) partition_count: u16,
    pub(crate) map_spread: u16,
    /// Whether it began in this journal, with nothing: then a partition of which the journal has
    /// everything can be served without the database. A new history begins with what the database
    /// has.
    pub(crate) begun_here: bool,
}

/// What a database says of the data set that it belongs to.
#[derive(Debug)]
enum Stored {
    Nothing,
    DataSet(DataSet),
    /// It cannot be asked now.
    Away(Error),
}

/// What a journal and a database say of the data set that they belong to.
#[derive(Debug)]
pub(crate) struct Found {
    stored: Stored,
    journalled: Option<DataSet>,
    /// Where the journal's identity ends.
    tail: Position,
}

impl Found {
    /// Reads what there is, and changes nothing. A database that cannot be reached now says
    /// nothing.
    ///
    /// # Errors
    /// As those of the journal and the persistence, where a retry does not help.
    pub(crate) async fn read(
        journal: &Arc<dyn Journal>,
        persistence: &Arc<dyn Persistence>,
    ) -> Result<Self> {
        let stored = match persistence.load_state(IDENTITY).await {
            Ok(Some(state)) => Stored::DataSet(DataSet::decode(&state.data)?),
            Ok(None) => Stored::Nothing,
            Err(error) if error.is_retryable() => Stored::Away(error),
            Err(error) => return Err(error),
        };
        let (last, tail) = last_identity(journal).await?;
        let journalled = last.as_ref().map(DataSet::decode).transpose()?;
        Ok(Self {
            stored,
            journalled,
            tail,
        })
    }

    /// Whether the database says nothing.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self.stored, Stored::Away(_))
    }

    /// The data set that journal and database agree on, or a new one where there is none yet; the
    /// journal's, where the database says nothing.
    ///
    /// # Errors
    /// `Diverged` when they do not agree; `Conflict` when the data set was made with another
    /// partition count or spread than the settings name; `Unavailable` when the journal has none
    /// and the database says nothing.
    pub(crate) fn data_set(&self, runtime: &dyn Runtime, settings: &Settings) -> Result<DataSet> {
        let data_set = match (&self.stored, self.journalled) {
            (Stored::DataSet(stored), Some(journalled)) if *stored != journalled => {
                return Err(mixed_up(stored, &journalled));
            }
            // The journal has it first, and never less than once.
            (Stored::DataSet(stored), None) => return Err(journal_lost(stored)),
            (_, Some(known)) => known,
            (Stored::Away(error), None) => return Err(unknown(error)),
            (Stored::Nothing, None) => DataSet {
                history: History(runtime.random()),
                digest_key: DigestKey(runtime.random()),
                partition_count: settings.partition_count,
                map_spread: settings.map_spread,
                begun_here: true,
            },
        };
        data_set.check(settings)?;
        Ok(data_set)
    }

    /// Makes the journal know `data_set`, if it does not. Called once it is certain that journal
    /// and database belong together.
    ///
    /// # Errors
    /// As those of the journal; `Unavailable` when another server has made a data set meanwhile.
    pub(crate) async fn complete_journal(
        &self,
        data_set: &DataSet,
        journal: &Arc<dyn Journal>,
    ) -> Result<()> {
        if self.journalled.is_some() {
            return Ok(());
        }
        match data_set.append_to(journal, self.tail).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let message = "another server has just made the data set; start again";
                Err(Error::new(ErrorKind::Unavailable, "open data set", message))
            }
            written => written.map(|_| ()),
        }
    }

    /// Makes the database know `data_set`, if it does not; after [`Found::complete_journal`].
    ///
    /// # Errors
    /// As those of the persistence; why it says nothing, if it does not.
    pub(crate) async fn complete_database(
        self,
        data_set: &DataSet,
        persistence: &Arc<dyn Persistence>,
    ) -> Result<()> {
        match self.stored {
            Stored::Nothing => data_set.store_in(persistence).await,
            Stored::DataSet(_) => Ok(()),
            Stored::Away(error) => Err(error),
        }
    }

    /// Checks that there is something to begin a new history on.
    ///
    /// # Errors
    /// `Conflict` when neither journal nor database holds a data set, `Unavailable` when the
    /// database says nothing.
    pub(crate) fn check_not_empty(&self) -> Result<()> {
        match (&self.stored, self.journalled) {
            (Stored::Nothing, None) => Err(nothing_to_begin_on()),
            (Stored::Away(error), _) => Err(Error::new(
                ErrorKind::Unavailable,
                "begin history",
                format!("the database is to be the truth, and says nothing: {error}"),
            )),
            _ => Ok(()),
        }
    }

    /// The data set of the database.
    ///
    /// # Errors
    /// `Conflict` when the database holds none, or one that was made with other numbers than the
    /// settings name; `Unavailable` when it says nothing.
    pub(crate) fn stored(self, settings: &Settings) -> Result<DataSet> {
        match self.stored {
            Stored::DataSet(stored) => stored.check(settings).map(|()| stored),
            Stored::Nothing => Err(nothing_to_begin_on()),
            Stored::Away(error) => Err(error),
        }
    }
}

/// The identity in the journal, and where it ends. After a crash there may be several, of which the
/// last counts.
async fn last_identity(journal: &Arc<dyn Journal>) -> Result<(Option<Bytes>, Position)> {
    let mut tries = 0;
    let (mut last, mut at) = (None, journal.extent(IDENTITY).await?.truncated);
    loop {
        let entries = match journal.read(IDENTITY, at, READ_BYTES).await {
            // Another server has moved it on meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound && tries < MAX_READ_TRIES => {
                tries += 1;
                at = journal.extent(IDENTITY).await?.truncated;
                continue;
            }
            entries => entries?,
        };
        let Some(entry) = entries.into_iter().next_back() else {
            return Ok((last, at));
        };
        at = entry.position;
        last = Some(entry.batch);
    }
}

fn nothing_to_begin_on() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "begin history",
        "the database is empty, and a new history would begin with nothing: give the server the \
         database that is meant to be the truth, or start anew with an empty data folder and \
         without the order",
    )
}

impl DataSet {
    fn check(&self, settings: &Settings) -> Result<()> {
        check(
            "partition_count",
            self.partition_count,
            settings.partition_count,
        )?;
        check("map_spread", self.map_spread, settings.map_spread)
    }

    /// Writes it to the end of the journal; returns the position after which it stands.
    ///
    /// # Errors
    /// As the journal's.
    pub(crate) async fn write_to(&self, journal: &Arc<dyn Journal>) -> Result<Position> {
        let tail = journal.extent(IDENTITY).await?.tail;
        self.append_to(journal, tail).await
    }

    async fn append_to(&self, journal: &Arc<dyn Journal>, tail: Position) -> Result<Position> {
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

    /// Makes it the database's.
    ///
    /// # Errors
    /// As the persistence's.
    pub(crate) async fn store_in(&self, persistence: &Arc<dyn Persistence>) -> Result<()> {
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
        writer.tuple(5);
        writer.history(self.history);
        writer.u64(self.digest_key.0);
        writer.u64(self.partition_count.into());
        writer.u64(self.map_spread.into());
        writer.u64(self.begun_here.into());
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
        let mut tuple = reader.tuple(4)?;
        let mut data_set = Self {
            history: reader.history()?,
            digest_key: DigestKey(reader.u64()?),
            partition_count: reader.u16()?,
            map_spread: reader.u16()?,
            begun_here: false,
        };
        let begun_here = reader.trailing(&mut tuple, Reader::u64)?;
        data_set.begun_here = begun_here == Some(1);
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

/// What an operator can do about it, for errors of kind `Diverged`.
pub(crate) const WHAT_TO_DO: &str = "give the server the two that belong together; if the \
     database was restored from a backup, or the journal is lost, order a new history, with the \
     database as the truth: start `grid-server` once with --new-history";

fn mixed_up(stored: &DataSet, journalled: &DataSet) -> Error {
    let other_history = DataSet {
        history: stored.history,
        begun_here: stored.begun_here,
        ..*journalled
    };
    let what = if other_history == *stored {
        "the journal and the database are of different histories of one data set: one of them was \
         restored from a backup, or a new history was ordered and not completed"
    } else {
        "the journal and the database belong to different data sets"
    };
    Error::new(
        ErrorKind::Diverged,
        "open data set",
        format!("{what}; {WHAT_TO_DO}"),
    )
    .with("history of the database", stored.history)
    .with("history of the journal", journalled.history)
}

/// The database cannot be asked, and nobody else knows what it holds.
fn unknown(away: &Error) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "open data set",
        format!(
            "the journal is new, and whether the database (`persistence`) holds a data set already \
             is not known: {away}; start again when it is back"
        ),
    )
}

fn journal_lost(stored: &DataSet) -> Error {
    Error::new(
        ErrorKind::Diverged,
        "open data set",
        format!(
            "the journal is empty, and the database holds a data set already: another server may \
             be using this database, with the journal that belongs to it, which a new history would \
             end; look for it first, for the order is only for a journal that is lost; {WHAT_TO_DO}"
        ),
    )
    .with("history of the database", stored.history)
}
