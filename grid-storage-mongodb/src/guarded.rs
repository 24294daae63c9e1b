//! Writing documents under the guard, each by operations on itself alone.
//!
//! The first try is an upsert whose filter is half of the guard: this id, with a sequence that is
//! not higher. Where that finds nothing it inserts, and the id, which is unique, refuses that if
//! the document stands with a higher sequence. Such a refusal is rare, and says little: the
//! document may be newer, or of another history, or of an overlapping call that was a moment
//! quicker. So those are tried again as plain updates with each half of the guard; what matches
//! neither is newer.

use std::collections::{BTreeSet, VecDeque};

use futures::TryStreamExt;
use grid_core::limits::LATE_STORE_MS;
use grid_core::{Error, Result};
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{ReadConcern, ReadPreference, SelectionCriteria};

use crate::document::Guarded;
use crate::error::{Asked, Meaning, from_mongo};
use crate::options::{ANSWERS, MongoOptions};

/// Most documents in one command.
const MAX_COMMAND_DOCUMENTS: usize = 1_000;
/// The size that a command stays below, in bytes; MongoDB takes 16 MiB.
const MAX_COMMAND_BYTES: usize = 12 * 1024 * 1024;
/// How long the server may take for one command, in milliseconds: as long as a call has for all.
const MAX_TIME_MS: i64 = {
    let limit = ANSWERS.as_secs() * 1_000;
    assert!(limit * 3 <= LATE_STORE_MS);
    limit.cast_signed()
};
/// How often a document is tried whose id is refused although it is not there: once more, because
/// somebody may just have removed its tombstone.
const TRIES: usize = 2;
/// The code of a document that a unique index refuses.
const DUPLICATE: i32 = 11_000;

/// Writes into one collection.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) database: &'a Database,
    pub(crate) collection: &'static str,
    pub(crate) place: &'a MongoOptions,
    /// What the caller does, for errors.
    pub(crate) operation: &'static str,
}

