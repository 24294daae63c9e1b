//! The signals that end the program.

use std::io;

use grid_core::{Error, ErrorKind, Result};

/// The requests to end, which are taken from here on.
pub(super) struct EndRequests(Signals);

impl EndRequests {
    /// Starts to take them: before anybody is told that the program runs.
    ///
    /// # Errors
    /// `Io` when the operating system refuses.
    pub(super) fn new() -> Result<Self> {
        Signals::new().map(Self).map_err(|error| {
            Error::new(ErrorKind::Io, "await signals", "they cannot be awaited").with_source(error)
        })
    }

    /// Completes with the first request. A second one ends the program at once.
    pub(super) async fn first(self) {
        let Self(mut signals) = self;
        signals.next().await;
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the program, which has a tokio runtime of its own"
        )]
        tokio::spawn(async move {
            signals.next().await;
            std::process::exit(1);
        });
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        let terminate = std::pin::pin!(self.terminate.recv());
        let interrupt = std::pin::pin!(self.interrupt.recv());
        futures::future::select(terminate, interrupt).await;
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // An error means that there are no signals here: then nothing ends the program this way.
        if tokio::signal::ctrl_c().await.is_err() {
            futures::future::pending::<()>().await;
        }
    }
}
