//! What a file of the grid looks like, and how a file shows whose it is.

use std::path::Path;

use grid_core::{Error, ErrorKind, Result};
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::error::from_sqlx;

/// One kind of file, told from others by SQLite's application id.
#[derive(Debug)]
pub(crate) struct Schema {
    /// What the file is, for messages.
    pub(crate) what: &'static str,
    /// Four letters in the header of the file.
    pub(crate) application_id: u32,
    /// The version of `tables`.
    pub(crate) version: u32,
    /// The statements that make a new file.
    pub(crate) tables: &'static str,
}

/// A client's local store. Tables are told apart by `space`: `meta`, `log`, or `map:` and a name.
pub(crate) static STORE: Schema = Schema {
    what: "a client's local store",
    application_id: u32::from_be_bytes(*b"GRst"),
    version: 1,
    tables: "
        CREATE TABLE entries (
            space TEXT NOT NULL,
            key BLOB NOT NULL,
            value BLOB NOT NULL,
            PRIMARY KEY (space, key)
        ) STRICT, WITHOUT ROWID;
    ",
};

/// A server's system of record. Numbers without sign are kept as the signed number of the same
/// bits, except sequences, which are compared and stay below 2^63. No value is a tombstone.
pub(crate) static RECORDS: Schema = Schema {
    what: "a server's system of record",
    application_id: u32::from_be_bytes(*b"GRre"),
    version: 1,
    tables: "
        CREATE TABLE records (
            partition INTEGER NOT NULL,
            namespace TEXT NOT NULL,
            map TEXT NOT NULL,
            key TEXT NOT NULL,
            history INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            hlc INTEGER NOT NULL,
            run INTEGER NOT NULL,
            number INTEGER NOT NULL,
            expires_at_ms INTEGER,
            value BLOB,
            PRIMARY KEY (partition, namespace, map, key)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX tombstones ON records (partition, sequence) WHERE value IS NULL;
        CREATE TABLE states (
            partition INTEGER NOT NULL PRIMARY KEY,
            history INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            data BLOB NOT NULL
        ) STRICT;
    ",
};

impl Schema {
    /// Makes sure that the file is of this kind and version; an empty file becomes one. Changes
    /// nothing in a file that is something else.
    pub(crate) async fn prepare(
        &self,
        connection: &mut SqliteConnection,
        path: &Path,
    ) -> Result<()> {
        let failed = |error| from_sqlx("open sqlite", path, error);
        let (application_id, version, tables): (u32, u32, i64) = sqlx::query_as(
            "SELECT (SELECT application_id FROM pragma_application_id),
                    (SELECT user_version FROM pragma_user_version),
                    (SELECT count(*) FROM sqlite_schema)",
        )
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
        if application_id == self.application_id {
            return self.check_version(version, path);
        }
        if application_id != 0 || version != 0 || tables != 0 {
            return Err(self.foreign(application_id, path));
        }
        self.create(connection).await.map_err(failed)
    }

    async fn create(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let Self {
            application_id,
            version,
            tables,
            ..
        } = self;
        let statements = format!(
            "BEGIN IMMEDIATE; {tables}
             PRAGMA application_id = {application_id}; PRAGMA user_version = {version}; COMMIT;"
        );
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(connection)
            .await?;
        Ok(())
    }

    fn check_version(&self, version: u32, path: &Path) -> Result<()> {
        if version == self.version {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Version,
            "open sqlite",
            format!(
                "the file has schema version {version}, this program knows version {}; use the \
                 program that wrote it, or another file",
                self.version
            ),
        )
        .with("path", path.display()))
    }

    fn foreign(&self, application_id: u32, path: &Path) -> Error {
        let found = [&STORE, &RECORDS]
            .into_iter()
            .find(|schema| schema.application_id == application_id)
            .map_or("a database of another program", |schema| schema.what);
        Error::new(
            ErrorKind::Invalid,
            "open sqlite",
            format!("the file is {found}, not {}; name another file", self.what),
        )
        .with("path", path.display())
    }
}
