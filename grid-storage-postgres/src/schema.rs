//! The tables, and how a database is brought to the version that this program knows.

use grid_core::{Error, ErrorKind, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::error::{Asked, from_sqlx};
use crate::options::PostgresOptions;

/// Brings a schema from each version to the next; the first from nothing.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_records.sql")];

/// Tells our advisory locks from those of others: "grid" in ASCII.
const LOCK: i32 = 0x6772_6964;

const OPERATION: &str = "open postgres";

/// Makes sure that the schema is there and of this version. Of several servers that start at once
/// one does the work, the others wait.
pub(crate) async fn prepare(
    connection: &mut PgConnection,
    options: &PostgresOptions,
) -> Result<()> {
    let failed = |error| from_sqlx(OPERATION, options, Asked::ToServe, &error);
    let mut transaction = connection.begin().await.map_err(failed)?;
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    let found = begin(&mut transaction, options.schema())
        .await
        .map_err(failed)?;
    if found > known {
        return Err(Error::new(
            ErrorKind::Version,
            OPERATION,
            format!(
                "the schema has version {found}, this program knows version {known}; use the \
                 program that wrote it, or another schema"
            ),
        )
        .with("database", options));
    }
    if found == 0 {
        refuse_foreign(&mut transaction, options).await?;
    }
    if found < known {
        migrate(&mut transaction, found).await.map_err(failed)?;
        tracing::info!(database = %options, from = found, to = known, "the schema is brought up");
    }
    transaction.commit().await.map_err(failed)
}

/// Takes the lock, makes the schema if it is missing, and returns its version; 0 is none yet.
async fn begin(connection: &mut PgConnection, schema: &str) -> Result<i32, sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1, hashtext($2))")
        .bind(LOCK)
        .bind(schema)
        .execute(&mut *connection)
        .await?;
    // Asked first: making one that is there needs a right that its owner need not give us.
    let there: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)")
            .bind(schema)
            .fetch_one(&mut *connection)
            .await?;
    if !there {
        let create = format!("CREATE SCHEMA {schema}");
        sqlx::raw_sql(AssertSqlSafe(create))
            .execute(&mut *connection)
            .await?;
    }
    let enter = format!("SET LOCAL search_path TO {schema}");
    sqlx::raw_sql(AssertSqlSafe(enter))
        .execute(&mut *connection)
        .await?;
    let versioned: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(format!("{schema}.schema_version"))
        .fetch_one(&mut *connection)
        .await?;
    if !versioned {
        return Ok(0);
    }
    let version: Option<i32> = sqlx::query_scalar("SELECT max(version) FROM schema_version")
        .fetch_one(connection)
        .await?;
    Ok(version.unwrap_or(0))
}

/// A schema that holds somebody else's tables stays as it is.
async fn refuse_foreign(connection: &mut PgConnection, options: &PostgresOptions) -> Result<()> {
    let taken: Option<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace($1)
         AND relname IN ('records', 'states', 'entries', 'schema_version') LIMIT 1",
    )
    .bind(options.schema())
    .fetch_optional(connection)
    .await
    .map_err(|error| from_sqlx(OPERATION, options, Asked::ToServe, &error))?;
    match taken {
        None => Ok(()),
        // Not `Invalid`: a call that comes first to a new database is about records.
        Some(table) => Err(Error::new(
            ErrorKind::Conflict,
            OPERATION,
            format!(
                "the schema holds a table `{table}` that is not the grid's; name another with \
                 `schema=`"
            ),
        )
        .with("database", options)),
    }
}

async fn migrate(connection: &mut PgConnection, found: i32) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS schema_version (
             version integer NOT NULL PRIMARY KEY,
             applied_at timestamptz NOT NULL DEFAULT now()
         )",
    )
    .execute(&mut *connection)
    .await?;
    let from = usize::try_from(found).unwrap_or(0);
    for (statements, version) in MIGRATIONS.iter().zip(1_i32..).skip(from) {
        sqlx::raw_sql(*statements).execute(&mut *connection).await?;
        sqlx::query("INSERT INTO schema_version (version) VALUES ($1)")
            .bind(version)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
