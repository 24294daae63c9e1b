//! How a batch of a local store is written.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::traits::{Batch, Precondition, Table, Write};
use grid_core::{Error, ErrorKind};
use sqlx::SqliteConnection;

use crate::rows::{ManyRows, repeated};
use crate::writer::{Job, Outcome};

static PUT: ManyRows = ManyRows::new(|rows| {
    format!(
        "INSERT INTO entries (space, key, value) VALUES {}
         ON CONFLICT (space, key) DO UPDATE SET value = excluded.value",
        repeated("(?,?,?)", rows)
    )
});

static DELETE: ManyRows = ManyRows::new(|rows| {
    format!(
        "DELETE FROM entries WHERE (space, key) IN (VALUES {})",
        repeated("(?,?)", rows)
    )
});

const DELETE_RANGE: &str = "DELETE FROM entries WHERE space = ?1 AND key >= ?2 AND key < ?3";

/// The column that tells a table from others.
pub(crate) fn space(table: &Table) -> Arc<str> {
    match table {
        Table::Meta => "meta".into(),
        Table::Log => "log".into(),
        Table::Records(map) => format!("map:{map}").into(),
    }
}

/// One batch.
#[derive(Debug)]
pub(crate) struct BatchJob {
    batch: Batch,
}

impl BatchJob {
    pub(crate) fn new(batch: Batch) -> Self {
        Self { batch }
    }
}

#[async_trait]
impl Job for BatchJob {
    fn operation(&self) -> &'static str {
        "apply batch"
    }

    fn bytes(&self) -> usize {
        let bytes = |write: &Write| match write {
            Write::Put { key, value, .. } => key.len() + value.len(),
            Write::Delete { key, .. } => key.len(),
            Write::DeleteRange { from, .. } => from.len(),
        };
        self.batch.writes.iter().map(bytes).sum()
    }

    async fn run(&self, connection: &mut SqliteConnection) -> Result<Outcome, sqlx::Error> {
        if let Some(precondition) = &self.batch.precondition
            && !holds(precondition, connection).await?
        {
            return Ok(Outcome::Refused(conflict(precondition)));
        }
        let mut spaces = Spaces::default();
        // Writes of one sort that follow one another go together, whatever their tables.
        let sorts = |a: &Write, b: &Write| std::mem::discriminant(a) == std::mem::discriminant(b);
        for run in self.batch.writes.chunk_by(sorts) {
            match run.first() {
                Some(Write::Put { .. }) => put(run, &mut spaces, connection).await?,
                Some(Write::Delete { .. }) => delete(run, &mut spaces, connection).await?,
                _ => delete_ranges(run, &mut spaces, connection).await?,
            }
        }
        Ok(Outcome::Done)
    }
}

/// The space of the table that was met last: neighbours mostly share it.
#[derive(Debug, Default)]
struct Spaces<'a> {
    last: Option<(&'a Table, Arc<str>)>,
}

impl<'a> Spaces<'a> {
    fn of(&mut self, table: &'a Table) -> Arc<str> {
        match &self.last {
            Some((last, space)) if *last == table => Arc::clone(space),
            _ => {
                let space = space(table);
                self.last = Some((table, Arc::clone(&space)));
                space
            }
        }
    }
}

async fn holds(
    precondition: &Precondition,
    connection: &mut SqliteConnection,
) -> Result<bool, sqlx::Error> {
    let value: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT value FROM entries WHERE space = ? AND key = ?")
            .bind(space(&Table::Meta))
            .bind(&*precondition.key)
            .fetch_optional(connection)
            .await?;
    Ok(value.as_deref() == precondition.equals.as_deref())
}

fn conflict(precondition: &Precondition) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "apply batch",
        "the precondition does not hold; read the key again",
    )
    .with("key", precondition.key.escape_ascii())
}

async fn put<'a>(
    run: &'a [Write],
    spaces: &mut Spaces<'a>,
    connection: &mut SqliteConnection,
) -> Result<(), sqlx::Error> {
    for (mut query, part) in PUT.split(run) {
        for write in part {
            if let Write::Put { table, key, value } = write {
                query = query.bind(spaces.of(table)).bind(&**key).bind(&**value);
            }
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn delete<'a>(
    run: &'a [Write],
    spaces: &mut Spaces<'a>,
    connection: &mut SqliteConnection,
) -> Result<(), sqlx::Error> {
    for (mut query, part) in DELETE.split(run) {
        for write in part {
            if let Write::Delete { table, key } = write {
                query = query.bind(spaces.of(table)).bind(&**key);
            }
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn delete_ranges<'a>(
    run: &'a [Write],
    spaces: &mut Spaces<'a>,
    connection: &mut SqliteConnection,
) -> Result<(), sqlx::Error> {
    for write in run {
        if let Write::DeleteRange { table, from, to } = write {
            delete_range(spaces.of(table), from, to.as_ref(), connection).await?;
        }
    }
    Ok(())
}

async fn delete_range(
    space: Arc<str>,
    from: &Bytes,
    to: Option<&Bytes>,
    connection: &mut SqliteConnection,
) -> Result<(), sqlx::Error> {
    let query = match to {
        Some(to) => sqlx::query(DELETE_RANGE)
            .bind(space)
            .bind(&**from)
            .bind(&**to),
        None => sqlx::query("DELETE FROM entries WHERE space = ?1 AND key >= ?2")
            .bind(space)
            .bind(&**from),
    };
    query.execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::tests::plan;
    use crate::schema::STORE;

    #[test]
    fn deleting_searches_and_never_scans_the_table() {
        for sql in [DELETE.text(4), DELETE_RANGE.to_owned()] {
            let plan = plan(&STORE, &sql);
            assert!(plan.contains("SEARCH entries USING PRIMARY KEY"), "{plan}");
            assert!(!plan.contains("SCAN entries"), "{plan}");
        }
    }
}
