//! Queries: which entries of a map, in which order, how many; and what decides that.
//!
//! A [`Filter`] tests an entry's key and the fields of its value, which is CBOR. It is built with
//! [`field`], compiled once ([`Filter::compile`]) and then asked about the bytes of values as they
//! are stored: nothing is decoded, nothing is allocated. Client and server run this code, so that
//! they agree.
//!
//! An [`Order`] compares entries; [`CompiledOrder::key`] turns an entry's place in it into bytes,
//! for a sorted index and for the [`PageCursor`] after which a page starts. A [`Query`] is a
//! filter, an order and a limit, and goes over the wire.
//!
//! Many filters are kept in a hash map by their [`Cover`]s; [`Fields`] reads from an entry what to
//! look up there. A filter that decides what somebody may see is a [`CompiledRule`], which a
//! [`GuardedFilter`] asks beside what they asked for.
//!
//! # What a field is
//!
//! A path is a list of names, or that of the entry's key. Each name leads from a map to the entry
//! with that text as its key; keys that are no text are never meant, and arrays have no names. If a
//! map has several entries of one name, the first counts. Tags are looked through: a tagged item is
//! what it is without its tag.
//!
//! Bytes that are no well-formed CBOR are read as far as they are: a field is there when everything
//! up to its end is well-formed, and nested in no more than
//! [`MAX_CBOR_DEPTH`](crate::limits::MAX_CBOR_DEPTH) containers. What follows the value is not
//! looked at.
//!
//! # What a test says
//!
//! Every test holds or does not; there is no third answer, and `!filter` is always the exact
//! opposite of `filter`.
//!
//! | the field | |
//! | --- | --- |
//! | is missing | no test holds but `ne` and `is_null_or_missing` |
//! | is null | it exists, and equals null alone; CBOR's `undefined` is null |
//! | is of another type than the literal | neither equal, nor less, nor greater: no test holds but `ne` |
//! | is NaN | it equals NaN alone: NaN is of a type of its own |
//! | is a number | integers and floats are one type and compare by their exact values: 2⁵³ + 1 is greater than 2⁵³ as a float; 1 equals 1.0, −0.0 equals 0 |
//! | is a text, a byte string | compared byte by byte, which for texts is the order of code points; texts and byte strings are different types |
//! | is an array | `contains` looks at its elements, not into arrays within; it equals no literal |
//! | is a map | it exists; it equals no literal |
//!
//! So `ne` holds of missing fields too; who does not want that says `exists` as well. `le` and `ge`
//! with null hold of null. An integer beyond 64 bits is to CBOR a tagged byte string, and is one
//! here.

mod bits;
mod bounds;
mod compiled_filter;
mod compiled_order;
mod cover;
mod field;
mod fields;
mod filter;
mod guarded_filter;
mod hex;
mod index_key;
mod literal;
mod name;
mod names;
mod needle;
mod order;
mod order_key;
mod page_cursor;
mod path;
mod path_tree;
#[expect(
    clippy::module_inception,
    reason = "the file is named after its main type"
)]
mod query;
mod query_id;
mod rule;
mod test;
#[cfg(feature = "query-text")]
mod text;
mod value;
mod wire;

pub use compiled_filter::CompiledFilter;
pub use compiled_order::CompiledOrder;
pub use cover::Cover;
pub use field::{Field, field};
pub use fields::Fields;
pub use filter::Filter;
pub use guarded_filter::GuardedFilter;
pub use index_key::IndexKey;
pub use literal::Literal;
pub use names::check_names;
pub use order::{Direction, Order};
pub use order_key::OrderKey;
pub use page_cursor::PageCursor;
pub use path::Path;
pub use query::Query;
pub use query_id::QueryId;
pub use rule::CompiledRule;
pub use test::{Comparison, End, Test};
#[cfg(feature = "query-text")]
pub use text::fault_column;
