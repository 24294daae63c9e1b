//! Real processes for tests: builds the programs, starts a server, kills it, runs the client.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long a program may take to get ready or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Builds the programs of these packages and returns their paths, in order. Each package's
/// program bears the package's name unless `name` says otherwise, as in `grid-cli:grid`.
///
/// # Panics
/// When cargo cannot build them: the test that asked cannot go on.
#[must_use]
pub fn build(packages: &[&str]) -> Vec<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    command.arg("build").arg("--quiet");
    let folder = profile_folder();
    if folder.ends_with("release") {
        command.arg("--release");
    }
    let names: Vec<(&str, &str)> = packages
        .iter()
        .map(|package| package.split_once(':').unwrap_or((package, package)))
        .collect();
    for (package, program) in &names {
        command.args(["--package", package, "--bin", program]);
    }
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("cannot run cargo: {error}"));
    assert!(status.success(), "cargo could not build {packages:?}");
    names
        .iter()
        .map(|(_, program)| folder.join(program))
        .collect()
}

/// Where servers answer operators, unless a test's arguments name another address: on a port that
/// is free, for there are many at once.
const ADMIN: (&str, &str) = ("GRID_ADMIN", "127.0.0.1:0");

/// The folder of programs beside the one of this test.
fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_else(|error| panic!("no own path: {error}"));
    let deps = test.parent().unwrap_or(&test);
    let folder = if deps.ends_with("deps") {
        deps.parent().unwrap_or(deps)
    } else {
        deps
    };
    folder.to_owned()
}

/// A server in a process of its own; killed when dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    address: SocketAddr,
    /// Where it answers operators.
    admin: Option<String>,
    /// Kept, so that what the server prints later does not break its pipe.
    _output: Lines<BufReader<ChildStdout>>,
}

impl ServerProcess {
    /// Starts `program --data-dir DIR --listen LISTEN` with more arguments, and waits until it
    /// says that it listens. It answers operators on a free port unless the arguments name one.
    ///
    /// # Errors
    /// When it cannot be started, ends at once, or says nothing for a minute.
    pub async fn start(
        program: &Path,
        data_dir: &Path,
        listen: &str,
        arguments: &[&str],
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command
            .arg("--data-dir")
            .arg(data_dir)
            .args(["--listen", listen])
            .args(arguments);
        Self::spawn(command).await
    }

    /// Runs `command`, which starts a server, and waits until it says that it listens. What it says
    /// on its standard error goes where the command says.
    ///
    /// # Errors
    /// As those of [`ServerProcess::start`].
    pub async fn spawn(mut command: Command) -> io::Result<Self> {
        let mut child = command
            .env(ADMIN.0, ADMIN.1)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("no output pipe"))?;
        let mut lines = BufReader::new(stdout).lines();
        let mut admin = None;
        let address = patient(async {
            while let Some(line) = lines.next_line().await? {
                if let Some(url) = line.strip_prefix("admin on ") {
                    admin = Some(url.to_owned());
                }
                let after = line
                    .split_once("listening on ws://")
                    .map(|(_, after)| after);
                if let Some(address) = after.and_then(|after| after.split_whitespace().next()) {
                    return address.parse().map_err(io::Error::other);
                }
            }
            Err(io::Error::other("the server ended before it listened"))
        })
        .await?;
        Ok(Self {
            child,
            address,
            admin,
            _output: lines,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Where it answers operators, as a URL; none when it was told not to.
    #[must_use]
    pub fn admin(&self) -> Option<&str> {
        self.admin.as_deref()
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Asks it to end as SIGTERM does, and waits for its exit status.
    ///
    /// # Errors
    /// When it does not end within a minute.
    pub async fn terminate(mut self) -> io::Result<ExitStatus> {
        if let Some(pid) = self.child.id() {
            Command::new("kill")
                .args(["-TERM", &pid.to_string()])
                .status()
                .await?;
        }
        patient(self.child.wait()).await
    }
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started or does not end within `limit`.
pub async fn run(
    program: &Path,
    arguments: &[impl AsRef<OsStr>],
    limit: Duration,
) -> io::Result<Output> {
    let output = Command::new(program)
        .args(arguments)
        .env(ADMIN.0, ADMIN.1)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    within(limit, output).await
}

async fn patient<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    within(PATIENCE, future).await
}

async fn within<T>(limit: Duration, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    #[expect(clippy::disallowed_methods, reason = "real processes run in real time")]
    let result = tokio::time::timeout(limit, future).await;
    result.unwrap_or_else(|_| {
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nothing happened for {limit:?}"),
        ))
    })
}
