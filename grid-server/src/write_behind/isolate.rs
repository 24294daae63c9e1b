//! Finding the records of a batch that the database refuses for good.

use grid_core::traits::{AddressedRecord, Persistence, StateRecord};
use grid_core::{Error, ErrorKind, PartitionId, Result};

/// A record that the database refuses, and what it says.
#[derive(Debug)]
pub(super) struct Poison {
    pub(super) record: AddressedRecord,
    pub(super) error: Error,
}

/// Whether the error is about what was to be stored, so that storing it again cannot help. All
/// other errors are the database's own: they are waited out, and nothing is given up for them.
pub(super) fn is_poison(error: &Error) -> bool {
    let about_records = matches!(
        error.kind(),
        ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::Unsupported
    );
    about_records && !error.is_retryable()
}

/// Stores what can be stored of `records`, of which the database has refused some; returns those
/// that it refuses each on its own. `before` is the state record that the database has, for the
/// state must not get ahead of the records.
///
/// With n records of which p are refused, the database is called about 2·p·log2(n) times.
///
/// # Errors
/// As those of the persistence, where they are not about the records.
pub(super) async fn isolate(
    persistence: &dyn Persistence,
    partition: PartitionId,
    records: &[AddressedRecord],
    before: &StateRecord,
) -> Result<Vec<Poison>> {
    let mut poison = Vec::new();
    let mut pieces: Vec<&[AddressedRecord]> = halves(records).collect();
    while let Some(piece) = pieces.pop() {
        match (persistence.store(partition, piece, before).await, piece) {
            (Ok(()), _) => {}
            (Err(error), [record]) if is_poison(&error) => poison.push(Poison {
                record: record.clone(),
                error,
            }),
            (Err(error), [_, _, ..]) if is_poison(&error) => pieces.extend(halves(piece)),
            (Err(error), _) => return Err(error),
        }
    }
    Ok(poison)
}

/// The two halves, of which the last is the first to be looked at; one piece, if it is one record.
fn halves(records: &[AddressedRecord]) -> impl Iterator<Item = &[AddressedRecord]> {
    let (front, back) = records.split_at(records.len() / 2);
    [back, front].into_iter().filter(|half| !half.is_empty())
}
