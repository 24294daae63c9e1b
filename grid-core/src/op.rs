//! What a client asks for: operations, and the identities and stamps that order them.

use std::fmt;

use bytes::Bytes;

use crate::address::{Key, MapName};
use crate::hlc::Hlc;

/// One opening of a client's store (each tab too): 64 random bits, never 0 in use.
///
/// A run is the node of the hybrid logical clock and the first half of an [`OpId`], so a copied
/// database file or a restored phone never issues one id for two ops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The identity of an op: its run, and its number within the run, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct OpId {
    /// The run that issued the op.
    pub run: RunId,
    /// The op's number within the run.
    pub number: u64,
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.run, self.number)
    }
}

/// The version of a record: when it was written, and by which op. Ordered by time, run, number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp {
    /// When, in hybrid logical time.
    pub hlc: Hlc,
    /// Which op; breaks ties.
    pub op: OpId,
}

impl Stamp {
    /// Before every version: "no such entry".
    pub const ZERO: Self = Self {
        hlc: Hlc::ZERO,
        op: OpId {
            run: RunId(0),
            number: 0,
        },
    };
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.hlc, self.op)
    }
}

/// What an op does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Sets the entry.
    Put {
        /// The value, as CBOR; never re-encoded.
        value: Bytes,
        /// Lifetime in milliseconds from the final stamp; none means for ever.
        ttl_ms: Option<u64>,
    },
    /// Removes the entry.
    Remove,
}

/// How safe an op is when the server tells what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum AckLevel {
    /// It is decided. It survives nothing: not even the end of the server's process.
    Memory,
    /// It is in the server's journal, which survives the end of the process and a power cut.
    #[default]
    Journaled,
    /// The system of record has it, or keeps it as a dead letter: it survives the loss of the
    /// journal too.
    Stored,
}

impl AckLevel {
    /// The name, as settings have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Journaled => "journaled",
            Self::Stored => "stored",
        }
    }

    /// The level of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Memory, Self::Journaled, Self::Stored]
            .into_iter()
            .find(|level| level.name() == name)
    }

    /// The number that stands for it in frames and rows.
    #[must_use]
    pub(crate) fn code(self) -> u64 {
        self as u64
    }

    pub(crate) fn from_code(code: u64) -> Option<Self> {
        [Self::Memory, Self::Journaled, Self::Stored]
            .into_iter()
            .find(|level| level.code() == code)
    }
}

/// One operation on one entry, as it waits in an outbox and travels to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// The op's identity, kept from birth to verdict.
    pub id: OpId,
    /// When it was made, by the clock of its run.
    pub hlc: Hlc,
    /// The map, within the namespace of the connection.
    pub map: MapName,
    /// The entry.
    pub key: Key,
    /// What to do.
    pub action: Action,
    /// The confirmed version that was edited; [`Hlc::ZERO`] for a create.
    pub base: Hlc,
    /// If given, the op applies only to exactly this version ([`Stamp::ZERO`]: no such entry).
    pub if_version: Option<Stamp>,
    /// The version of the value's schema, counted from 0.
    pub schema: u32,
    /// When the server is to tell what became of it; none leaves that to the server's settings.
    pub ack: Option<AckLevel>,
}

impl Op {
    /// The version that this op writes when it is accepted with its own time.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp {
            hlc: self.hlc,
            op: self.id,
        }
    }
}
