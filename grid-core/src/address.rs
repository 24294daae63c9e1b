//! Where a record lives: namespace, map, key, and the partition that follows from them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_KEY_BYTES, MAX_MAP_NAME_BYTES, MAX_NAMESPACE_BYTES};

fn check(operation: &'static str, text: &str, max_bytes: usize) -> Result<()> {
    if text.is_empty() {
        return Err(Error::new(
            ErrorKind::Invalid,
            operation,
            "must not be empty",
        ));
    }
    if text.len() > max_bytes {
        return Err(Error::new(
            ErrorKind::TooLarge,
            operation,
            format!("{} bytes; at most {max_bytes} are allowed", text.len()),
        ));
    }
    if text.as_bytes().contains(&0) {
        return Err(Error::new(
            ErrorKind::Invalid,
            operation,
            "must not contain the NUL character",
        ));
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $operation:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the bounds.
            ///
            /// # Errors
            /// `Invalid` when empty or holding NUL, `TooLarge` beyond the bound.
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self> {
                let text = text.into();
                check($operation, &text, $max)?;
                Ok(Self(text))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name_type!(
    /// The name of a map: 1–128 bytes of UTF-8 without NUL. Names that start with `$` belong to
    /// the system.
    MapName, "map name", MAX_MAP_NAME_BYTES
);
name_type!(
    /// A tenant: 1–128 bytes of UTF-8 without NUL.
    Namespace, "namespace", MAX_NAMESPACE_BYTES
);

impl MapName {
    /// Whether the name belongs to the system.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.0.starts_with('$')
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self("default".into())
    }
}

/// The key of an entry: 1–512 bytes of UTF-8 without NUL, ordered by bytes.
///
/// The part up to the first `/` is the *partition key*: keys that share it live together.
///
/// ```
/// use grid_core::Key;
///
/// let key = Key::new("list1/item7")?;
/// assert_eq!(key.partition_key(), b"list1");
/// assert!(Key::new("").is_err());
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Bytes);

impl Key {
    /// Copies and checks `text`.
    ///
    /// # Errors
    /// `Invalid` when empty or holding NUL, `TooLarge` beyond 512 bytes.
    pub fn new(text: &str) -> Result<Self> {
        check("key", text, MAX_KEY_BYTES)?;
        Ok(Self(Bytes::copy_from_slice(text.as_bytes())))
    }

    /// Checks `bytes` without copying them.
    ///
    /// # Errors
    /// As [`Key::new`], and `Invalid` when the bytes are not UTF-8.
    pub fn from_bytes(bytes: Bytes) -> Result<Self> {
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            Error::new(ErrorKind::Invalid, "key", "must be UTF-8").with_source(error)
        })?;
        check("key", text, MAX_KEY_BYTES)?;
        Ok(Self(bytes))
    }

    /// The key whose bytes were taken from a key before.
    pub(crate) fn from_checked(bytes: Bytes) -> Self {
        debug_assert!(Self::from_bytes(bytes.clone()).is_ok(), "was a key before");
        Self(bytes)
    }

    /// The same key in memory of its own, so that it keeps no frame alive.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The key's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key's bytes, shared.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        #[expect(
            clippy::expect_used,
            reason = "every constructor checked that it is UTF-8"
        )]
        std::str::from_utf8(&self.0).expect("a key is UTF-8")
    }

    /// The part up to the first `/`, or all of it.
    #[must_use]
    pub fn partition_key(&self) -> &[u8] {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == b'/')
            .unwrap_or(self.0.len());
        &self.0[..end]
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A map within its namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MapAddress {
    /// The tenant.
    pub namespace: Namespace,
    /// The map.
    pub map: MapName,
}

impl fmt::Display for MapAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.map)
    }
}

/// A partition of a data set, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u16);

impl PartitionId {
    /// Where the identity of a data set is kept. No data has this number: they stay below
    /// [`MAX_PARTITION_COUNT`](crate::limits::MAX_PARTITION_COUNT).
    pub const IDENTITY: Self = Self(u16::MAX);
    /// Where a system of record keeps dead letters. No data has this number either.
    ///
    /// A constraint that a user adds to the records has to let these two through:
    ///
    /// ```
    /// # use grid_core::PartitionId;
    /// assert_eq!(PartitionId::DEAD_LETTERS.0, 65_534);
    /// assert_eq!(PartitionId::IDENTITY.0, 65_535);
    /// ```
    pub const DEAD_LETTERS: Self = Self(u16::MAX - 1);
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How the keys of one map fall onto the partitions of its data set.
///
/// Partition = (hash(namespace, map) + hash(partition key) mod spread) mod count, where hash is
/// XXH3-64 without a seed, and namespace and map are joined by one NUL byte. The vectors in
/// `grid-core/vectors/partition.txt` fix it for other languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    first: u16,
    spread: u16,
    count: u16,
}

impl Placement {
    /// The placement of `address` over `spread` of `count` partitions; a spread beyond the count
    /// means all of them.
    ///
    /// # Panics
    /// When `spread` or `count` is 0: the configuration refuses both.
    #[must_use]
    pub fn new(address: &MapAddress, spread: u16, count: u16) -> Self {
        assert!(
            spread > 0 && count > 0,
            "spread and partition count are at least 1"
        );
        let namespace = address.namespace.as_str().as_bytes();
        let map = address.map.as_str().as_bytes();
        let name = [namespace, b"\0", map].concat();
        Self {
            first: reduce(xxh3_64(&name), count),
            spread: spread.min(count),
            count,
        }
    }

    /// The partition of `key`.
    #[must_use]
    pub fn partition(&self, key: &Key) -> PartitionId {
        self.nth(reduce(xxh3_64(key.partition_key()), self.spread))
    }

    /// All partitions of the map, in order of their offset.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> + use<> {
        let this = *self;
        (0..this.spread).map(move |offset| this.nth(offset))
    }

    fn nth(&self, offset: u16) -> PartitionId {
        let sum = u32::from(self.first) + u32::from(offset);
        PartitionId(reduce(u64::from(sum), self.count))
    }
}

fn reduce(hash: u64, modulus: u16) -> u16 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the remainder is below a u16"
    )]
    {
        (hash % u64::from(modulus)) as u16
    }
}
