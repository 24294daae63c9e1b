//! One device: the program on a store of its own, and what may stand on the other side.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use grid_testkit::process::{self, ServerProcess};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// How long one command may take; on a busy machine everything is slow.
const LIMIT: Duration = Duration::from_secs(120);

/// Nobody listens there.
pub(crate) const NOWHERE: &str = "ws://127.0.0.1:1";

pub(crate) struct Device {
    folder: TempDir,
    server: String,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Device {
    pub(crate) fn new(server: &str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            server: server.into(),
        }
    }

    /// The same device, for which the server is elsewhere by now.
    pub(crate) fn moved(self, server: &str) -> Self {
        Self {
            server: server.into(),
            ..self
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> String {
        format!("sqlite://{}", self.path("device.db").display())
    }

    /// A file in the device's folder, by its path as text.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grid"));
        command
            .env("GRID_SERVER", &self.server)
            .env("GRID_STORE", self.store())
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Starts a command whose output is read as it comes.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.start(arguments)).await
    }

    /// Asks `server` as its operator.
    pub(crate) async fn admin(&self, server: &Server, arguments: &[&str]) -> Ended {
        let url = server.process.admin().unwrap();
        self.run(&[&["admin", "--admin", url], arguments].concat())
            .await
    }

    pub(crate) async fn status(&self) -> Value {
        let status = self.run(&["--json", "status"]).await.code(0);
        serde_json::from_str(&status.stdout).unwrap()
    }
}

pub(crate) async fn ended(child: Child) -> Ended {
    let output = tokio::time::timeout(LIMIT, child.wait_with_output());
    let output = output.await.unwrap().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self
    }

    /// Standard error holds these words.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "{word}: {}", self.stderr);
        }
        self
    }

    /// Standard output is this.
    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert_eq!(self.stdout, text, "{}", self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.stdout.trim()).unwrap()
    }
}

/// Sends a signal, as `kill` names it.
pub(crate) async fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(status.await.unwrap().success());
}

/// A server on a port of its own; its folder goes when it does.
pub(crate) struct Server {
    pub(crate) process: ServerProcess,
    pub(crate) folder: TempDir,
}

impl Server {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = start(folder.path(), "127.0.0.1:0", arguments).await;
        Self { process, folder }
    }

    pub(crate) fn url(&self) -> String {
        self.process.url()
    }

    /// Ends it as `kill -9` does, and starts it again in its place.
    pub(crate) async fn kill_and_restart(self) -> Self {
        let listen = self.process.address().to_string();
        self.process.kill().await.unwrap();
        let process = start(self.folder.path(), &listen, &[]).await;
        Self { process, ..self }
    }
}

pub(crate) async fn start(folder: &Path, listen: &str, arguments: &[&str]) -> ServerProcess {
    let programs = process::build(&["grid-server"]);
    let process = ServerProcess::start(&programs[0], folder, listen, arguments).await;
    process.unwrap()
}

/// What takes connections and never says a word.
pub(crate) async fn mute() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, url)
}
