//! Node.js, which runs the wasm builds of crates without a browser.

use super::apt;
use crate::failure::Result;
use crate::invocation::Invocation;

/// Node.js of any version that Debian 12 or later has.
///
/// # Errors
/// When it is absent and cannot be installed.
pub(crate) fn node() -> Result<Invocation> {
    let node = || Invocation::new("node");
    if node().arg("--version").capture().is_err() {
        apt::install(&["nodejs"])?;
        node().arg("--version").capture()?;
    }
    Ok(node())
}
