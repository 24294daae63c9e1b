//! The collections, and how a database shows which version of them it has.

use grid_core::{Error, ErrorKind, Result};
use mongodb::Database;
use mongodb::bson::{Document, doc};

use crate::document::TOMBSTONE;
use crate::error::{Asked, Meaning, from_mongo};
use crate::options::MongoOptions;

/// The records, one document each.
pub(crate) const RECORDS: &str = "records";
/// The state records, one document for each partition.
pub(crate) const STATES: &str = "states";
/// One document that names the version of the others.
const SCHEMA: &str = "schema";
const SCHEMA_ID: &str = "hybrid-grid";

/// The version of the documents.
const VERSION: i32 = 1;
/// The code of a document that stands already.
const DUPLICATE: i32 = 11_000;

const OPERATION: &str = "open mongodb";

/// Makes sure that the database is of this version; a new one becomes so. Several servers may do
/// so at once.
pub(crate) async fn prepare(database: &Database, place: &MongoOptions) -> Result<()> {
    let found = match version(database, place).await? {
        Some(found) => found,
        None => {
            create(database, place).await?;
            // Whoever was first has decided it.
            version(database, place).await?.unwrap_or(VERSION)
        }
    };
    if found != VERSION {
        return Err(Error::new(
            ErrorKind::Version,
            OPERATION,
            format!(
                "the database has schema version {found}, this program knows version {VERSION}; \
                 use the program that wrote it, or another database"
            ),
        )
        .with("database", place));
    }
    Ok(())
}

async fn version(database: &Database, place: &MongoOptions) -> Result<Option<i32>> {
    let found = database
        .collection::<Document>(SCHEMA)
        .find_one(doc! { "_id": SCHEMA_ID })
        .await
        .map_err(|error| from_mongo(OPERATION, place, Asked::ToServe, &error))?;
    let Some(found) = found else {
        return Ok(None);
    };
    found.get_i32("version").map(Some).map_err(|source| {
        Error::new(
            ErrorKind::Corrupt,
            OPERATION,
            "the database does not tell the version of its documents; restore it from a backup",
        )
        .with("database", place)
        .with_source(source)
    })
}

async fn create(database: &Database, place: &MongoOptions) -> Result<()> {
    let index = doc! {
        "createIndexes": RECORDS,
        "indexes": [{
            "key": { "partition": 1, "sequence": 1 },
            "name": "tombstones",
            "partialFilterExpression": { "kind": TOMBSTONE },
        }],
    };
    let failed = |error| from_mongo(OPERATION, place, Asked::ToServe, &error);
    database.run_command(index).await.map_err(failed)?;
    // Last: who finds the version finds the rest.
    let version = doc! {
        "insert": SCHEMA,
        "documents": [{ "_id": SCHEMA_ID, "version": VERSION }],
        "writeConcern": { "w": "majority", "j": true },
    };
    let answer = database.run_command(version).await.map_err(failed)?;
    let refused = answer.get_array("writeErrors").into_iter().flatten();
    for error in refused {
        let code = error
            .as_document()
            .and_then(|error| error.get_i32("code").ok());
        if code != Some(DUPLICATE) {
            let meaning = Meaning::of_code(code.unwrap_or_default(), Asked::ToServe);
            return Err(meaning.error(OPERATION, place));
        }
    }
    Ok(())
}
