//! The authoritative server: gateway, partitions, journal, write-behind.

pub mod config;
pub mod journal;
