//! The scenes, one file each.

pub mod accepting;
pub mod ending;
pub mod piping;
pub mod sending;
