//! Which states of a partition a former process may still be storing when it is loaded: no later
//! ones than of the latest sequence, and of that from its first batch on.

use grid_core::partition::Effects;
use grid_core::traits::{Journal, Position, StateRecord};
use grid_core::{ErrorKind, PartitionId, Result, Sequence};

use crate::write_behind::Backing;

/// The latest sequence of a partition, as its batches are applied.
#[derive(Debug)]
pub(super) struct Latest {
    sequence: Sequence,
    /// The batch that was applied last.
    at: Position,
    /// What the database has.
    stored: Position,
    /// The first batch that leads to the sequence; none if the database is at that already.
    first: Option<Position>,
}

impl Latest {
    /// Of a partition of which the database has the state of the batch at `position`.
    pub(super) fn of(state: &StateRecord, position: Position) -> Self {
        Self {
            sequence: state.sequence,
            at: position,
            stored: position,
            first: None,
        }
    }

    /// The next batch leads to `through`.
    pub(super) fn batch(&mut self, through: Sequence) {
        self.at = self.at.next();
        if through > self.sequence {
            (self.sequence, self.first) = (through, Some(self.at));
        }
    }

    /// Has `backing` take into account that a state of a former process may be on its way, of which
    /// nobody here knows. The journal is without the batches up to `truncated`.
    ///
    /// # Errors
    /// As the journal's; `Corrupt` when a batch is damaged.
    pub(super) async fn doubt(
        &self,
        partition: PartitionId,
        truncated: Position,
        journal: &dyn Journal,
        backing: &mut Backing,
    ) -> Result<()> {
        if self.at == Position(0) {
            return Ok(());
        }
        let first = match self.first {
            Some(first) => first,
            None => self.first_of_stored(partition, truncated, journal).await?,
        };
        backing.doubt(self.sequence, first);
        Ok(())
    }

    /// The first batch that leads to the sequence of what the database has, or one before it.
    async fn first_of_stored(
        &self,
        partition: PartitionId,
        truncated: Position,
        journal: &dyn Journal,
    ) -> Result<Position> {
        if self.stored <= truncated {
            return Ok(self.stored);
        }
        let before = Position(self.stored.0 - 1);
        let entries = match journal.read(partition, before, 1).await {
            // A former owner has truncated meanwhile, so it is certain.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(self.stored),
            read => read?,
        };
        let Some(entry) = entries.first() else {
            return Ok(truncated);
        };
        let effects = Effects::decode(&entry.batch)?;
        let takes_sequence = effects.begins_epoch() || effects.records().len() > 0;
        Ok(if takes_sequence {
            self.stored
        } else {
            truncated
        })
    }
}
