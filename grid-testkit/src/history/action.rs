//! What a session asks for.

use std::fmt;

use grid_core::Stamp;
use serde::{Deserialize, Serialize};

use super::text;
use super::value::Value;

/// Whose state a read looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The session's own copy: fast, and allowed to be behind. Held to the guarantees of
    /// [`check_sessions`](super::check_sessions).
    Local,
    /// The server's state. Held to [`check_linearizable`](super::check_linearizable).
    Server,
}

/// One operation.
///
/// ```
/// use grid_testkit::history::{Action, Source};
///
/// let put = Action::put("lists", "milk", 2);
/// assert_eq!(put.to_string(), "put lists/milk = 2");
/// let get = Action::get(Source::Server, "lists", "milk");
/// assert_eq!(get.to_string(), "get lists/milk from the server");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Sets an entry.
    Put {
        /// The map.
        map: String,
        /// The key.
        key: String,
        /// The value.
        value: Value,
        /// Only if the entry is at this version ([`Stamp::ZERO`]: no such entry).
        #[serde(
            default,
            with = "text::optional",
            skip_serializing_if = "Option::is_none"
        )]
        if_version: Option<Stamp>,
    },
    /// Removes an entry.
    Remove {
        /// The map.
        map: String,
        /// The key.
        key: String,
        /// Only if the entry is at this version ([`Stamp::ZERO`]: no such entry).
        #[serde(
            default,
            with = "text::optional",
            skip_serializing_if = "Option::is_none"
        )]
        if_version: Option<Stamp>,
    },
    /// Reads one entry.
    Get {
        /// The map.
        map: String,
        /// The key.
        key: String,
        /// Whose state is read.
        from: Source,
    },
    /// Reads all entries of a map whose keys begin with a prefix. Not one instant: each key is
    /// read at some time between call and return.
    Scan {
        /// The map.
        map: String,
        /// The prefix; empty for the whole map.
        prefix: String,
        /// Whose state is read.
        from: Source,
    },
}

impl Action {
    /// Sets an entry.
    ///
    /// ```
    /// # use grid_testkit::history::Action;
    /// assert_eq!(Action::put("m", "k", 1).map(), "m");
    /// ```
    #[must_use]
    pub fn put(map: impl Into<String>, key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::Put {
            map: map.into(),
            key: key.into(),
            value: value.into(),
            if_version: None,
        }
    }

    /// Removes an entry.
    ///
    /// ```
    /// # use grid_testkit::history::Action;
    /// assert_eq!(Action::remove("m", "k").to_string(), "remove m/k");
    /// ```
    #[must_use]
    pub fn remove(map: impl Into<String>, key: impl Into<String>) -> Self {
        Self::Remove {
            map: map.into(),
            key: key.into(),
            if_version: None,
        }
    }

    /// Reads an entry.
    ///
    /// ```
    /// # use grid_testkit::history::{Action, Source};
    /// assert!(!Action::get(Source::Local, "m", "k").is_write());
    /// ```
    #[must_use]
    pub fn get(from: Source, map: impl Into<String>, key: impl Into<String>) -> Self {
        Self::Get {
            map: map.into(),
            key: key.into(),
            from,
        }
    }

    /// Reads all entries of a map.
    ///
    /// ```
    /// # use grid_testkit::history::{Action, Source};
    /// assert_eq!(Action::scan(Source::Server, "m").to_string(), "scan m/* from the server");
    /// ```
    #[must_use]
    pub fn scan(from: Source, map: impl Into<String>) -> Self {
        Self::Scan {
            map: map.into(),
            prefix: String::new(),
            from,
        }
    }

    /// The same write, made only if the entry is at this version; a read stays as it is.
    ///
    /// ```
    /// # use grid_testkit::history::Action;
    /// use grid_core::Stamp;
    ///
    /// let create = Action::put("m", "k", 1).if_version(Stamp::ZERO);
    /// assert_eq!(create.to_string(), "put m/k = 1 if there is none");
    /// ```
    #[must_use]
    pub fn if_version(mut self, version: Stamp) -> Self {
        match &mut self {
            Self::Put { if_version, .. } | Self::Remove { if_version, .. } => {
                *if_version = Some(version);
            }
            Self::Get { .. } | Self::Scan { .. } => {}
        }
        self
    }

    /// The map.
    ///
    /// ```
    /// # use grid_testkit::history::Action;
    /// assert_eq!(Action::remove("m", "k").map(), "m");
    /// ```
    #[must_use]
    pub fn map(&self) -> &str {
        match self {
            Self::Put { map, .. }
            | Self::Remove { map, .. }
            | Self::Get { map, .. }
            | Self::Scan { map, .. } => map,
        }
    }

    /// Whether it is a put or a remove.
    ///
    /// ```
    /// # use grid_testkit::history::Action;
    /// assert!(Action::remove("m", "k").is_write());
    /// ```
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(self, Self::Put { .. } | Self::Remove { .. })
    }

    /// The key of a put, a remove or a get.
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::Put { key, .. } | Self::Remove { key, .. } | Self::Get { key, .. } => Some(key),
            Self::Scan { .. } => None,
        }
    }

    /// What a put would set.
    pub(super) fn value(&self) -> Option<&Value> {
        match self {
            Self::Put { value, .. } => Some(value),
            _ => None,
        }
    }

    /// The version that a write asks for.
    pub(super) fn expected(&self) -> Option<Stamp> {
        match self {
            Self::Put { if_version, .. } | Self::Remove { if_version, .. } => *if_version,
            Self::Get { .. } | Self::Scan { .. } => None,
        }
    }

    /// Whose state a read looks at.
    pub(super) fn source(&self) -> Option<Source> {
        match self {
            Self::Get { from, .. } | Self::Scan { from, .. } => Some(*from),
            Self::Put { .. } | Self::Remove { .. } => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "its own copy",
            Self::Server => "the server",
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put {
                map, key, value, ..
            } => write!(f, "put {map}/{key} = {value}")?,
            Self::Remove { map, key, .. } => write!(f, "remove {map}/{key}")?,
            Self::Get { map, key, from } => write!(f, "get {map}/{key} from {from}")?,
            Self::Scan { map, prefix, from } => write!(f, "scan {map}/{prefix}* from {from}")?,
        }
        match self.expected() {
            Some(version) if version == Stamp::ZERO => f.write_str(" if there is none"),
            Some(version) => write!(f, " if at version {version}"),
            None => Ok(()),
        }
    }
}
