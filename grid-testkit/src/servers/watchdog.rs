//! What stops a server when the process that started it is gone.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Waits for the end of its input, which comes when nobody holds the other end: then stops the
/// server and removes its folder.
const SCRIPT: &str = r#"cat > /dev/null; folder=$1; shift; cd /; "$@"; rm -rf -- "$folder""#;

/// A shell that outlives this process, however that ends, by just as long as cleaning up takes.
#[derive(Debug)]
pub(super) struct Watchdog(Child);

impl Watchdog {
    /// Runs `stop` and removes `folder` when this value or this process is gone.
    pub(super) fn start<A: AsRef<OsStr>>(
        folder: &Path,
        stop: impl IntoIterator<Item = A>,
    ) -> io::Result<Self> {
        let mut command = Command::new("sh");
        // So that what ends this process with its whole group does not end the watchdog too.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
            .args(["-c", SCRIPT, "watchdog"])
            .arg(folder)
            .args(stop)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        if let Err(error) = self.0.wait() {
            eprintln!("a server's watchdog cannot be waited for: {error}");
        }
    }
}
