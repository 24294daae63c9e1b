//! What a read saw of one entry.

use std::fmt;

use grid_core::Stamp;
use serde::{Deserialize, Serialize};

use super::text;
use super::value::Value;

/// What was seen of one entry: its value, or that there is none, and the version if it is known.
///
/// **The version is the one that the server gave.** Where a client shows its own pending write,
/// the entry has no such version yet: leave it out, and let a value of its own tell which write
/// was seen. (`Map::version` of the client tells the *confirmed* version, which belongs to
/// `Map::get` only while no write of the client is pending on that key.)
///
/// ```
/// use grid_testkit::history::Seen;
///
/// assert_eq!(Seen::value(7).to_string(), "7");
/// assert_eq!(Seen::absent().to_string(), "nothing");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The value; none if there is no such entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The version of the entry, or of its tombstone; [`Stamp::ZERO`] if there was neither.
    #[serde(
        default,
        with = "text::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub version: Option<Stamp>,
}

impl Seen {
    /// An entry with this value.
    ///
    /// ```
    /// # use grid_testkit::history::Seen;
    /// assert!(Seen::value("milk").value.is_some());
    /// ```
    #[must_use]
    pub fn value(value: impl Into<Value>) -> Self {
        Self {
            value: Some(value.into()),
            version: None,
        }
    }

    /// No such entry.
    ///
    /// ```
    /// # use grid_testkit::history::Seen;
    /// assert!(Seen::absent().value.is_none());
    /// ```
    #[must_use]
    pub fn absent() -> Self {
        Self {
            value: None,
            version: None,
        }
    }

    /// The same, at this version.
    ///
    /// ```
    /// # use grid_testkit::history::Seen;
    /// use grid_core::Stamp;
    ///
    /// let never_written = Seen::absent().at(Stamp::ZERO);
    /// assert_eq!(never_written.version, Some(Stamp::ZERO));
    /// ```
    #[must_use]
    pub fn at(mut self, version: Stamp) -> Self {
        self.version = Some(version);
        self
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{value}")?,
            None => f.write_str("nothing")?,
        }
        match &self.version {
            Some(version) if *version == Stamp::ZERO => f.write_str(" (never written)"),
            Some(version) => write!(f, " (version {version})"),
            None => Ok(()),
        }
    }
}
