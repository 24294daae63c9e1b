//! A million pending ops, in a process that is killed.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use grid_runtime_tokio::FileDisk;
use grid_server::journal::{JournalOptions, LocalJournal};
use hybrid_grid::Grid;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::world::{Customer, Site, customer, flushed, within};

const MAP: &str = "customers";
const OPS: u32 = 1_000_000;
const BATCH: u32 = 10_000;
/// What the first process is killed after; it is in the middle of writing more then.
const FIRST_KILL: u32 = 300_000;
/// How long a process may take to open its store, or to push it all, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(170);
/// Most memory that a process of the device may ever have used, in KiB.
const MOST_MEMORY_KIB: u64 = 1_536 * 1024;
/// Tells the test that it is to be the device, and where its store is.
const STORE: &str = "GRID_PITFALL_06_STORE";
/// The server that the device is to push to; none makes it write.
const SERVER: &str = "GRID_PITFALL_06_SERVER";
const NAME: &str = "million::pitfall_06_a_million_pending_ops_survive_kill_9_and_arrive";

fn key(id: u32) -> String {
    format!("c{id:07}")
}

/// The device's process: it goes on with what it finds in its store until it is killed or, with a
/// server, until everything has arrived there.
async fn device(store: &str) {
    let url = format!("sqlite://{store}");
    let Ok(server) = std::env::var(SERVER) else {
        let grid = Grid::builder().storage(url).open().await.unwrap();
        let found = u32::try_from(grid.status().pending).unwrap();
        say("opened", found.into());
        let map = grid.map::<Customer>(MAP).unwrap();
        for first in (found..OPS).step_by(BATCH as usize) {
            let entries = (first..first + BATCH).map(|id| (key(id), customer(id, 0)));
            drop(map.put_all(entries).await.unwrap());
            say("durable", (first + BATCH).into());
        }
        return std::future::pending().await;
    };
    let grid = Grid::builder().storage(url).server(server);
    let grid = grid.open().await.unwrap();
    say("opened", grid.status().pending as u64);
    let map = grid.map::<Customer>(MAP).unwrap();
    assert_eq!(map.len(), OPS as usize);
    grid.flushed().await.unwrap();
    assert_eq!(map.get(&key(OPS - 1)).unwrap(), Some(customer(OPS - 1, 0)));
    say("acked", grid.status().fates.acked);
    grid.close().await.unwrap();
}

/// Tells the other process.
fn say(what: &str, number: u64) {
    println!("{what} {number}");
}

/// The device's process, as the test sees it.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(store: &Path, server: Option<&str>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", NAME, "--nocapture"]);
        command.env(STORE, store).env_remove(SERVER);
        if let Some(server) = server {
            command.env(SERVER, server);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
        }
    }

    /// The number of the next line that says `what`; what was said before in other words is
    /// dropped.
    async fn next(&mut self, what: &str) -> u32 {
        within(PATIENCE, what, async {
            loop {
                let line = self.lines.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("it ended before it said `{what}`"));
                // The test harness prints lines of its own, and no line break before the first.
                if let Some((_, number)) = line.split_once(&format!("{what} ")) {
                    return number.parse().unwrap();
                }
            }
        })
        .await
    }

    /// The most memory that the process ever used, in KiB, as Linux tells.
    fn peak_kib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        number.unwrap().trim().parse().unwrap()
    }

    /// Ends the process as `kill -9` does. The most memory that it ever used, in KiB.
    async fn kill(&mut self) -> u64 {
        let peak_kib = self.peak_kib();
        self.child.kill().await.unwrap();
        peak_kib
    }

    /// Waits until this many writes were reported as durable, and kills the process then and there.
    /// How many were in the end, and the most memory that it ever used.
    async fn kill_at(mut self, durable: u32) -> (u32, u64) {
        let mut reported = 0;
        while reported < durable {
            reported = self.next("durable").await;
        }
        let peak_kib = self.kill().await;
        // What it had said by then counts as well.
        while let Ok(Some(line)) = self.lines.next_line().await {
            let said = line.strip_prefix("durable ").map(str::parse);
            reported = said.map_or(reported, Result::unwrap);
        }
        (reported, peak_kib)
    }
}

async fn server(folder: &Path) -> (Site, grid_server::Server) {
    let mut site = Site::new().await;
    let database = format!("sqlite://{}", folder.join("grid.db").display());
    site.database(&database).await;
    let disk = Arc::new(FileDisk::open(folder.join("journal")).unwrap());
    let runtime = Arc::new(site.clock.clone());
    let journal = LocalJournal::open(disk, runtime, JournalOptions::default()).await;
    site.journal = Arc::new(journal.unwrap());
    let server = site.start().await;
    (site, server)
}

/// Kills a process that pushes the million as soon as somebody else sees one op that is far behind
/// the first, and far before the last. The most memory that it ever used, in KiB.
async fn kill_while_pushing(mut process: Process, site: &Site) -> u64 {
    let stranger = site.device().open().await.unwrap();
    let some = stranger
        .map_with_prefix::<Customer>(MAP, &key(OPS / 5))
        .unwrap();
    let mut live = some.subscribe();
    assert_eq!(process.next("opened").await, OPS);
    while some.is_empty() {
        within(PATIENCE, "the sight of an op", live.next()).await;
    }
    process.kill().await
}

/// A million writes that the server has not seen survive `kill -9` of their process, in the middle
/// of writing, at the end and in the middle of pushing; they open again in bounded memory, and
/// arrive, each once.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_06_a_million_pending_ops_survive_kill_9_and_arrive() {
    if let Ok(store) = std::env::var(STORE) {
        return device(&store).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("device.db");
    let mut first = Process::start(&store, None);
    assert_eq!(first.next("opened").await, 0);
    let (reported, _) = first.kill_at(FIRST_KILL).await;

    let mut second = Process::start(&store, None);
    let found = second.next("opened").await;
    assert!(found >= reported, "{found} of {reported} durable writes");
    let (all, writing_kib) = second.kill_at(OPS).await;
    assert_eq!(all, OPS);

    let (site, _server) = server(folder.path()).await;
    let address = format!("ws://{}", site.proxy.address());
    let third = Process::start(&store, Some(&address));
    let pushing_kib = kill_while_pushing(third, &site).await;
    let mut fourth = Process::start(&store, Some(&address));
    let pending = fourth.next("opened").await;
    assert!((1..=OPS).contains(&pending), "{pending}");
    assert_eq!(fourth.next("acked").await, OPS);
    assert!(fourth.child.wait().await.unwrap().success());
    println!(
        "{OPS} pending ops: killed at {reported} and {OPS}, found {found} and {OPS}; killed while \
         pushing, found {pending}; peak memory {} MiB while writing, {} MiB while pushing",
        writing_kib / 1024,
        pushing_kib / 1024
    );
    assert!(writing_kib.max(pushing_kib) < MOST_MEMORY_KIB);

    // Every op took effect on the server, once.
    let stranger = site.device().open().await.unwrap();
    let some = stranger.map_with_prefix::<Customer>(MAP, "c09999").unwrap();
    flushed(&stranger).await;
    assert_eq!(some.len(), 100);
    let status = stranger.status();
    let changes: u64 = status.maps[0].cursor.iter().map(|(_, at)| at.0).sum();
    assert_eq!(changes, u64::from(OPS));
}
