//! The server's process: started, killed, started again on the same folder and port.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use grid_core::{Error, ErrorKind, Result};
use grid_testkit::process::ServerProcess;
use tokio::process::Command;

use crate::port::steady_port;

/// How much of a server's log is shown when it does not start.
const TAIL_LINES: usize = 30;

/// A server that comes and goes.
#[derive(Debug)]
pub(crate) struct GridServer {
    program: PathBuf,
    folder: PathBuf,
    flags: Vec<String>,
    port: u16,
    process: Option<ServerProcess>,
}

impl GridServer {
    /// One that was not started yet, with its data and its log in `folder`.
    pub(crate) fn new(program: &Path, folder: &Path, flags: Vec<String>) -> Result<Self> {
        let port = steady_port().map_err(|error| failed(&error))?;
        Ok(Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            flags,
            port,
            process: None,
        })
    }

    /// Where it listens, as a URL.
    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// The folder of its data.
    pub(crate) fn data_dir(folder: &Path) -> PathBuf {
        folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// Starts it, and waits until it listens.
    pub(crate) async fn start(&mut self) -> Result<()> {
        match ServerProcess::spawn(self.command()?).await {
            Ok(process) => {
                self.process = Some(process);
                Ok(())
            }
            Err(error) => Err(failed(&error).with("its log ends with", self.last_words())),
        }
    }

    /// Starts it, and kills it when `moment` has come, however far it is by then.
    pub(crate) async fn start_and_kill(&self, moment: impl Future<Output = ()>) -> Result<()> {
        let mut command = self.command()?;
        // Nobody waits for what it says.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        moment.await;
        child.kill().await.map_err(|error| failed(&error))
    }

    fn command(&self) -> Result<Command> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .map_err(|error| failed(&error))?;
        let mut command = Command::new(&self.program);
        command
            .arg("--data-dir")
            .arg(Self::data_dir(&self.folder))
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .args(&self.flags)
            .args(["--admin", "127.0.0.1:0"])
            .stderr(Stdio::from(log));
        Ok(command)
    }

    /// Whether it was started, and neither killed nor ended since.
    pub(crate) fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Kills it with `kill -9`; the number of its process.
    pub(crate) async fn kill(&mut self) -> Result<u32> {
        let process = self.take()?;
        let pid = process.pid().unwrap_or_default();
        process.kill().await.map_err(|error| failed(&error))?;
        Ok(pid)
    }

    /// Lets it end in order, which stores everything.
    pub(crate) async fn end(&mut self) -> Result<()> {
        let status = self.take()?.terminate().await;
        let status = status.map_err(|error| failed(&error))?;
        if status.success() {
            return Ok(());
        }
        let error = failed(&format!("it ended with {status}"));
        Err(error.with("its log ends with", self.last_words()))
    }

    fn take(&mut self) -> Result<ServerProcess> {
        self.process
            .take()
            .ok_or_else(|| failed(&"it does not run"))
    }

    fn last_words(&self) -> String {
        match std::fs::read_to_string(self.log()) {
            Ok(log) => {
                let lines: Vec<&str> = log.lines().collect();
                lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
            }
            Err(error) => format!("(not readable: {error})"),
        }
    }
}

fn failed(error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, "run server", error.to_string())
}
