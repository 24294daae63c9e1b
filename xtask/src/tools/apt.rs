//! Debian's packages: installed when we may, named when we may not.

use std::sync::OnceLock;

use crate::failure::{Failure, Result};
use crate::invocation::Invocation;

/// Whether this machine installs its programs with apt.
pub(super) fn is_there() -> bool {
    Invocation::new("apt-get")
        .arg("--version")
        .capture()
        .is_ok()
}

/// Installs `packages`, or brings them to the newest version.
///
/// # Errors
/// When this machine has no apt, we are neither root nor allowed to use sudo, or apt refuses;
/// the message names the packages.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    let command = format!("apt-get install {}", packages.join(" "));
    if !is_there() {
        return Err(Failure::new(format!(
            "this needs what Debian calls {}; install that by your system's ways",
            packages.join(", ")
        )));
    }
    let become_root = become_root().ok_or_else(|| {
        Failure::new(format!(
            "this may not install packages (neither root nor sudo without a password): run \
             `sudo apt-get update && sudo {command}`"
        ))
    })?;
    static UPDATED: OnceLock<()> = OnceLock::new();
    if UPDATED.get().is_none() {
        apt_get(become_root).arg("update").run()?;
        UPDATED.get_or_init(|| ());
    }
    apt_get(become_root)
        // What the person has installed is theirs: a conflict is told, not resolved.
        .args(["install", "--yes", "--no-install-recommends", "--no-remove"])
        .args(packages)
        .run()
}

/// The words before a command that make it run as root; `None` when there are none.
fn become_root() -> Option<&'static [&'static str]> {
    let id = Invocation::new("id").arg("-u").capture().ok()?;
    if id.trim() == "0" {
        return Some(&[]);
    }
    Invocation::new("sudo")
        .args(["-n", "true"])
        .capture()
        .is_ok()
        .then_some(&["sudo", "-n"])
}

fn apt_get(become_root: &[&str]) -> Invocation {
    let mut words = become_root.to_vec();
    words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    Invocation::new(words[0]).args(&words[1..])
}
