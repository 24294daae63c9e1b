//! A PostgreSQL server.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::folder::{self, pause};
use super::watchdog::Watchdog;

/// The variable that names a server for the suites to use.
pub const POSTGRES_URL: &str = "GRID_TEST_POSTGRES_URL";
/// The variable that names the folder of PostgreSQL's programs.
const PROGRAMS: &str = "GRID_POSTGRES_BIN";
/// Where Debian keeps them, by version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// How often a start is tried: another process may take the port, and of one that was killed the
/// children may still be there.
const STARTS: u32 = 50;

/// A PostgreSQL server in a folder of its own, which lets everybody on this machine in as
/// `postgres`. Stopped and removed when dropped, or when this process ends, however it ends.
#[derive(Debug)]
pub struct PostgresServer {
    // First, so that the server is stopped by the time its folder goes.
    _watchdog: Watchdog,
    folder: PathBuf,
    programs: PathBuf,
    durable: bool,
    port: u16,
}

impl PostgresServer {
    /// Makes a database and starts its server. One that is `durable` syncs what it commits to the
    /// disk; one that is not is quicker, and keeps everything through a kill of its processes but
    /// not through a power cut.
    ///
    /// # Errors
    /// When PostgreSQL is not there, or does not start; the error says what to do.
    pub fn start(durable: bool) -> io::Result<Self> {
        let programs = programs()?;
        let folder = folder::make("postgres")?;
        let stop = control(&programs, &folder, &["-m", "immediate", "stop"])?;
        let watchdog = Watchdog::start(&folder, stop)?;
        let mut make = folder::words(&programs.join("initdb"))?;
        let fixed = [
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "-D",
        ];
        make.extend(fixed.map(OsString::from));
        make.push(data(&folder).into());
        folder::run(&folder, make)?;
        let mut server = Self {
            _watchdog: watchdog,
            folder,
            programs,
            durable,
            port: 0,
        };
        let mut last = None;
        for _ in 0..3 {
            server.port = folder::free_port()?;
            match server.control_start() {
                Ok(()) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("no start was tried")))
    }

    /// The database `postgres` of this server, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable",
            self.port
        )
    }

    /// The port of 127.0.0.1 that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The number of its first process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> io::Result<u32> {
        let text = std::fs::read_to_string(data(&self.folder).join("postmaster.pid"))?;
        let first = text.lines().next().unwrap_or_default();
        first.trim().parse().map_err(io::Error::other)
    }

    /// Ends it as `kill -9` of its first process does, and waits until that is gone; the others end
    /// when they see that.
    ///
    /// # Errors
    /// When it does not run, or does not end.
    pub fn kill(&self) -> io::Result<()> {
        let pid = self.pid()?;
        folder::run(
            &self.folder,
            ["kill".to_owned(), "-KILL".to_owned(), pid.to_string()],
        )?;
        let process = PathBuf::from(format!("/proc/{pid}"));
        for _ in 0..STARTS {
            if !process.exists() {
                return Ok(());
            }
            pause();
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("process {pid} does not end"),
        ))
    }

    /// Stops it in order: what runs is ended, and the files are left ready for the next start.
    ///
    /// # Errors
    /// When it does not run, or does not end.
    pub fn stop(&self) -> io::Result<()> {
        folder::run(
            &self.folder,
            control(&self.programs, &self.folder, &["-w", "-m", "fast", "stop"])?,
        )
    }

    /// Starts it again after [`PostgresServer::kill`] or [`PostgresServer::stop`], on the same
    /// port, and waits until it takes connections.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self) -> io::Result<()> {
        let mut last = None;
        for _ in 0..STARTS {
            match self.control_start() {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
            pause();
        }
        Err(last.unwrap_or_else(|| io::Error::other("no start was tried")))
    }

    fn control_start(&self) -> io::Result<()> {
        let sync = if self.durable { "on" } else { "off" };
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync={sync}",
            self.port
        );
        let log = self.folder.join("log");
        let log = log.to_string_lossy();
        let arguments = ["-w", "-l", &*log, "-o", &*options, "start"];
        folder::run(
            &self.folder,
            control(&self.programs, &self.folder, &arguments)?,
        )
        .map_err(|error| io::Error::other(format!("{error}; see {log}")))
    }
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn control(programs: &Path, folder: &Path, arguments: &[&str]) -> io::Result<Vec<OsString>> {
    let mut words = folder::words(&programs.join("pg_ctl"))?;
    words.extend(["-D".into(), data(folder).into_os_string()]);
    words.extend(arguments.iter().map(OsString::from));
    Ok(words)
}

/// The folder of `initdb` and `pg_ctl`, of the newest version there is.
fn programs() -> io::Result<PathBuf> {
    let there = |folder: &PathBuf| folder.join("initdb").exists() && folder.join("pg_ctl").exists();
    let mut folders: Vec<PathBuf> = std::env::var_os(PROGRAMS)
        .map(PathBuf::from)
        .into_iter()
        .collect();
    if folders.is_empty() {
        let mut debian: Vec<PathBuf> = std::fs::read_dir(DEBIAN)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok().map(|entry| entry.path().join("bin")))
            .collect();
        // Versions of two digits, as all are since 2017: their order is that of their names.
        debian.sort_unstable_by(|a, b| b.cmp(a));
        folders.extend(debian);
        folders.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
    }
    folders.into_iter().find(there).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!(
                "there is no PostgreSQL (initdb, pg_ctl): run `cargo xtask setup`, or install \
                 `postgresql`, or name its programs' folder with {PROGRAMS}, or a running server \
                 with {POSTGRES_URL}=postgres://USER:PASSWORD@HOST/DATABASE"
            ),
        )
    })
}

/// The server for a suite: the one that [`POSTGRES_URL`] names, or one for this process.
///
/// # Panics
/// When there is none and none can be started: a suite that cannot run has failed.
pub fn postgres_url() -> String {
    static OWN: OnceLock<PostgresServer> = OnceLock::new();
    match std::env::var(POSTGRES_URL) {
        Ok(url) if !url.is_empty() => url,
        _ => OWN
            .get_or_init(|| {
                PostgresServer::start(false)
                    .unwrap_or_else(|error| panic!("these tests need PostgreSQL: {error}"))
            })
            .url(),
    }
}
