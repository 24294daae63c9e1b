//! One device: the program `grid` on a store of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use grid_testkit::process;
use serde_json::Value;
use tokio::process::{Child, Command};

/// How long one command may take; on a busy machine everything is slow.
const LIMIT: Duration = Duration::from_secs(300);

pub(crate) struct Device {
    program: PathBuf,
    folder: PathBuf,
    name: String,
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
    pub(crate) fn new(program: &Path, parent: &Path, name: &str, server: &str) -> Self {
        let folder = parent.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            program: program.into(),
            folder,
            name: name.into(),
            server: server.into(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let store = format!("sqlite://{}", self.folder.join("device.db").display());
        let mut all = vec![
            "--server".into(),
            self.server.clone(),
            "--store".into(),
            store,
        ];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        all
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        Command::new(&self.program)
            .args(self.arguments(arguments))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        let output = process::run(&self.program, &self.arguments(arguments), LIMIT)
            .await
            .unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.stdout.trim()).unwrap()
    }
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
