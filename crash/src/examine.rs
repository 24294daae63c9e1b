//! Bringing a life to rest, and comparing everything.

use std::sync::Arc;
use std::time::Duration;

use grid_core::traits::Persistence;
use grid_core::{Error, ErrorKind, Result};
use grid_testkit::crash::{
    Database as Stored, Evidence, Habit, ServerState, State, Verdict, judge, read_client,
    read_database, read_server,
};

use crate::database::Database;
use crate::drawn::PARTITIONS;
use crate::life::{CLIENTS, Life};
use crate::wait::within;

/// How long clients may take until everything is answered and they are level.
const REST_LIMIT: Duration = Duration::from_secs(120);
/// How long the database may take to catch up once nobody writes.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
/// How long clients may take to hear of the last changes of others.
const LEVEL_LIMIT: Duration = Duration::from_secs(30);
/// How long to wait before the next look.
const PAUSE: Duration = Duration::from_millis(50);

impl Life {
    /// Lets the clients rest and the database catch up, judges, and lets the clients go on unless
    /// this is the `last` time.
    ///
    /// # Errors
    /// `Timeout` when something never comes to rest; what server and database say.
    pub(crate) async fn examine(&mut self, last: bool) -> Result<Verdict> {
        self.gate.close();
        let runtime = self.runtime.clone();
        let what = "every op is answered";
        let resting = self.gate.until_resting(CLIENTS);
        let mut rested = within(&*runtime, REST_LIMIT, what, resting).await;
        for grid in &self.grids {
            if rested.is_ok() {
                let what = "every client is level with the server";
                rested = within(&*runtime, REST_LIMIT, what, grid.flushed())
                    .await
                    .and_then(|level| level);
            }
        }
        let (server, database) = self.drain().await?;
        let clients = self.until_level(&server).await?;
        let mut verdict = judge(&Evidence {
            ledger: &self.ledger,
            stream: &self.stream,
            server: &server,
            database: &database,
            clients: &clients,
        });
        if let Err(error) = rested {
            verdict.diverged(error);
        }
        if !self.database.is_apart() && !last {
            self.server.start().await?;
        }
        if !last {
            self.gate.open();
        }
        Ok(verdict)
    }

    /// What server and database hold once the database has all that the server has. One that
    /// belongs to the server's process is read when that has ended in order.
    async fn drain(&mut self) -> Result<(ServerState, Stored)> {
        let server = self.server_state().await?;
        if !self.database.is_apart() {
            self.server.end().await?;
        }
        let persistence = Database::open(&self.database_url, self.runtime.clone()).await?;
        let what = "the database catches up with the server";
        let caught_up = caught_up(self, &persistence, &server);
        let drained = within(&*self.runtime, DRAIN_LIMIT, what, caught_up).await;
        let closed = persistence.close().await;
        let database = drained??;
        closed?;
        Ok((server, database))
    }

    async fn server_state(&self) -> Result<ServerState> {
        let url = self.server.url();
        let maps = Habit::maps();
        let (transport, runtime) = (self.transport.clone(), self.runtime.clone());
        let reading = read_server(transport, runtime, &url, &maps);
        within(
            &*self.runtime,
            REST_LIMIT,
            "the server tells its state",
            reading,
        )
        .await?
    }

    /// What clients show, once it is what the server holds and the watcher was shown it too, or
    /// when they had time enough.
    async fn until_level(&self, server: &ServerState) -> Result<Vec<State>> {
        let give_up = self.runtime.monotonic() + LEVEL_LIMIT;
        loop {
            let clients: Result<Vec<State>> = self.grids.iter().map(read_client).collect();
            let clients = clients?;
            let level = clients.iter().all(|client| is_level(client, server))
                && self.stream.lacks(server).is_none();
            if level || self.runtime.monotonic() > give_up {
                return Ok(clients);
            }
            self.runtime.sleep(PAUSE).await;
        }
    }
}

fn is_level(client: &State, server: &ServerState) -> bool {
    let versions = |state: &State| -> Vec<_> {
        let entries = state.iter();
        entries
            .map(|(place, held)| (place.clone(), held.stamp))
            .collect()
    };
    versions(client) == versions(&server.state)
}

/// What the database holds once it has all that the server has.
async fn caught_up(
    life: &Life,
    persistence: &Arc<dyn Persistence>,
    server: &ServerState,
) -> Result<Stored> {
    loop {
        let database = read_database(&**persistence, PARTITIONS).await?;
        if database.has_caught_up(server) {
            return Ok(database);
        }
        if !life.database.is_apart() {
            let message = "the server ended in order, and has not stored everything";
            return Err(Error::new(ErrorKind::Internal, "crash test", message));
        }
        life.runtime.sleep(PAUSE).await;
    }
}
