//! What a target is.

use crate::targets::TARGETS;

/// An input to start from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// The name of its file.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Seed {
    /// A seed.
    #[must_use]
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            bytes: bytes.into(),
        }
    }
}

/// Something that takes bytes from anybody.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What to call it: on the command line, in `fuzz/Cargo.toml`, and in `corpus/`.
    pub name: &'static str,
    /// What holds whatever the bytes are.
    pub promise: &'static str,
    /// Tries one input; panics when the promise does not hold.
    pub run: fn(&[u8]),
    /// Inputs that reach far into the code.
    pub seeds: fn() -> Vec<Seed>,
}

impl Target {
    /// The target of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }
}
