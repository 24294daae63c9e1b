//! The bus of a server that is one process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::traits::{Bus, Subscriber};
use grid_core::{BoxFuture, Error, ErrorKind, PartitionId, Result};
use tokio::sync::broadcast;

/// Events that may wait for one subscriber.
const QUEUE_EVENTS: usize = 1024;

type Handler = dyn Fn(Bytes) -> BoxFuture<'static, Result<Bytes>> + Send + Sync;

/// Events and requests within one process. Clones share them.
#[derive(Clone, Default)]
pub struct LocalBus {
    topics: Arc<Mutex<BTreeMap<PartitionId, Topic>>>,
}

#[derive(Default)]
struct Topic {
    events: Option<broadcast::Sender<Bytes>>,
    handler: Option<Arc<Handler>>,
}

impl fmt::Debug for LocalBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalBus")
            .field("partitions", &self.lock().len())
            .finish()
    }
}

impl LocalBus {
    /// A bus that nobody follows yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PartitionId, Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, partition: PartitionId, event: Bytes) -> Result<()> {
        let mut topics = self.lock();
        if let Some(topic) = topics.get_mut(&partition)
            && let Some(events) = &topic.events
            && events.send(event).is_err()
        {
            // The last one who followed has gone.
            topic.events = None;
        }
        Ok(())
    }

    async fn subscribe(&self, partition: PartitionId) -> Result<Box<dyn Subscriber>> {
        let mut topics = self.lock();
        let events = topics
            .entry(partition)
            .or_default()
            .events
            .get_or_insert_with(|| broadcast::Sender::new(QUEUE_EVENTS));
        Ok(Box::new(LocalSubscriber(events.subscribe())))
    }

    async fn request(&self, partition: PartitionId, request: Bytes) -> Result<Bytes> {
        let handler = self
            .lock()
            .get(&partition)
            .and_then(|topic| topic.handler.clone());
        let Some(handler) = handler else {
            return Err(Error::new(
                ErrorKind::NotFound,
                "ask owner",
                "nobody serves the partition",
            )
            .with("partition", partition));
        };
        handler(request).await
    }

    async fn serve(
        &self,
        partition: PartitionId,
        handler: Box<dyn Fn(Bytes) -> BoxFuture<'static, Result<Bytes>> + Send + Sync>,
    ) -> Result<()> {
        self.lock().entry(partition).or_default().handler = Some(handler.into());
        Ok(())
    }
}

/// One who follows a partition of a [`LocalBus`].
#[derive(Debug)]
struct LocalSubscriber(broadcast::Receiver<Bytes>);

#[async_trait]
impl Subscriber for LocalSubscriber {
    async fn next(&mut self) -> Result<Bytes> {
        use broadcast::error::RecvError;
        self.0.recv().await.map_err(|error| match error {
            RecvError::Lagged(events) => Error::new(
                ErrorKind::Overloaded,
                "follow partition",
                format!("{events} events were dropped; catch up from your cursor"),
            ),
            RecvError::Closed => {
                Error::new(ErrorKind::Closed, "follow partition", "the bus is gone")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::support::now;

    const ID: PartitionId = PartitionId(7);

    #[test]
    fn events_reach_those_who_follow_the_partition() {
        let bus = LocalBus::new();
        now(bus.publish(ID, "lost".into())).unwrap();
        let mut first = now(bus.subscribe(ID)).unwrap();
        let mut second = now(bus.clone().subscribe(ID)).unwrap();
        let mut other = now(bus.subscribe(PartitionId(8))).unwrap();
        now(bus.publish(ID, "a".into())).unwrap();
        now(bus.publish(ID, "b".into())).unwrap();
        for subscriber in [&mut first, &mut second] {
            assert_eq!(now(subscriber.next()).unwrap(), "a");
            assert_eq!(now(subscriber.next()).unwrap(), "b");
        }
        assert!(other.next().now_or_never().is_none());
        drop((bus, other));
        assert_eq!(now(first.next()).unwrap_err().kind(), ErrorKind::Closed);
    }

    #[test]
    fn a_slow_subscriber_is_told_that_it_missed_something_and_goes_on() {
        let bus = LocalBus::new();
        let mut slow = now(bus.subscribe(ID)).unwrap();
        for number in 0..=QUEUE_EVENTS {
            now(bus.publish(ID, number.to_string().into())).unwrap();
        }
        assert_eq!(now(slow.next()).unwrap_err().kind(), ErrorKind::Overloaded);
        assert_eq!(now(slow.next()).unwrap(), "1");
    }

    #[test]
    fn requests_go_to_the_last_one_who_serves() {
        let bus = LocalBus::new();
        let error = now(bus.request(ID, "x".into())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        for answer in ["one", "two"] {
            let handler = move |request: Bytes| {
                let text = format!("{answer}: {}", String::from_utf8_lossy(&request));
                async move { Ok(Bytes::from(text)) }.boxed()
            };
            now(bus.serve(ID, Box::new(handler))).unwrap();
        }
        assert_eq!(now(bus.request(ID, "x".into())).unwrap(), "two: x");
    }
}
