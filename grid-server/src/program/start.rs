//! Starting a server on the journal of a data folder, by a new history if that is ordered.

use std::sync::Arc;

use crate::config::Settings;
use crate::journal::{JournalOptions, LocalJournal};
use crate::{GatewayLayer, Server, SharedToken};
use grid_core::traits::{Journal, Listener, Persistence, Runtime};
use grid_core::{Error, ErrorKind, Result};
use grid_runtime_tokio::{FileDisk, TokioRuntime};

use super::data_dir::DataDir;

/// What a start needs, as often as it is tried.
pub(super) struct Start {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) persistence: Arc<dyn Persistence>,
    pub(super) layers: Vec<GatewayLayer>,
    pub(super) settings: Settings,
}

/// Why a start failed: where it did decides what an order can do about it.
enum Failed {
    /// The journal does not open.
    Journal(Error),
    /// The server does not start on it.
    Server(Error),
}

impl Failed {
    /// Whether another journal would help.
    fn is_the_journals(&self) -> bool {
        match self {
            Self::Journal(error) => error.kind() == ErrorKind::Corrupt,
            Self::Server(error) => error.kind() == ErrorKind::Diverged,
        }
    }

    fn into_error(self) -> Error {
        match self {
            Self::Journal(error) | Self::Server(error) => error,
        }
    }
}

impl Start {
    /// Starts on what the folder holds.
    ///
    /// # Errors
    /// As those of the journal and of the server.
    pub(super) async fn as_it_is(&self, data_dir: &DataDir) -> Result<Server> {
        let started = self.start(data_dir, false).await;
        started.map_err(Failed::into_error)
    }

    /// Starts on what the folder holds; if its journal is damaged or does not fit the database, on
    /// the database alone: the journal is set aside, and a new history begins.
    ///
    /// # Errors
    /// As those of the journal and of the server.
    pub(super) async fn with_new_history(&self, data_dir: &DataDir) -> Result<Server> {
        match self.start(data_dir, false).await {
            Ok(server) => {
                tracing::warn!(
                    "--new-history is not needed, and nothing was discarded: journal and database \
                     fit together; start without it"
                );
                Ok(server)
            }
            Err(failed) if failed.is_the_journals() => {
                let error = failed.into_error();
                let aside = data_dir.set_journal_aside()?;
                tracing::warn!(%error, journal = %aside.display(), "the journal is set aside");
                match self.start(data_dir, true).await.map_err(Failed::into_error) {
                    // The order was refused, and nothing was changed.
                    Err(error) if error.kind() == ErrorKind::Conflict => {
                        data_dir.put_journal_back(&aside)?;
                        Err(error)
                    }
                    started => started,
                }
            }
            Err(failed) => Err(failed.into_error()),
        }
    }

    async fn start(&self, data_dir: &DataDir, new_history: bool) -> Result<Server, Failed> {
        let options = JournalOptions {
            segment_bytes: self.settings.journal_segment_bytes,
            ..JournalOptions::default()
        };
        let disk = TokioRuntime::current()
            .and_then(|tokio| FileDisk::open_on(data_dir.journal(), &tokio))
            .map_err(Failed::Journal)?;
        let journal = LocalJournal::open(Arc::new(disk), self.runtime.clone(), options).await;
        let unusable = |error: Error| match error.kind() {
            // Others come from the disk, and name the path.
            ErrorKind::Corrupt | ErrorKind::Version => {
                Failed::Journal(error.with("journal", data_dir.journal().display()))
            }
            _ => Failed::Journal(error),
        };
        let journal = Arc::new(journal.map_err(unusable)?);
        let mut builder = Server::builder()
            .runtime(self.runtime.clone())
            .journal(journal.clone())
            .persistence(self.persistence.clone())
            .listen(self.listener.clone())
            .new_history(new_history);
        for layer in &self.layers {
            builder = builder.layer(layer.clone());
        }
        if !self.settings.token.0.is_empty() {
            builder = builder.authenticator(Arc::new(SharedToken::new(&self.settings.token.0)));
        }
        match builder.settings(self.settings.clone()).start().await {
            Ok(server) => Ok(server),
            Err(refusal) => Err(refused(refusal, &*journal).await),
        }
    }
}

/// What is left of a server that does not start. Whatever the end of its journal brings, what
/// counts is why it does not: an order may help against that.
async fn refused(refusal: Error, journal: &dyn Journal) -> Failed {
    if let Err(error) = journal.close().await {
        tracing::warn!(%error, "the journal of a server that did not start is not closed");
    }
    Failed::Server(refusal)
}

#[cfg(test)]
mod tests {
    use crate::MemoryJournal;
    use async_trait::async_trait;
    use grid_testkit::block_on;
    use grid_testkit::hooks::{HookedJournal, JournalHooks};

    use super::*;

    /// Cannot be closed.
    #[derive(Debug)]
    struct Stuck;

    #[async_trait]
    impl JournalHooks for Stuck {
        async fn close(&self, _: &dyn Journal) -> Result<()> {
            Err(Error::new(ErrorKind::Io, "close journal", "told to fail"))
        }
    }

    #[test]
    fn a_journal_that_does_not_close_hides_no_refusal() {
        let journal = HookedJournal::new(Arc::new(MemoryJournal::new()), Stuck);
        let refusal = Error::new(ErrorKind::Diverged, "start server", "a backup");
        let failed = block_on(refused(refusal, &journal));
        assert!(failed.is_the_journals(), "an order of a new history helps");
        assert_eq!(failed.into_error().kind(), ErrorKind::Diverged);
    }
}
