//! The layer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tower::Layer;

use super::service::LoadShed;

/// Sheds what is too much.
#[derive(Debug, Clone)]
pub(crate) struct LoadShedLayer {
    load: Load,
    retry_after: Duration,
}

impl LoadShedLayer {
    /// Lets `most` bytes wait at once; clients try again after `retry_after`.
    pub(crate) fn new(most: usize, retry_after: Duration) -> Self {
        let load = Load {
            waiting: Arc::default(),
            most,
        };
        Self { load, retry_after }
    }
}

impl<S> Layer<S> for LoadShedLayer {
    type Service = LoadShed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LoadShed::new(inner, self.load.clone(), self.retry_after)
    }
}

/// What waits, over all connections.
#[derive(Debug, Clone)]
pub(super) struct Load {
    waiting: Arc<AtomicUsize>,
    most: usize,
}

impl Load {
    /// Room for `bytes`, if there is any. One that alone is larger than the bound gets it when
    /// nothing else waits.
    pub(super) fn take(&self, bytes: usize) -> Option<Taken> {
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let taken = Taken {
            waiting: self.waiting.clone(),
            bytes,
        };
        (before == 0 || before.saturating_add(bytes) <= self.most).then_some(taken)
    }
}

/// Room that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    waiting: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
