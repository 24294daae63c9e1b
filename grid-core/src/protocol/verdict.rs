//! The fate of an op, as the server tells it.

use std::fmt;

use crate::hlc::Hlc;
use crate::op::Stamp;

/// Why the server refused an op, a view or a read: for good, unless the reason says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// The principal may not do this.
    Forbidden,
    /// The edited entry was deleted so long ago that its tombstone is gone.
    Gone,
    /// The entry is not at the version that the op asked for.
    VersionMismatch,
    /// The key or value exceeds the server's bound.
    TooLarge,
    /// The op's value is not well-formed, or its key or map is not allowed.
    Malformed,
    /// The run was bound to another principal.
    ForeignRun,
    /// What a read asks for is not served at present; it may be asked for again on the same
    /// connection, later. Never the fate of an op.
    Unavailable,
    /// A reason that this version of the code does not know.
    Unknown(u8),
}

impl RejectReason {
    /// The reason's number on the wire and in stored formats.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Forbidden => 1,
            Self::Gone => 2,
            Self::VersionMismatch => 3,
            Self::TooLarge => 4,
            Self::Malformed => 5,
            Self::ForeignRun => 6,
            Self::Unavailable => 7,
            Self::Unknown(code) => code,
        }
    }

    /// The reason with this number.
    #[must_use]
    pub fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Forbidden,
            2 => Self::Gone,
            3 => Self::VersionMismatch,
            4 => Self::TooLarge,
            5 => Self::Malformed,
            6 => Self::ForeignRun,
            7 => Self::Unavailable,
            other => Self::Unknown(other),
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden => f.write_str("forbidden"),
            Self::Gone => f.write_str("gone"),
            Self::VersionMismatch => f.write_str("version mismatch"),
            Self::TooLarge => f.write_str("too large"),
            Self::Malformed => f.write_str("malformed"),
            Self::ForeignRun => f.write_str("foreign run"),
            Self::Unavailable => f.write_str("unavailable"),
            Self::Unknown(code) => write!(f, "reason {code}"),
        }
    }
}

/// What became of an op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It took effect with the time that it came with.
    Accepted,
    /// It took effect; its stamp lay too far ahead and became this one.
    Restamped(Hlc),
    /// A version later than it was there already; this is that version.
    Superseded(Stamp),
    /// It took no effect.
    Rejected {
        /// Why, for code.
        reason: RejectReason,
        /// Why, for people.
        message: String,
    },
}
