//! The state of the connection to the server, as a value that one can watch.

use tokio::sync::watch;

/// How the grid stands with its server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// The grid has no server: it is local only.
    Local,
    /// There is no connection; the next attempt is due in a while.
    Offline {
        /// Why the last attempt or connection ended; none before the first.
        reason: Option<String>,
    },
    /// A connection is being made.
    Connecting,
    /// The server said welcome.
    Connected,
    /// There is no connection as things are: the server does not let this client in, or its URL
    /// cannot be.
    Refused {
        /// What the server said, or what is wrong with the URL.
        message: String,
        /// Whether trying again can help without changing anything.
        retryable: bool,
    },
    /// The grid is closed.
    Closed,
}

impl ConnectionState {
    /// Whether the server said welcome.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected)
    }
}

/// Watches the state of the connection.
#[derive(Debug, Clone)]
pub struct ConnectionWatch {
    pub(crate) receiver: watch::Receiver<ConnectionState>,
}

impl ConnectionWatch {
    /// The state now.
    #[must_use]
    pub fn current(&mut self) -> ConnectionState {
        self.receiver.borrow_and_update().clone()
    }

    /// Waits for a state other than the one that [`ConnectionWatch::current`] or this function
    /// returned last. After [`ConnectionState::Closed`] there is none: it is returned at once.
    pub async fn changed(&mut self) -> ConnectionState {
        if self.receiver.changed().await.is_err() {
            return ConnectionState::Closed;
        }
        self.current()
    }

    /// Waits for a state of which `wanted` is true, the present one included; `Closed` ends the
    /// wait in any case.
    pub async fn until(
        &mut self,
        mut wanted: impl FnMut(&ConnectionState) -> bool,
    ) -> ConnectionState {
        let found = self
            .receiver
            .wait_for(|state| wanted(state) || *state == ConnectionState::Closed)
            .await;
        found.map_or(ConnectionState::Closed, |state| state.clone())
    }
}
