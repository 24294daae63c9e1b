//! The bounds that every part of the grid keeps; each has a name and a unit.

/// Longest key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 512;
/// Longest map name, in bytes of UTF-8.
pub const MAX_MAP_NAME_BYTES: usize = 128;
/// Longest namespace, in bytes of UTF-8.
pub const MAX_NAMESPACE_BYTES: usize = 128;
/// Largest value unless configured otherwise, in bytes of CBOR.
pub const DEFAULT_MAX_VALUE_BYTES: usize = 256 * 1024;
/// Largest frame on any transport, in bytes. Room for one value of the default bound and more.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;
/// Largest value that can be configured, in bytes of CBOR: what is left of a frame beside a key and
/// the fields of an op.
pub const LARGEST_VALUE_BYTES: usize = MAX_FRAME_BYTES - 16 * 1024;
/// The size at which a sender closes a frame and starts the next one, in bytes.
pub const TARGET_FRAME_BYTES: usize = 64 * 1024;
/// Most ops, records or other items in one message.
pub const MAX_ITEMS_PER_MESSAGE: usize = 16 * 1024;
/// What every system of record takes of a state record, in bytes. A partition remembers some 65
/// bytes of each run: room for 129,000.
pub const LEAST_STATE_BYTES: usize = 8 * 1024 * 1024;
/// Deepest nesting of a CBOR value.
pub const MAX_CBOR_DEPTH: usize = 64;
/// Most chunks of a text or byte string of no declared length. Chunks may be empty, so that bytes
/// alone do not bound what it takes to go through them.
pub const MAX_STRING_CHUNKS: usize = 1024;
/// Most names in the path of a field.
pub const MAX_PATH_NAMES: usize = 16;
/// Most parts of a filter: operators, literals, and the names of paths.
pub const MAX_FILTER_PARTS: usize = 1024;
/// Most `contains` in a filter: each reads all of its field, where other tests read no more than
/// their literal. So many took 0.1 s over an array that fills a value of 256 KiB.
pub const MAX_FILTER_SCANS: usize = 32;
/// Deepest nesting of `and`, `or` and `not` in a filter.
pub const MAX_FILTER_DEPTH: usize = 32;
/// Most fields of an order.
pub const MAX_ORDER_FIELDS: usize = 8;
/// How much of a text or byte string counts in an order, in bytes.
pub const ORDER_PREFIX_BYTES: usize = 1024;
/// Largest query, in bytes of its encoding.
pub const MAX_QUERY_BYTES: usize = 64 * 1024;
/// Longest text that is parsed as a query, in bytes: room for whatever [`MAX_QUERY_BYTES`] has
/// room for, were every character of it written as its number.
pub const MAX_QUERY_TEXT_BYTES: usize = 512 * 1024;
/// Deepest nesting of parentheses and `not` in such a text: some more than
/// [`MAX_FILTER_DEPTH`], for parentheses that say nothing.
pub const MAX_QUERY_TEXT_NESTING: usize = 2 * MAX_FILTER_DEPTH;
/// The size at which a page of a system of record ends before its limit, in bytes of keys and
/// values.
pub const RECORD_PAGE_BYTES: usize = 8 * 1024 * 1024;
/// How long a store of which a system of record has told a failure may take effect after that, in
/// milliseconds: longer than a network holds up what was sent, and than a database goes on with a
/// statement whose client is gone, for which its backend bounds that. A version that came after the
/// tombstone that it had lost to was collected would bring its entry back.
pub const LATE_STORE_MS: u64 = 15 * 60 * 1000;
/// Partitions of a data set unless configured otherwise.
pub const DEFAULT_PARTITION_COUNT: u16 = 271;
/// Most partitions of a data set.
pub const MAX_PARTITION_COUNT: u16 = 4096;
/// Partitions over which a map is spread unless configured otherwise.
pub const DEFAULT_SPREAD: u16 = 8;
/// How far a stamp may lie ahead of the server's clock, in milliseconds.
pub const DEFAULT_ALLOWED_DRIFT_MS: u64 = 60_000;
/// How long tombstones and finished runs are kept, in milliseconds (30 days).
pub const DEFAULT_RETENTION_MS: u64 = 30 * 24 * 60 * 60 * 1000;
