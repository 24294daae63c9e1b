//! One row of the diagram: something that happened, at one party.

use std::time::Duration;

use super::flights::Flight;
use crate::sim::PartyId;

/// What a row shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A frame leaves; the number of its flight.
    Sent(usize),
    /// A frame arrives; the number of its flight.
    Arrived(usize),
    /// An app writes.
    Write,
    /// An app reads.
    Read,
    /// An app was told about a write; how it looks.
    Told(&'static str),
    /// A party lost its power.
    Down,
    /// A party is there.
    Up,
    /// A server stores; whether it failed.
    Stored { failed: bool },
    /// A fault happens, or all of them end.
    Fault,
    /// How the run ended; whether something did not hold.
    End { broken: bool },
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) at: Duration,
    /// Where it is drawn.
    pub(super) party: PartyId,
    pub(super) mark: Mark,
    /// In a few words; empty where the mark says it all.
    pub(super) label: String,
    /// In full.
    pub(super) details: String,
    /// The entries that it is about, as `map/key`.
    pub(super) keys: Vec<String>,
    /// Who takes part: it is shown when all of them are.
    pub(super) parties: Vec<PartyId>,
    /// A sign of life, which is shown only on demand.
    pub(super) idle: bool,
}

/// All that is drawn.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) rows: Vec<Row>,
    pub(super) flights: Vec<Flight>,
    /// How many rows of the beginning are left out.
    pub(super) left_out: usize,
}
