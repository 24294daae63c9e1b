//! The layer.

use std::sync::Arc;

use tower::Layer;

use super::service::Publish;
use crate::partition_service::Shard;
use crate::sessions::Codecs;
use crate::worker::SharedSubscribers;

/// Tells subscribers what changed.
#[derive(Debug, Clone)]
pub(crate) struct PublishLayer {
    pub(super) worker: usize,
    pub(super) shard: Arc<Shard>,
    pub(super) subscribers: SharedSubscribers,
    pub(super) codecs: Codecs,
}

impl PublishLayer {
    /// Tells the subscribers of the partitions that `worker` runs.
    pub(crate) fn new(
        worker: usize,
        shard: Arc<Shard>,
        subscribers: SharedSubscribers,
        codecs: Codecs,
    ) -> Self {
        Self {
            worker,
            shard,
            subscribers,
            codecs,
        }
    }
}

impl<S> Layer<S> for PublishLayer {
    type Service = Publish<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Publish::new(inner, self.clone())
    }
}
