//! How a device finds a server that takes it: it tries one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use grid_core::Result;
use grid_core::traits::{Connection, Listener, Transport, TransportCapabilities};

/// Connects to the servers by turns: a client connects anew when the server before was gone,
/// refused it, or sent it away.
#[derive(Debug)]
pub(super) struct ByTurns {
    inner: Arc<dyn Transport>,
    urls: Vec<String>,
    next: AtomicUsize,
}

impl ByTurns {
    /// Begins with the server of this number.
    pub(super) fn new(inner: Arc<dyn Transport>, urls: Vec<String>, first: usize) -> Self {
        Self {
            inner,
            urls,
            next: AtomicUsize::new(first),
        }
    }
}

#[async_trait]
impl Transport for ByTurns {
    fn capabilities(&self) -> TransportCapabilities {
        self.inner.capabilities()
    }

    async fn connect(&self, _: &str) -> Result<Arc<dyn Connection>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let url = self.urls.get(turn % self.urls.len().max(1));
        self.inner.connect(url.map_or("", String::as_str)).await
    }

    async fn listen(&self, url: &str) -> Result<Arc<dyn Listener>> {
        self.inner.listen(url).await
    }
}
