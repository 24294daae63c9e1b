//! A server as one would run it: a journal on the disk, a system of record, a WebSocket.

use std::sync::Arc;

use grid_core::Result;
use grid_core::traits::{Persistence, Runtime, Transport};
use grid_runtime_tokio::{FileDisk, TokioRuntime};
use grid_server::journal::{JournalOptions, LocalJournal};
use grid_server::{Server, Settings};
use grid_transport_websocket::WebSocketTransport;
use tempfile::TempDir;

use super::failed;

/// A running server, and the folder of its journal.
pub(super) struct Served {
    pub(super) server: Server,
    pub(super) url: String,
    _folder: TempDir,
}

impl Served {
    /// Starts one. Its journal is in the working directory: the system's temporary one is often
    /// memory, where a sync is free.
    pub(super) async fn start(
        runtime: &Arc<dyn Runtime>,
        persistence: Arc<dyn Persistence>,
        settings: Settings,
    ) -> Result<Self> {
        let folder = tempfile::tempdir_in(".").map_err(failed)?;
        let tokio = TokioRuntime::current()?;
        let disk = Arc::new(FileDisk::open_on(folder.path().join("journal"), &tokio)?);
        let journal = LocalJournal::open(disk, runtime.clone(), JournalOptions::default()).await?;
        let listener = WebSocketTransport::new(runtime.clone())
            .listen("ws://127.0.0.1:0")
            .await?;
        let server = Server::builder()
            .runtime(runtime.clone())
            .journal(Arc::new(journal))
            .persistence(persistence)
            .listen(listener)
            .settings(settings)
            .start()
            .await?;
        Ok(Self {
            url: server.url().unwrap_or_default(),
            server,
            _folder: folder,
        })
    }
}
