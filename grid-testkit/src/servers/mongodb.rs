//! A server that speaks MongoDB's protocol: nx-27017, because no package ships MongoDB's own.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::folder::{self, pause};
use super::watchdog::Watchdog;

/// The variable that names a server for the suites to use.
pub const MONGODB_URL: &str = "GRID_TEST_MONGODB_URL";
/// The variable that names the program.
const PROGRAM: &str = "GRID_NX27017";
/// What it is called.
const NAME: &str = "nx-27017";

/// How often to look whether it listens, with a pause in between.
const LOOKS: u32 = 600;

/// A server in a folder of its own. Stopped and removed when dropped, or when this process ends,
/// however it ends.
#[derive(Debug)]
pub struct MongoServer {
    // First, so that the server is stopped by the time its folder goes.
    _watchdog: Watchdog,
    folder: PathBuf,
    program: PathBuf,
    port: u16,
    process: Mutex<Option<Child>>,
}

impl MongoServer {
    /// Starts a server without data.
    ///
    /// # Errors
    /// When the program is not there, or does not start; the error says what to do.
    pub fn start() -> io::Result<Self> {
        let program = program()?;
        let folder = folder::make_own("mongodb")?;
        let watchdog = Watchdog::start(&folder, stop(&folder))?;
        let server = Self {
            _watchdog: watchdog,
            folder,
            program,
            port: folder::free_port()?,
            process: Mutex::default(),
        };
        server.restart()?;
        Ok(server)
    }

    /// The server, as a URL without a database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mongodb://127.0.0.1:{}/?directConnection=true", self.port)
    }

    /// The number of its process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> io::Result<u32> {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let child = process
            .as_ref()
            .ok_or_else(|| io::Error::other("it does not run"))?;
        Ok(child.id())
    }

    /// Ends it as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self) -> io::Result<()> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = process
            .take()
            .ok_or_else(|| io::Error::other("it does not run"))?;
        child.kill()?;
        child.wait().map(|_| ())
    }

    /// Starts it again after [`MongoServer::kill`], on the same port and with the same data, and
    /// waits until it takes connections.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self) -> io::Result<()> {
        let log = self.folder.join("log");
        let mut child = Command::new(&self.program)
            .args([
                "--host",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "--data-dir",
            ])
            .arg(self.folder.join("data"))
            .arg("--log-file")
            .arg(&log)
            .arg("--pid-file")
            .arg(pid_file(&self.folder))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        for _ in 0..LOOKS {
            if let Some(status) = child.try_wait()? {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(io::Error::other(format!(
                    "{NAME} ended with {status}: {said}"
                )));
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
                *process = Some(child);
                return Ok(());
            }
            pause();
        }
        child.kill()?;
        child.wait()?;
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("{NAME} does not listen on port {}", self.port),
        ))
    }
}

impl Drop for MongoServer {
    fn drop(&mut self) {
        let running = self
            .process
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if running.is_some()
            && let Err(error) = self.kill()
        {
            eprintln!("{NAME} cannot be stopped: {error}");
        }
    }
}

fn pid_file(folder: &Path) -> PathBuf {
    folder.join("pid")
}

/// For the watchdog: ends what the file of the process's number names.
fn stop(folder: &Path) -> Vec<OsString> {
    let script = r#"[ -s "$1" ] && kill -KILL "$(cat "$1")""#;
    let mut words: Vec<OsString> = ["sh", "-c", script, "stop"].map(Into::into).into();
    words.push(pid_file(folder).into_os_string());
    words
}

/// The program: where [`PROGRAM`] says, where `cargo xtask setup` puts it, or on the path.
fn program() -> io::Result<PathBuf> {
    if let Some(named) = std::env::var_os(PROGRAM) {
        return Ok(named.into());
    }
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = set("GRID_CACHE_DIR")
        .map(PathBuf::from)
        .or_else(|| set("XDG_CACHE_HOME").map(|base| PathBuf::from(base).join("hybrid-grid")))
        .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache/hybrid-grid")));
    let kept = cache
        .and_then(|cache| std::fs::read_dir(cache).ok())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(NAME))
        .map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    kept.chain(std::env::split_paths(&path))
        .map(|folder| folder.join(NAME))
        .find(|program| program.is_file())
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!(
                    "there is no {NAME}: run `cargo xtask setup`, or name the program with \
                     {PROGRAM}, or a running server with {MONGODB_URL}=mongodb://HOST:PORT/"
                ),
            )
        })
}

/// The server for a suite: the one that [`MONGODB_URL`] names, or one for this process.
///
/// # Panics
/// When there is none and none can be started: a suite that cannot run has failed.
pub fn mongodb_url() -> String {
    static OWN: OnceLock<MongoServer> = OnceLock::new();
    match std::env::var(MONGODB_URL) {
        Ok(url) if !url.is_empty() => url,
        _ => OWN
            .get_or_init(|| {
                MongoServer::start()
                    .unwrap_or_else(|error| panic!("these tests need MongoDB's protocol: {error}"))
            })
            .url(),
    }
}
