//! The identity of the data set, kept near the end of the journal.
//!
//! A journal gives back room from its start up to the first batch that still counts. The identity
//! counts for ever, so it has to move on, or nothing would be given back after it.

use std::sync::Arc;
use std::time::Duration;

use grid_core::traits::{Journal, Runtime};
use grid_core::{ErrorKind, Result};
use tokio::sync::Mutex;

use crate::data_set::DataSet;

/// Least time between two moves: what is written meanwhile may take up room for that long.
const PERIOD: Duration = Duration::from_secs(5);

/// Moves the identity on.
#[derive(Debug)]
pub(crate) struct Identity {
    data_set: DataSet,
    journal: Arc<dyn Journal>,
    runtime: Arc<dyn Runtime>,
    /// When it was moved last.
    moved: Mutex<Duration>,
}

impl Identity {
    pub(crate) fn new(
        data_set: DataSet,
        journal: Arc<dyn Journal>,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        Self {
            data_set,
            journal,
            moved: Mutex::new(runtime.monotonic()),
            runtime,
        }
    }

    /// Writes the identity to the end of the journal, if that was not done lately, and lets go of
    /// where it stood before. Called after the journal was allowed to forget something else.
    ///
    /// # Errors
    /// As the journal's; the identity is then where it was, or in both places.
    pub(crate) async fn move_on(&self) -> Result<()> {
        let mut moved = self.moved.lock().await;
        let now = self.runtime.monotonic();
        if now.saturating_sub(*moved) < PERIOD {
            return Ok(());
        }
        let before = match self.data_set.write_to(&self.journal).await {
            // Another server has just moved it.
            Err(error) if error.kind() == ErrorKind::Conflict => return Ok(()),
            before => before?,
        };
        DataSet::forget_through(&self.journal, before).await?;
        *moved = now;
        Ok(())
    }
}
