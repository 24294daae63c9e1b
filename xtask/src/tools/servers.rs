//! The databases of the tests, started once for all steps that need them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};

use super::nx27017::nx27017;
use super::postgres::postgres;
use crate::failure::{Failure, Result};
use crate::invocation::Invocation;
use crate::workspace::Workspace;

/// The program of the testkit that starts them, and ends them when its input ends: when this
/// process does, at the latest.
const PROGRAM: &str = "grid-test-servers";

static RUNNING: Mutex<Option<Servers>> = Mutex::new(None);

/// The servers that run.
#[derive(Debug)]
struct Servers {
    program: Child,
    /// The variables that point the suites at them.
    variables: Vec<(String, String)>,
}

/// `command` with the variables that point suites at the databases, which are started, and what
/// they need installed, if that was not done yet.
///
/// # Errors
/// When a database cannot be had or does not start.
pub(crate) fn with_servers(workspace: &Workspace, command: Invocation) -> Result<Invocation> {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let servers = match running.take() {
        Some(servers) => servers,
        None => start(workspace)?,
    };
    let variables = &running.insert(servers).variables;
    Ok(variables
        .iter()
        .fold(command, |command, (name, url)| command.env(name, url)))
}

/// Ends the databases, if they run.
///
/// # Errors
/// When they did not end as they should.
pub(crate) fn stop_servers() -> Result<()> {
    let running = RUNNING
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let Some(mut servers) = running else {
        return Ok(());
    };
    drop(servers.program.stdin.take());
    match servers.program.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("the databases ended with {status}"))),
        Err(error) => Err(Failure::new(format!("the databases do not end: {error}"))),
    }
}

fn start(workspace: &Workspace) -> Result<Servers> {
    postgres()?;
    nx27017()?;
    let run = workspace.cargo().args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        "grid-testkit",
        "--bin",
        PROGRAM,
    ]);
    println!("$ {run}");
    let mut program = run.start(Stdio::piped(), Stdio::piped())?;
    let variables = program.stdout.take().map(read).unwrap_or_default();
    if variables.is_empty() {
        // It has said why where our own errors go.
        return Err(Failure::new("the databases of the tests did not start"));
    }
    Ok(Servers { program, variables })
}

/// The lines `VARIABLE=URL` until `ready`; none when it ended before that.
fn read(output: impl std::io::Read) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for line in BufReader::new(output).lines() {
        match line {
            Ok(line) if line == "ready" => return variables,
            Ok(line) => variables.extend(
                line.split_once('=')
                    .map(|(name, url)| (name.to_owned(), url.to_owned())),
            ),
            Err(_) => break,
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn takes_what_is_ready_only() {
        let said = "A_URL=postgres://u@h:1/d?x=y\nB_URL=mongodb://h/d\n";
        let ready = format!("{said}ready\n");
        let expected = [
            ("A_URL".to_owned(), "postgres://u@h:1/d?x=y".to_owned()),
            ("B_URL".to_owned(), "mongodb://h/d".to_owned()),
        ];
        assert_eq!(read(ready.as_bytes()), expected);
        assert!(read(said.as_bytes()).is_empty());
    }
}
