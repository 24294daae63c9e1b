//! Policy: who may read which map, and who may perform which op.
//!
//! Reads are refused in the gateway. Writes get a veto on the partition's side, so that the op has
//! its verdict in its turn.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use read::ReadPolicyLayer;
pub(crate) use write::WritePolicyLayer;
