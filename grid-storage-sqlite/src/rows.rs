//! Statements over many rows at once.
//!
//! Each statement costs a round trip to the connection's thread, which is more than SQLite needs
//! for a row. So rows go by the hundred (measured: 5 times the rate of one by one; 32 rows to a
//! statement give half of that, 512 no more). The sizes are powers of two, so that few statements
//! have to be prepared.

use std::sync::{Arc, OnceLock};

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite};

/// log2 of the most rows in one statement.
const LARGEST: usize = 7;

/// The texts of one statement for 1, 2, 4, … rows.
#[derive(Debug)]
pub(crate) struct ManyRows {
    text: fn(rows: usize) -> String,
    by_size: [OnceLock<Arc<str>>; LARGEST + 1],
}

impl ManyRows {
    /// `text` gives the statement for a number of rows.
    pub(crate) const fn new(text: fn(rows: usize) -> String) -> Self {
        Self {
            text,
            by_size: [const { OnceLock::new() }; LARGEST + 1],
        }
    }

    /// The statement for `rows` rows.
    #[cfg(test)]
    pub(crate) fn text(&self, rows: usize) -> String {
        (self.text)(rows)
    }

    /// Splits `rows` into the parts that one statement each can take.
    pub(crate) fn split<'a, T>(
        &'a self,
        rows: &'a [T],
    ) -> impl Iterator<Item = (Query<'static, Sqlite, SqliteArguments>, &'a [T])> {
        let mut rest = rows;
        std::iter::from_fn(move || {
            let size = (rest.len().checked_ilog2()? as usize).min(LARGEST);
            let (part, after) = rest.split_at(1 << size);
            rest = after;
            let text = self.by_size[size].get_or_init(|| (self.text)(1 << size).into());
            Some((sqlx::query(AssertSqlSafe(Arc::clone(text))), part))
        })
    }
}

/// `row` repeated `rows` times, with commas between.
pub(crate) fn repeated(row: &str, rows: usize) -> String {
    vec![row; rows].join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_powers_of_two_and_cover_every_row_in_order() {
        let statement = ManyRows::new(|rows| format!("VALUES {}", repeated("(?)", rows)));
        for count in [0, 1, 2, 3, 7, 8, 127, 128, 129, 1_000] {
            let rows: Vec<usize> = (0..count).collect();
            let parts: Vec<&[usize]> = statement.split(&rows).map(|(_, part)| part).collect();
            assert_eq!(parts.concat(), rows);
            assert!(parts.iter().all(|part| part.len().is_power_of_two()));
            assert!(parts.iter().all(|part| part.len() <= 1 << LARGEST));
        }
        assert_eq!(repeated("(?,?)", 3), "(?,?),(?,?),(?,?)");
    }
}