impl Writer<'_> {
    /// Writes all of `documents` that the guard lets through; in any order.
    pub(crate) async fn write(&self, documents: &[Guarded]) -> Result<()> {
        let mut rest = documents;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(fitting(rest.iter().map(|document| document.bytes)));
            self.write_part(part).await?;
            rest = after;
        }
        Ok(())
    }

    async fn write_part(&self, documents: &[Guarded]) -> Result<()> {
        let mut pending: Vec<&Guarded> = documents.iter().collect();
        for _ in 0..TRIES {
            let upserts = pending.iter().map(|document| {
                doc! {
                    "q": { "_id": &document.id, "sequence": { "$lte": document.sequence } },
                    "u": document.update(),
                    "upsert": true,
                }
            });
            let standing = self.update(upserts.collect()).await?;
            pending = pending
                .into_iter()
                .enumerate()
                .filter(|(index, _)| standing.contains(index))
                .map(|(_, document)| document)
                .collect();
            if pending.is_empty() {
                return Ok(());
            }
            self.replace(&pending).await?;
            let there = self.present(&pending).await?;
            pending.retain(|document| !there.contains(&document.id));
            if pending.is_empty() {
                return Ok(());
            }
        }
        Err(self.refused())
    }

    /// Replaces documents that stand, where either half of the guard lets it through.
    async fn replace(&self, documents: &[&Guarded]) -> Result<()> {
        let mut halves: VecDeque<(usize, Document)> = documents
            .iter()
            .flat_map(|document| {
                let update = document.update();
                let other_history = doc! {
                    "q": { "_id": &document.id, "history": { "$ne": &document.history } },
                    "u": update.clone(),
                };
                let not_later = doc! {
                    "q": { "_id": &document.id, "sequence": { "$lte": document.sequence } },
                    "u": update,
                };
                [(document.bytes, other_history), (document.bytes, not_later)]
            })
            .collect();
        while !halves.is_empty() {
            let count = fitting(halves.iter().map(|(bytes, _)| *bytes));
            let part = halves.drain(..count).map(|(_, update)| update).collect();
            if !self.update(part).await?.is_empty() {
                return Err(self.refused());
            }
        }
        Ok(())
    }

    /// Something else than the id refuses a document: an index of the user's.
    fn refused(&self) -> Error {
        Meaning::of_code(DUPLICATE, Asked::ToChangeRecords)
            .error(self.operation, self.place)
            .with("collection", self.collection)
    }

    /// Which of the documents stand, for the server that just refused others in their place: one
    /// that no majority has yet is there, and not to see it would blame an index of the user's.
    async fn present(&self, documents: &[&Guarded]) -> Result<BTreeSet<String>> {
        let failed = |error| from_mongo(self.operation, self.place, Asked::ToServe, &error);
        let ids: Vec<&str> = documents.iter().map(|document| &*document.id).collect();
        let found: Vec<Document> = self
            .database
            .collection::<Document>(self.collection)
            .find(doc! { "_id": { "$in": ids } })
            .projection(doc! { "_id": 1 })
            .read_concern(ReadConcern::local())
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
            .await
            .map_err(failed)?
            .try_collect()
            .await
            .map_err(failed)?;
        let id = |document: &Document| document.get_str("_id").map(str::to_owned).ok();
        Ok(found.iter().filter_map(id).collect())
    }

    /// Runs the updates; returns the indexes of those that a unique index refused.
    async fn update(&self, updates: Vec<Document>) -> Result<BTreeSet<usize>> {
        let command = doc! { "update": self.collection, "updates": updates, "ordered": false };
        self.run(command).await
    }

    /// Removes all documents that match.
    pub(crate) async fn remove(&self, filter: Document) -> Result<()> {
        let all = doc! { "q": filter, "limit": 0 };
        let command = doc! { "delete": self.collection, "deletes": [all] };
        self.run(command).await.map(|_| ())
    }

    /// Runs a command that writes; returns the indexes of what a unique index refused.
    async fn run(&self, mut command: Document) -> Result<BTreeSet<usize>> {
        command.insert("writeConcern", doc! { "w": "majority", "j": true });
        // The call fails no later. MongoDB may go on with a command whose client is gone, and
        // nothing may be stored later than `LATE_STORE_MS` after that.
        command.insert("maxTimeMS", MAX_TIME_MS);
        let answer = self.database.run_command(command).await.map_err(|error| {
            from_mongo(self.operation, self.place, Asked::ToChangeRecords, &error)
        })?;
        self.read(&answer)
    }

    fn read(&self, answer: &Document) -> Result<BTreeSet<usize>> {
        let mut refused = BTreeSet::new();
        let mut first: Option<(u8, Error)> = None;
        for error in answer.get_array("writeErrors").into_iter().flatten() {
            let (index, code) = fields(error);
            if code == DUPLICATE {
                refused.insert(index);
                continue;
            }
            let meaning = Meaning::of_code(code, Asked::ToChangeRecords);
            let precedence = meaning.precedence();
            if first.as_ref().is_none_or(|(best, _)| precedence < *best) {
                let made = meaning.error(self.operation, self.place).with("code", code);
                first = Some((precedence, made.with("collection", self.collection)));
            }
        }
        if let Ok(error) = answer.get_document("writeConcernError") {
            let code = error.get_i32("code").unwrap_or_default();
            let made = Meaning::of_write_concern(code).error(self.operation, self.place);
            return Err(made.with("code", code));
        }
        match first {
            Some((_, error)) => Err(error),
            None => Ok(refused),
        }
    }
}

/// Which update of a command an error is about, and its code.
fn fields(error: &Bson) -> (usize, i32) {
    let number = |field: &str| {
        let value = error.as_document().and_then(|error| error.get(field));
        match value {
            Some(Bson::Int32(number)) => i64::from(*number),
            Some(Bson::Int64(number)) => *number,
            _ => 0,
        }
    };
    let index = usize::try_from(number("index")).unwrap_or_default();
    (index, i32::try_from(number("code")).unwrap_or_default())
}

/// How many updates of these sizes one command takes: at least one.
fn fitting(sizes: impl Iterator<Item = usize>) -> usize {
    let mut total = 0;
    let count = sizes
        .take(MAX_COMMAND_DOCUMENTS)
        .take_while(|bytes| {
            total += bytes;
            total <= MAX_COMMAND_BYTES
        })
        .count();
    count.max(1)
}

#[cfg(test)]
mod tests;
