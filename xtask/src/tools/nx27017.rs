//! nx-27017, which speaks enough of MongoDB's protocol for the tests: no package ships MongoDB.

use super::wheel;
use crate::failure::Result;
use crate::invocation::Invocation;
use crate::workspace::cache_dir;

/// It, and what it is made of.
const PACKAGES: &[(&str, &str)] = &[
    ("nx-27017", "0.8.1"),
    ("neosqlite", "1.17.2"),
    ("pymongo", "4.20.0"),
    ("dnspython", "2.9.2"),
];

/// The program, installed if need be.
///
/// # Errors
/// When Python or one of the packages cannot be had.
pub(crate) fn nx27017() -> Result<Invocation> {
    let (name, version) = PACKAGES[0];
    let folder = cache_dir()?.join(format!("{name}-{version}"));
    let program = folder.join("bin").join(name);
    let works = || Invocation::new(&program).arg("--help").capture();
    if works().is_err() {
        println!("{name} {version} is missing: installing it");
        wheel::install_all(&folder, PACKAGES)?;
        works()?;
    }
    Ok(Invocation::new(program))
}
