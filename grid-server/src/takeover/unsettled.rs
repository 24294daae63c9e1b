//! A start while the database is away: what the journal has is served, the rest waits.
//!
//! A partition of which the journal has everything is made of it, and its writes are acknowledged
//! from the journal. Nothing of it is stored until the database was asked what it has of it: it may
//! be another's, or newer. Then the start is completed, or the server ends with what would have
//! kept it from starting.

use grid_core::traits::Epoch;
use grid_core::{Error, ErrorKind, PartitionId, Result};

use super::Takeover;
use crate::data_set::Found;
use crate::observations::Source;
use crate::partition_service::Owned;
use crate::recovery::{Start, recover_alone, recover_within};
use crate::worker::{Mailboxes, WorkerMessage};

/// What a start without the database has left to be done.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    /// Partitions that are served as the journal alone has them.
    alone: Vec<Alone>,
}

/// A partition that is served as the journal alone has it.
#[derive(Debug, Clone, Copy)]
struct Alone {
    partition: PartitionId,
    epoch: Epoch,
    start: Start,
}

impl Unsettled {
    /// Takes note of a partition that is served as the journal alone has it.
    pub(crate) fn add(&mut self, owned: &Owned) {
        self.alone.push(Alone {
            partition: owned.partition.id(),
            epoch: owned.epoch,
            start: Start {
                tail: owned.tail,
                sequence: owned.partition.sequence(),
            },
        });
    }
}

impl Takeover {
    /// Loads `partition` from the journal alone; none when that has not everything, or a later
    /// owner has written already.
    ///
    /// # Errors
    /// As those of the journal.
    pub(crate) async fn load_alone(
        &self,
        partition: PartitionId,
        epoch: Epoch,
    ) -> Result<Option<Owned>> {
        if !self.data_set.begun_here {
            return Ok(None);
        }
        let now = self.runtime.monotonic();
        let alone = recover_alone(self.config(partition), &self.journal, now).await?;
        let Some(owned) = alone else {
            return Ok(None);
        };
        match self.claim(owned, epoch).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            claimed => claimed,
        }
    }

    /// Tells operators why the start is not complete.
    pub(crate) fn is_away(&self, error: &Error) {
        let now = self.runtime.monotonic();
        let text = error.to_string();
        self.observations.trouble(Source::Start, text, now);
    }

    /// Completes a start without the database, if that is back.
    ///
    /// # Errors
    /// As those of the journal and the persistence; `Diverged` when the two do not fit together;
    /// `Closed` when the server is ending.
    pub(super) async fn settle(
        &self,
        unsettled: &mut Option<Unsettled>,
        mailboxes: &Mailboxes,
    ) -> Result<()> {
        let Some(left) = unsettled else {
            return Ok(());
        };
        let found = Found::read(&self.journal, &self.persistence).await?;
        let data_set = found.data_set(&*self.runtime, &self.settings)?;
        if data_set != self.data_set {
            return Err(Error::new(
                ErrorKind::Diverged,
                "open data set",
                "another server has begun a new history meanwhile; start again",
            ));
        }
        found.complete_journal(&data_set, &self.journal).await?;
        found
            .complete_database(&data_set, &self.persistence)
            .await?;
        while let Some(alone) = left.alone.last().copied() {
            self.confirm(alone, mailboxes).await?;
            left.alone.pop();
        }
        *unsettled = None;
        self.observations.mended(Source::Start);
        tracing::info!("the database is back, and what it has fits the journal");
        Ok(())
    }

    /// Asks the database what it has of a partition that is served as the journal alone has it.
    async fn confirm(&self, alone: Alone, mailboxes: &Mailboxes) -> Result<()> {
        let Alone {
            partition,
            epoch,
            start,
        } = alone;
        let (journal, persistence) = (&self.journal, &self.persistence);
        let now = self.runtime.monotonic();
        let config = self.config(partition);
        let found = recover_within(config, journal, persistence, now, Some(start)).await?;
        let backing = found.backing;
        if persistence.capabilities().survives_power_loss
            && let Some(through) = backing.forgettable()
        {
            journal.truncate(partition, through).await?;
        }
        let worker = mailboxes.worker_of(partition);
        let confirm = WorkerMessage::Confirm(partition, epoch, Box::new(backing));
        mailboxes.send(worker, confirm).await
    }
}
