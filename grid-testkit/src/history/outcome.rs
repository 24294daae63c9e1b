//! What a call came to.

use std::collections::BTreeMap;
use std::fmt;

use grid_core::Stamp;
use serde::{Deserialize, Serialize};

use super::seen::Seen;
use super::text;

/// The text of `RejectReason::VersionMismatch`: the one rejection that tells something about the
/// state, namely that the entry was not at the version that was asked for.
pub(super) const VERSION_MISMATCH: &str = "version mismatch";

/// What a call came to, as far as its session learned.
///
/// A write has two stages: it returns when it is *durable* on the device, and later its *fate* is
/// told (acked, superseded or rejected). Both are recorded, in that order, for the same call. A
/// call of which nothing is recorded (its process died) counts as [`Outcome::Unknown`].
///
/// ```
/// use grid_core::protocol::RejectReason;
/// use grid_testkit::history::Outcome;
///
/// let refused = Outcome::rejected(RejectReason::Forbidden);
/// assert_eq!(refused.to_string(), "rejected: forbidden");
/// assert!(refused.is_fate() && !Outcome::Durable.is_fate());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// A write is durable on its device; its fate is still to come.
    Durable,
    /// A write took effect at the server.
    Acked {
        /// The version that it got, if it is known.
        #[serde(
            default,
            with = "text::optional",
            skip_serializing_if = "Option::is_none"
        )]
        version: Option<Stamp>,
    },
    /// The server had a later version already.
    Superseded {
        /// That version, if it is known.
        #[serde(
            default,
            with = "text::optional",
            skip_serializing_if = "Option::is_none"
        )]
        by: Option<Stamp>,
    },
    /// The server refused the write, which had no effect.
    Rejected {
        /// Why: the text of `RejectReason`.
        reason: String,
    },
    /// A get returned this.
    Read(Seen),
    /// A scan returned these entries, by key; an entry that is not among them was not there.
    Scanned(BTreeMap<String, Seen>),
    /// The call failed, or never returned: it may take effect at any later time, or never.
    Unknown,
}

impl Outcome {
    /// The ack of a write whose version is not known.
    ///
    /// ```
    /// # use grid_testkit::history::Outcome;
    /// assert_eq!(Outcome::acked().to_string(), "acked");
    /// ```
    #[must_use]
    pub fn acked() -> Self {
        Self::Acked { version: None }
    }

    /// The ack of a write that got this version.
    ///
    /// ```
    /// # use grid_testkit::history::Outcome;
    /// use grid_core::Stamp;
    ///
    /// let acked = Outcome::acked_at(Stamp::ZERO);
    /// assert!(matches!(acked, Outcome::Acked { version: Some(_) }));
    /// ```
    #[must_use]
    pub fn acked_at(version: Stamp) -> Self {
        Self::Acked {
            version: Some(version),
        }
    }

    /// A rejection; `reason` is printed, so a `RejectReason` will do.
    ///
    /// ```
    /// # use grid_testkit::history::Outcome;
    /// assert!(Outcome::rejected("forbidden").is_fate());
    /// ```
    #[must_use]
    pub fn rejected(reason: impl fmt::Display) -> Self {
        Self::Rejected {
            reason: reason.to_string(),
        }
    }

    /// Whether this is a write's fate: acked, superseded or rejected.
    ///
    /// ```
    /// # use grid_testkit::history::Outcome;
    /// assert!(Outcome::acked().is_fate());
    /// assert!(!Outcome::Unknown.is_fate());
    /// ```
    #[must_use]
    pub fn is_fate(&self) -> bool {
        matches!(
            self,
            Self::Acked { .. } | Self::Superseded { .. } | Self::Rejected { .. }
        )
    }

    /// Whether two fates say the same, whichever of them tells a version.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Acked { version: one }, Self::Acked { version: two }) => {
                one.is_none() || two.is_none() || one == two
            }
            // Asked again, the server may name what is there by now.
            (Self::Superseded { .. }, Self::Superseded { .. }) => true,
            (one, two) => one == two,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Durable => f.write_str("durable"),
            Self::Acked { version: None } => f.write_str("acked"),
            Self::Acked {
                version: Some(version),
            } => write!(f, "acked at version {version}"),
            Self::Superseded { by: None } => f.write_str("superseded"),
            Self::Superseded { by: Some(by) } => write!(f, "superseded by {by}"),
            Self::Rejected { reason } => write!(f, "rejected: {reason}"),
            Self::Read(seen) => write!(f, "read {seen}"),
            Self::Scanned(entries) if entries.is_empty() => f.write_str("read no entries"),
            Self::Scanned(entries) => {
                f.write_str("read ")?;
                for (number, (key, seen)) in entries.iter().enumerate() {
                    let comma = if number == 0 { "" } else { ", " };
                    write!(f, "{comma}{key} = {seen}")?;
                }
                Ok(())
            }
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use grid_core::protocol::RejectReason;

    use super::*;

    #[test]
    fn the_rejection_that_tells_of_the_state_is_spelt_as_the_grid_spells_it() {
        assert_eq!(VERSION_MISMATCH, RejectReason::VersionMismatch.to_string());
    }
}
