//! Reads the records of a file, one after the other: JSON array, JSON Lines or CSV.

mod array;
mod file;
mod lines;
mod quotes;
mod record;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use file::{Import, open};
