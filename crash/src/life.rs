//! One life of a server: from an empty folder, through its kills, to the comparison at the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures::future::{AbortHandle, abortable};
use grid_core::Result;
use grid_core::traits::{Runtime, Transport};
use grid_testkit::crash::{Gate, Habit, Ledger, Load, Stream, Watcher};
use hybrid_grid::{Backoff, Grid};

use crate::blow::{Blow, Target};
use crate::database::Database;
use crate::drawn;
use crate::server::GridServer;
use crate::wait::within;

/// How many clients write.
pub(crate) const CLIENTS: usize = 8;
/// How many ops have to be unacknowledged at the moment of a kill for it to count.
pub(crate) const LEAST_UNACKED: usize = 100;
/// The load flows again when so many ops were answered since the last kill, ...
const FLOWING_OPS: usize = 100;
/// ... and so many of those that wait for the database.
const FLOWING_STORED_OPS: usize = 10;
/// How long the load may take to flow, after a start of the server and the database.
const FLOW_LIMIT: Duration = Duration::from_secs(90);
/// How long it may take until enough ops wait for their answers.
const UNACKED_LIMIT: Duration = Duration::from_secs(30);
/// Clients come back at once: the next kill does not wait for them.
const BACKOFF: Backoff = Backoff {
    shortest: Duration::from_millis(20),
    longest: Duration::from_millis(500),
};

/// How many kills of each counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) wanted: u32,
    pub(crate) server: u32,
    pub(crate) database: u32,
}

impl Tally {
    pub(crate) fn kills(&self) -> u32 {
        self.server + self.database
    }

    pub(crate) fn is_reached(&self) -> bool {
        self.kills() >= self.wanted
    }
}

/// What a life begins with.
#[derive(Debug)]
pub(crate) struct Birth<'a> {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) database: &'a Database,
    pub(crate) program: &'a Path,
    /// A new folder, for everything.
    pub(crate) folder: PathBuf,
    pub(crate) number: u64,
    pub(crate) seed: u64,
}

/// A server with its database, its clients and its watcher.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) database: Database,
    pub(crate) database_url: String,
    pub(crate) server: GridServer,
    pub(crate) grids: Vec<Grid>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) stream: Arc<Stream>,
    pub(crate) gate: Arc<Gate>,
    tasks: Vec<AbortHandle>,
    rng: Rng,
}

impl Life {
    /// Starts a server on nothing, and clients that write.
    pub(crate) async fn begin(birth: Birth<'_>) -> Result<Self> {
        let Birth {
            runtime,
            database,
            program,
            folder,
            number,
            seed,
        } = birth;
        let mut rng = Rng::with_seed(seed);
        let database_url = database.url(number, &GridServer::data_dir(&folder))?;
        let mut flags = drawn::flags(&mut rng);
        eprintln!("life {number}: {}", flags.join(" "));
        flags.extend(["--persistence".to_owned(), database_url.clone()]);
        let mut server = GridServer::new(program, &folder, flags)?;
        server.start().await?;
        let transport = hybrid_grid::registry().transport(&server.url(), runtime.clone())?;
        let mut life = Self {
            transport,
            runtime,
            database: database.clone(),
            database_url,
            server,
            grids: Vec::new(),
            ledger: Arc::new(Ledger::new()),
            stream: Arc::new(Stream::new()),
            gate: Arc::new(Gate::new()),
            tasks: Vec::new(),
            rng,
        };
        life.watch();
        for client in 0..CLIENTS {
            life.join(client, &folder, seed).await?;
        }
        life.gate.open();
        Ok(life)
    }

    fn watch(&mut self) {
        let url = self.server.url();
        let (transport, runtime) = (self.transport.clone(), self.runtime.clone());
        let watcher = Watcher::new(transport, runtime, &url, &Habit::maps());
        self.spawn("watch", watcher.run(self.stream.clone()));
    }

    /// Opens a client: half of them keep their data in a file, the others in memory.
    async fn join(&mut self, client: usize, folder: &Path, seed: u64) -> Result<()> {
        let storage = match (client % 2, folder.to_str()) {
            (0, Some(folder)) => format!("sqlite://{folder}/client-{client}.db"),
            _ => "memory:".to_owned(),
        };
        let grid = Grid::builder()
            .storage(storage)
            .server(self.server.url())
            .backoff(BACKOFF)
            .open()
            .await?;
        let habit = Habit::new(client, seed);
        let load = Load::new(&grid, habit, self.ledger.clone(), self.gate.clone())?;
        self.spawn("load", load.run());
        self.grids.push(grid);
        Ok(())
    }

    fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (task, handle) = abortable(task);
        self.tasks.push(handle);
        let task = async {
            // It ends when it is aborted, as it should.
            let _aborted = task.await;
        };
        self.runtime.spawn(name, Box::pin(task));
    }

    /// Kills what the next blow is for, lets it come back, and returns how many kills counted.
    pub(crate) async fn strike(&mut self, tally: &mut Tally) -> Result<()> {
        let blow = Blow::draw(&mut self.rng, self.database.is_apart());
        let what = "the load does not flow";
        let flows = self.ledger.until_answered(FLOWING_OPS, FLOWING_STORED_OPS);
        within(&*self.runtime, FLOW_LIMIT, what, flows).await?;
        self.runtime.sleep(blow.after).await;
        let (server_falls, database_falls) = match blow.target {
            Target::Server => (true, false),
            Target::Database => (false, true),
            Target::ServerThenDatabase | Target::DatabaseThenServer => (true, true),
        };
        if blow.target == Target::DatabaseThenServer {
            self.kill_database(tally).await?;
            self.runtime.sleep(blow.apart).await;
        }
        if server_falls {
            self.kill_server(tally).await?;
        }
        if database_falls && blow.target != Target::DatabaseThenServer {
            if server_falls {
                self.runtime.sleep(blow.apart).await;
            }
            self.kill_database(tally).await?;
        }
        self.come_back(&blow, server_falls, database_falls).await
    }

    /// Starts again what fell, each in its own time: the server may have to do without its
    /// database.
    async fn come_back(
        &mut self,
        blow: &Blow,
        server_falls: bool,
        database_falls: bool,
    ) -> Result<()> {
        let runtime = self.runtime.clone();
        let (server, database) = (&mut self.server, &self.database);
        let server_back = async {
            if !server_falls {
                return Ok(());
            }
            runtime.sleep(blow.server_down).await;
            if let Some(after) = blow.start_cut_short {
                server.start_and_kill(runtime.sleep(after)).await?;
                eprintln!("the start of the server was cut short after {after:?}: kill -9");
            }
            server.start().await
        };
        let database_back = async {
            if database_falls {
                runtime.sleep(blow.database_down).await;
                database.restart(&*runtime).await?;
            }
            Ok(())
        };
        futures::try_join!(server_back, database_back).map(|_| ())
    }

    async fn kill_server(&mut self, tally: &mut Tally) -> Result<()> {
        let before = self.until_enough_wait().await?;
        let pid = self.server.kill().await?;
        let waiting = before.min(self.ledger.unacked());
        if counts("server", pid, waiting) {
            tally.server += 1;
            tell(tally, "server", pid, waiting);
        }
        Ok(())
    }

    async fn kill_database(&mut self, tally: &mut Tally) -> Result<()> {
        let before = self.until_enough_wait().await?;
        let pid = self.database.kill().await?;
        let waiting = before.min(self.ledger.unacked());
        if counts("database", pid, waiting) {
            tally.database += 1;
            tell(tally, "database", pid, waiting);
        }
        Ok(())
    }

    /// Waits until a kill would count; how many ops wait then.
    async fn until_enough_wait(&self) -> Result<usize> {
        let what = format!("{LEAST_UNACKED} ops wait for their answers");
        let enough = self.ledger.until_unacked(LEAST_UNACKED);
        within(&*self.runtime, UNACKED_LIMIT, &what, enough).await?;
        Ok(self.ledger.unacked())
    }

    /// Ends clients and server in order.
    pub(crate) async fn end(mut self) -> Result<()> {
        for task in &self.tasks {
            task.abort();
        }
        for grid in &self.grids {
            grid.close().await?;
        }
        if self.server.runs() {
            self.server.end().await?;
        }
        Ok(())
    }
}

fn counts(target: &str, pid: u32, waiting: usize) -> bool {
    let counts = waiting >= LEAST_UNACKED;
    if !counts {
        eprintln!(
            "kill -9 of the {target} (process {pid}) with {waiting} ops unacknowledged: it does \
             not count, there will be another"
        );
    }
    counts
}

fn tell(tally: &Tally, target: &str, pid: u32, waiting: usize) {
    eprintln!(
        "kill {} of {}: {target} (process {pid}) with {waiting} ops unacknowledged",
        tally.kills(),
        tally.wanted
    );
}
