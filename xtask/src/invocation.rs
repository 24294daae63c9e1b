//! Running one program: its output streams through while its tests are counted.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::counts::Counts;
use crate::failure::{Failure, Result};

/// How long one program may run before it is taken for hung.
const TIME_LIMIT: Duration = Duration::from_secs(45 * 60);

/// A program with its arguments, folder and environment.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, Option<OsString>)>,
    directory: Option<PathBuf>,
}

impl Invocation {
    /// Runs `program` without arguments, here, in this environment.
    pub(crate) fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
        }
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets a variable for this program only.
    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), Some(value.into())));
        self
    }

    /// Hides a variable from this program.
    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.environment.push((name.into(), None));
        self
    }

    /// Sets the folder to run in.
    pub(crate) fn directory(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    /// Runs it with its output going where ours goes.
    ///
    /// # Errors
    /// When it cannot be started, or ends with anything but success.
    pub(crate) fn run(&self) -> Result<()> {
        println!("$ {self}");
        let mut child = self.command().spawn().map_err(|e| self.cannot_start(&e))?;
        let status = child.wait().map_err(|e| self.cannot_start(&e))?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!("`{self}` ended with {status}")))
        }
    }

    /// Starts it, with the other ends of its input and its output for us to hold.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(&self, input: Stdio, output: Stdio) -> Result<Child> {
        self.command()
            .stdin(input)
            .stdout(output)
            .spawn()
            .map_err(|error| self.cannot_start(&error))
    }

    /// Runs it quietly and returns what it wrote to its standard output.
    ///
    /// # Errors
    /// As [`Invocation::run`]; the message ends with what it wrote to its standard error.
    pub(crate) fn capture(&self) -> Result<String> {
        let output = self
            .command()
            .stdin(Stdio::null())
            .output()
            .map_err(|e| self.cannot_start(&e))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(format!(
                "`{self}` ended with {}: {}",
                output.status,
                said.trim()
            )));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it, passes its output through line by line, and adds the tests that it counted.
    ///
    /// # Errors
    /// As [`Invocation::run`], and when it is still running after [`TIME_LIMIT`].
    pub(crate) fn count(&self, counts: &mut Counts) -> Result<()> {
        println!("$ {self}");
        self.count_to(counts, io::stdout(), io::stderr())
    }

    fn count_to(
        &self,
        counts: &mut Counts,
        out: impl Write + Send + 'static,
        err: impl Write + Send + 'static,
    ) -> Result<()> {
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if io::stdout().is_terminal() {
            command.env("CARGO_TERM_COLOR", "always");
        } else {
            // So that a hung test can be ended with all that it started. At a terminal the
            // group stays ours, so that Ctrl-C reaches the tests too.
            command.process_group(0);
        }
        let mut child = command.spawn().map_err(|e| self.cannot_start(&e))?;
        let finished_in_time = follow(&mut child, counts, out, err);
        if !finished_in_time {
            end(&mut child);
        }
        let status = child.wait().map_err(|e| self.cannot_start(&e))?;
        if !finished_in_time {
            return Err(Failure::new(format!(
                "`{self}` was still running after {} minutes and was ended",
                TIME_LIMIT.as_secs() / 60
            )));
        }
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!("`{self}` ended with {status}")))
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }

    fn cannot_start(&self, error: &io::Error) -> Failure {
        Failure::new(format!("cannot run `{self}`: {error}"))
    }
}

/// The command as a person would type it, but for variables and quotes.
impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = Path::new(&self.program);
        write!(f, "{}", program.file_name().unwrap_or_default().display())?;
        for argument in &self.arguments {
            write!(f, " {}", argument.display())?;
        }
        Ok(())
    }
}

/// Passes the output of `child` through until it ends; false when the time is up before that.
fn follow(
    child: &mut Child,
    counts: &mut Counts,
    out: impl Write + Send + 'static,
    err: impl Write + Send + 'static,
) -> bool {
    let (sender, lines) = mpsc::channel();
    if let Some(stderr) = child.stderr.take() {
        let sender = sender.clone();
        thread::spawn(move || pass(stderr, err, &sender));
    }
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || pass(stdout, out, &sender));
    } else {
        drop(sender);
    }
    let deadline = Instant::now() + TIME_LIMIT;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(found) => *counts += found,
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => return false,
        }
    }
}

/// Copies lines from `from` to `to` and sends on the counts that are among them.
fn pass(from: impl Read, mut to: impl Write, counts: &Sender<Counts>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while matches!(from.read_until(b'\n', &mut line), Ok(1..)) {
        let found = Counts::of_line(&String::from_utf8_lossy(&line));
        // Nobody is left to tell when our own output is gone; the tests still count.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        if found.is_some_and(|found| counts.send(found).is_err()) {
            return;
        }
        line.clear();
    }
}

/// Ends `child`, and its process group when it leads one.
fn end(child: &mut Child) {
    let group = format!("-{}", child.id());
    let ended_group = Command::new("kill")
        .args(["-KILL", "--", &group])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !ended_group && let Err(error) = child.kill() {
        eprintln!("cannot end process {}: {error}", child.id());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_every_closing_line_and_tells_of_failure() {
        let script = "echo 'test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured'; \
                      echo 'test result: FAILED. 1 passed; 4 failed; 0 ignored; 0 measured'; exit 101";
        let mut counts = Counts::default();
        let failure = Invocation::new("sh")
            .args(["-c", script])
            .count_to(&mut counts, io::sink(), io::sink())
            .expect_err("the program failed");
        assert_eq!((counts.passed, counts.failed, counts.ignored), (3, 4, 1));
        assert!(failure.to_string().contains("101"), "{failure}");
    }

    #[test]
    fn hands_over_variables_and_hides_them() {
        let said = Invocation::new("sh")
            .args(["-c", "echo $SHOWN-$PATH"])
            .env("SHOWN", "yes")
            .without_env("PATH")
            .capture();
        // A shell without PATH falls back to one of its own, which is not ours.
        let ours = std::env::var("PATH").expect("there is a PATH");
        let said = said.expect("ran");
        assert!(said.starts_with("yes-") && !said.contains(&ours), "{said}");
    }

    #[test]
    fn names_a_program_that_is_not_there() {
        let failure = Invocation::new("no-such-program-here")
            .run()
            .expect_err("absent");
        assert!(failure.to_string().contains("no-such-program-here"));
    }
}
