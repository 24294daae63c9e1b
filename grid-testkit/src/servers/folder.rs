//! A folder, a port and a user for a server.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Whom servers run as when this process is root's, which most of them refuse to run as.
const NOBODY: [&str; 4] = [
    "setpriv",
    "--reuid=nobody",
    "--regid=nogroup",
    "--clear-groups",
];

/// How long to wait before the next look at another process.
const PAUSE: Duration = Duration::from_millis(100);

/// A new empty folder whose owner is [`words`]'s user.
pub(super) fn make(name: &str) -> io::Result<PathBuf> {
    let folder = make_own(name)?;
    if is_root()? {
        run(
            &folder,
            [
                "chown".as_ref(),
                "nobody:nogroup".as_ref(),
                folder.as_os_str(),
            ],
        )?;
    }
    Ok(folder)
}

/// A new empty folder whose owner is this process's user.
pub(super) fn make_own(name: &str) -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    let folder = std::env::temp_dir().join(format!("grid-{name}-{process}-{number}"));
    // Left by a process of the same number that ended with the machine.
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The words of a command that runs `program` as a user without rights.
pub(super) fn words(program: &Path) -> io::Result<Vec<OsString>> {
    let mut words: Vec<OsString> = Vec::new();
    if is_root()? {
        words.extend(NOBODY.map(Into::into));
    }
    words.push(program.into());
    Ok(words)
}

/// Runs a command in `folder` and waits for it; its error holds what it said.
pub(super) fn run<A: AsRef<OsStr>>(
    folder: &Path,
    words: impl IntoIterator<Item = A>,
) -> io::Result<()> {
    let words: Vec<OsString> = words.into_iter().map(|word| word.as_ref().into()).collect();
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| io::Error::other("no command"))?;
    // To a file: a server that is started keeps what it is given for ever, and a pipe would wait.
    let said = folder.join("said");
    let output = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(&said)?;
    let status = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
    if status.success() {
        return Ok(());
    }
    let said = std::fs::read_to_string(&said)?;
    Err(io::Error::other(format!(
        "{} ended with {status}: {}",
        program.display(),
        said.trim()
    )))
}

/// A port that nobody listens on now.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn is_root() -> io::Result<bool> {
    let id = Command::new("id").arg("-u").output()?;
    Ok(id.stdout.trim_ascii() == b"0")
}

#[expect(
    clippy::disallowed_methods,
    reason = "another process cannot be awaited"
)]
pub(super) fn pause() {
    std::thread::sleep(PAUSE);
}
