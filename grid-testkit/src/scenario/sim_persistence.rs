//! The way of one server to the simulated database: calls take time, fail, take effect in part, and
//! end with the server's power.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grid_core::traits::{
    AddressedRecord, Persistence, PersistenceCapabilities, RecordCursor, RecordPage, Runtime,
    StateRecord,
};
use grid_core::{Error, ErrorKind, PartitionId, Result, Sequence};

use super::database_trouble::{DatabaseTrouble, Trouble};
use super::event::{Event, EventLog};
use super::medium::Medium;

/// How much later than its caller was told of a failure a call may take effect, in milliseconds.
const LATEST_MS: u64 = 400;

/// A persistence whose calls take simulated time, fail, and end with the server's power.
#[derive(Debug)]
pub(super) struct SimPersistence {
    pub(super) medium: Medium,
    pub(super) trouble: DatabaseTrouble,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) takes: Takes,
}

/// The database, and who is told of what it takes.
#[derive(Debug, Clone)]
pub(super) struct Takes {
    pub(super) inner: Arc<dyn Persistence>,
    pub(super) events: EventLog,
}

/// One call that stores.
#[derive(Debug, Clone)]
struct Call {
    partition: PartitionId,
    records: Arc<[AddressedRecord]>,
    state: StateRecord,
}

impl SimPersistence {
    fn tell(&self, call: &Call, error: Option<&Error>) {
        self.takes.tell(self.medium.party(), call, error);
    }

    async fn attempt(&self, call: &Call) -> Result<()> {
        let now = self.runtime.monotonic();
        match self.trouble.of(now, call.partition, &call.records) {
            None => self.takes.all(self.medium.party(), call).await,
            Some(Trouble::Refuses(place)) => {
                // The others may land without it.
                let before = if self.medium.below(2) == 0 { 0 } else { place };
                self.takes.some(self.medium.party(), call, before).await?;
                let message = "the simulated database refuses a record";
                let error = Error::new(ErrorKind::Invalid, "store records", message);
                Err(error.with("record", place))
            }
            Some(Trouble::Tears) => {
                self.tear(call).await?;
                let message = "the simulated database gave no answer";
                Err(Error::new(ErrorKind::Timeout, "store records", message))
            }
        }
    }

    /// Takes some of the records, or all of them, or those and the state record as well; now and
    /// then the rest follows.
    async fn tear(&self, call: &Call) -> Result<()> {
        let party = self.medium.party();
        let below = |bound: usize| {
            let drawn = self.medium.below(bound as u64);
            usize::try_from(drawn).unwrap_or(0)
        };
        let taken = below(call.records.len() + 1);
        if taken == call.records.len() && below(2) == 0 {
            return self.takes.all(party, call).await;
        }
        self.takes.some(party, call, taken).await?;
        if below(3) == 0 {
            let late = Duration::from_millis(self.medium.below(LATEST_MS));
            let (takes, call) = (self.takes.clone(), call.clone());
            let sleeps = self.runtime.sleep(late);
            let follow = async move {
                sleeps.await;
                // Nobody waits for it any more.
                let _ = takes.all(party, &call).await;
            };
            self.runtime.spawn("late store", Box::pin(follow));
        }
        Ok(())
    }
}

impl Takes {
    fn tell(&self, by: crate::sim::PartyId, call: &Call, error: Option<&Error>) {
        self.events.emit(Event::Stored {
            by,
            partition: call.partition,
            records: call.records.clone(),
            through: call.state.sequence,
            error: error.map(ToString::to_string),
        });
    }

    async fn all(&self, by: crate::sim::PartyId, call: &Call) -> Result<()> {
        let stored = self
            .inner
            .store(call.partition, &call.records, &call.state)
            .await;
        if stored.is_ok() {
            self.tell(by, call, None);
        }
        stored
    }

    /// The first `count` records, without the state record that belongs to all of them.
    async fn some(&self, by: crate::sim::PartyId, call: &Call, count: usize) -> Result<()> {
        let before = self.inner.load_state(call.partition).await?;
        let (Some(state), Some(records)) = (before, call.records.get(..count)) else {
            return Ok(());
        };
        if records.is_empty() || state.history != call.state.history {
            return Ok(());
        }
        let part = Call {
            partition: call.partition,
            records: records.into(),
            state,
        };
        self.all(by, &part).await
    }
}

#[async_trait]
impl Persistence for SimPersistence {
    fn capabilities(&self) -> PersistenceCapabilities {
        // A database outlives the servers, whatever it is made of: journals may rely on it. And it
        // may stop between two records.
        PersistenceCapabilities {
            transactional: false,
            survives_process: true,
            survives_power_loss: true,
            ..self.takes.inner.capabilities()
        }
    }

    async fn load(
        &self,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage> {
        self.medium.begin("load records").await?;
        self.takes.inner.load(partition, after, limit).await
    }

    async fn load_state(&self, partition: PartitionId) -> Result<Option<StateRecord>> {
        self.medium.begin("load state").await?;
        self.takes.inner.load_state(partition).await
    }

    async fn store(
        &self,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        let call = Call {
            partition,
            records: records.into(),
            state: state.clone(),
        };
        if let Err(error) = self.medium.begin("store records").await {
            self.tell(&call, Some(&error));
            return Err(error);
        }
        let stored = self.attempt(&call).await;
        if let Err(error) = &stored {
            self.tell(&call, Some(error));
        }
        self.medium.end("records stored").await;
        stored
    }

    async fn collect(&self, partition: PartitionId, horizon: Sequence) -> Result<()> {
        self.medium.begin("collect tombstones").await?;
        self.takes.inner.collect(partition, horizon).await
    }

    async fn close(&self) -> Result<()> {
        self.takes.inner.close().await
    }
}
