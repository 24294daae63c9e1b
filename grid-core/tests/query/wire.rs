//! Queries on the wire: what they are written as, and what is refused.

use std::num::NonZeroU32;

use bytes::{Bytes, BytesMut};
use grid_core::limits::{MAX_FILTER_DEPTH, MAX_FILTER_PARTS, MAX_QUERY_BYTES};
use grid_core::query::{Filter, Literal, Path, Query, field};
use grid_core::{Error, ErrorKind};
use proptest::prelude::*;

use crate::filters::filters;
use crate::ordering::orders;

fn encode(query: &Query) -> Bytes {
    let mut buffer = BytesMut::new();
    query.encode(&mut buffer).unwrap();
    buffer.freeze()
}

fn filtered(filter: Filter) -> Query {
    filter.into()
}

fn refused(bytes: &[u8]) -> Error {
    Query::decode(&Bytes::copy_from_slice(bytes)).unwrap_err()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn queries_are_written_as_ever() {
    let filter = field("done").eq(false).and(field("priority").ge(2));
    let ordered = Query::from(filter).descending("due").ascending(["a", "b"]);
    let ordered = ordered.limit(20);
    let a = || field("a");
    for (query, wanted) in [
        (Query::all(), "8382008080f6"),
        (
            ordered,
            "838200828403816464 6f6e6500f484038168 7072696f7269747905 0282 8281 6364756501 \
             82826161616200 14",
        ),
        (filtered(a().ne(Literal::Null)), "8384 03816161 01f6 80f6"),
        (filtered(a().lt(-1)), "8384 03816161 0220 80f6"),
        (
            filtered(a().le(u64::MAX)),
            "8384 03816161 031bffffffffffffffff 80f6",
        ),
        (
            filtered(a().gt(1.5)),
            "8384 03816161 04fb3ff8000000000000 80f6",
        ),
        (filtered(a().between(0..=1)), "8386 04816161 00f501f5 80f6"),
        (filtered(a().between(0..1)), "8386 04816161 00f501f4 80f6"),
        (
            filtered(a().one_of([&b"x"[..]])),
            "8383 05816161 814178 80f6",
        ),
        (filtered(a().starts_with("x")), "8383 06816161 6178 80f6"),
        (filtered(a().contains("x")), "8383 07816161 6178 80f6"),
        (filtered(field(Path::value()).exists()), "8382 0880 80f6"),
        (
            filtered(!a().exists().or(a().exists())),
            "8382 02 82 0182 8208816161 8208816161 80f6",
        ),
        (filtered(a().is_null_or_missing()), "8382 09816161 80f6"),
        (
            Query::from(field(Path::key()).starts_with("x")).descending(Path::key()),
            "8383 06f66178 8182f601 f6",
        ),
        (
            filtered(a().eq(-f64::NAN)),
            "8384 03816161 00fb7ff8000000000000 80f6",
        ),
        (
            filtered(a().eq(Literal::Integer(-(1 << 64)))),
            "8384 03816161 003bffffffffffffffff 80f6",
        ),
    ] {
        let encoded = encode(&query);
        assert_eq!(hex(&encoded), wanted.replace(' ', ""), "{query:?}");
        assert_eq!(Query::decode(&encoded).unwrap(), query);
    }
}

#[test]
fn what_is_beyond_a_bound_is_refused_by_its_name() {
    // The outermost filter, `not` over `not`, written by hand: no such query is ever encoded.
    let nested = |depth: usize| {
        [
            b"\x83".to_vec(),
            b"\x82\x02".repeat(depth),
            b"\x82\x08\x80\x80\xf6".to_vec(),
        ]
        .concat()
    };
    assert!(Query::decode(&nested(MAX_FILTER_DEPTH).into()).is_ok());
    for depth in [MAX_FILTER_DEPTH + 1, 20_000] {
        let error = refused(&nested(depth));
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.message().contains("deeper than 32"), "{error}");
    }

    let listed = |count: usize| {
        let head = u16::try_from(count).unwrap().to_be_bytes();
        [
            b"\x83\x83\x05\x80\x99",
            &head[..],
            &vec![0; count],
            b"\x80\xf6",
        ]
        .concat()
    };
    assert!(Query::decode(&listed(MAX_FILTER_PARTS - 1).into()).is_ok());
    let error = refused(&listed(MAX_FILTER_PARTS));
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.message().contains("more than 1024 parts"), "{error}");

    let scans = |count: u8| {
        let all = b"\x83\x07\x80\x00".repeat(usize::from(count));
        [b"\x83\x82\x00\x98", &[count][..], &all, b"\x80\xf6"].concat()
    };
    assert!(Query::decode(&scans(32).into()).is_ok());
    let error = refused(&scans(33));
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(
        error.message().contains("more than 32 `contains`"),
        "{error}"
    );

    let error = refused(&[b"\x83\x82\x08\x91", &[0x60; 17][..], b"\x80\xf6"].concat());
    assert!(error.message().contains("17 names"), "{error}");

    let fields = b"\x82\x80\x00".repeat(9);
    let error = refused(&[b"\x83\x82\x00\x80\x89", &fields[..], b"\xf6"].concat());
    assert!(error.message().contains("9 fields"), "{error}");

    let error = refused(&vec![0; MAX_QUERY_BYTES + 1]);
    assert!(error.message().contains("at most 65536"), "{error}");
    let long = filtered(field("a").eq("x".repeat(MAX_QUERY_BYTES)));
    let mut buffer = BytesMut::from(&b"before"[..]);
    assert_eq!(
        long.encode(&mut buffer).unwrap_err().kind(),
        ErrorKind::TooLarge
    );
    assert_eq!(&buffer[..], b"before");
}

