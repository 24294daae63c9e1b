//! The name of a query, made of what it says.

use std::fmt;

use bytes::BytesMut;
use xxhash_rust::xxh3::xxh3_128;

use super::query::Query;
use crate::error::Result;

/// XXH3-128 of a query's encoding, of the [normalized](super::Filter::normalized) filter.
///
/// The same on every device and in every version. Queries that ask alike in other words (with the
/// parts of an `and` the other way round) may have others. It is no cryptographic hash: somebody
/// may make two queries of one id on purpose, so compare the queries where one stands for
/// another's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(u128);

impl QueryId {
    /// The id as a number.
    #[must_use]
    pub fn as_u128(self) -> u128 {
        self.0
    }

    pub(super) fn of(query: &Query) -> Result<Self> {
        // Before anything goes down into it.
        query.check()?;
        let normalized = Query {
            filter: query.filter.normalized(),
            ..query.clone()
        };
        let mut bytes = BytesMut::new();
        normalized.encode(&mut bytes)?;
        Ok(Self(xxh3_128(&bytes)))
    }
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueryId({self})")
    }
}