/// What a later version may ask for, each told by its name.
#[test]
fn what_is_not_known_is_unsupported() {
    for (bytes, part) in [
        (&b"\x84\x82\x00\x80\x80\xf6\x00"[..], "field 4 of a query"),
        (b"\x83\x83\x00\x80\x00\x80\xf6", "field 2 of `and`"),
        (b"\x83\x83\x02\x00\x00\x80\xf6", "field 2 of `not`"),
        (b"\x83\x85\x03\x80\x00\x00\x00", "field 3 of a comparison"),
        (
            b"\x83\x87\x04\x80\x00\xf5\x00\xf5\x00",
            "field 5 of a range",
        ),
        (b"\x83\x83\x08\x80\x00\x80\xf6", "field 1 of `exists`"),
        (b"\x83\x82\x0a\x80\x80\xf6", "a filter of kind 10"),
        (b"\x83\x81\x0a\x80\xf6", "a filter of kind 10"),
        (b"\x83\x82\x19\x01\x00\x80\x80\xf6", "a filter of kind 256"),
        (b"\x83\x84\x03\x80\x06\x00\x80\xf6", "comparison 6"),
        (
            b"\x83\x84\x03\x80\x00\x80\x80\xf6",
            "a literal of CBOR's major type 4",
        ),
        (
            b"\x83\x84\x03\x80\x00\xc1\x00\x80\xf6",
            "a literal of CBOR's major type 6",
        ),
        (b"\x83\x84\x03\x80\x00\xf7\x80\xf6", "the literal 0xf7"),
        (b"\x83\x82\x08\x01\x80\xf6", "a path of CBOR's major type 0"),
        (
            b"\x83\x82\x00\x80\x81\x82\x80\x02\xf6",
            "direction 2 of an order",
        ),
        (
            b"\x83\x82\x00\x80\x81\x83\x80\x00\x00\xf6",
            "field 3 of a field of an order",
        ),
    ] {
        let error = refused(bytes);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.message().contains(part), "{part}: {error}");
    }
}

#[test]
fn what_is_no_query_breaks_the_protocol() {
    for (bytes, message) in [
        (&b"\x82\x82\x00\x80\x80"[..], "2 fields in place of 3"),
        (b"\x83\x83\x03\x80\x00\x80\xf6", "1 fields in place of 2"),
        (b"\x83\x80\x80\xf6", "too few fields"),
        (b"\x83\x81\x08\x80\xf6", "too few fields"),
        (b"\x83\x82\x00\x80\x80\x00", "the limit of a query is 0"),
        (
            b"\x83\x82\x00\x80\x82\x82\x80\x00\x82\x80\x01\xf6",
            "cannot decide",
        ),
        (
            b"\x83\x82\x00\x80\x82\x82\xf6\x00\x82\x80\x01\xf6",
            "cannot decide",
        ),
        (
            b"\x83\x84\x03\x80\x00\xfb\xff\xf8\x00\x00\x00\x00\x00\x00\x80\xf6",
            "NaN",
        ),
        (b"\x83\x84\x03\x80\x00\x18\x01\x80\xf6", "shortest"),
        (b"\x83\x82\x00\x80\x80\xf6\x00", "follow"),
    ] {
        let error = refused(bytes);
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(error.message().contains(message), "{error}");
    }
}

#[test]
fn a_limit_of_nothing_is_refused() {
    let error = Query::all().limit(0).check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let mut buffer = BytesMut::new();
    assert!(Query::all().limit(0).encode(&mut buffer).is_err());
    assert!(buffer.is_empty());
}

/// As ever: the id of a view is told between versions.
#[test]
fn ids_are_as_ever() {
    let done = || field("done").eq(true);
    for (query, id) in [
        (Query::all(), "4b894f34df9af83e2cceabd5bca41c13"),
        (
            Query::from(done()).descending("due").limit(20),
            "841dc75d05b070ee1ac141b50d5128e7",
        ),
    ] {
        assert_eq!(query.id().unwrap().to_string(), id, "{query:?}");
    }
    let id = |filter: Filter| Query::from(filter).id().unwrap();
    assert_eq!(id(Filter::And(vec![!!done()])), id(done()));
    assert_ne!(id(!done()), id(done()));
    let endless = Query::from((0..100_000).fold(done(), |inner, _| !inner));
    let error = endless.id().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    // To drop it would overflow the stack, as with any list of that length.
    std::mem::forget(endless);
}

proptest! {
    #[test]
    fn queries_come_back(filter in filters(), order in orders(), limit: Option<NonZeroU32>) {
        let mut query = Query::from(filter).order(order);
        query.limit = limit.map(NonZeroU32::get);
        let encoded = encode(&query);
        for end in 0..encoded.len() {
            prop_assert!(Query::decode(&encoded.slice(..end)).is_err());
        }
        prop_assert_eq!(Query::decode(&encoded).unwrap(), query);
    }

    /// One query has one encoding, and what was damaged is an error or another query.
    #[test]
    fn damage_is_refused_or_is_a_query(
        filter in filters(), at: prop::sample::Index, byte: u8,
    ) {
        let mut bytes = encode(&filtered(filter)).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let bytes = Bytes::from(bytes);
        if let Ok(query) = Query::decode(&bytes) {
            prop_assert_eq!(encode(&query), bytes);
        }
    }
}
