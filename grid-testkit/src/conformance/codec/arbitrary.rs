//! Arbitrary messages: every field in every form, with the numbers at the edges of every size.

mod messages;

use bytes::Bytes;
use grid_core::limits::MAX_KEY_BYTES;
use grid_core::op::{AckLevel, Action, Op, OpId, RunId, Stamp};
use grid_core::protocol::{RejectReason, Selector, Verdict, ViewId};
use grid_core::{Hlc, Key, MapName, PartitionId, Record, Sequence};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

pub use messages::{any_message, kinds};

/// Numbers, mostly at the edges of what one, two, four and eight bytes hold.
pub fn any_number() -> impl Strategy<Value = u64> + Clone {
    let edge = (0..64_u32, 0..3_u64).prop_map(|(bit, above)| (1 << bit) - 1 + above);
    prop_oneof![0..300_u64, edge, any::<u64>(), Just(u64::MAX)]
}

fn any_small() -> impl Strategy<Value = u32> + Clone {
    prop_oneof![0..300_u32, any::<u32>(), Just(u32::MAX)]
}

/// Any instant.
pub fn any_hlc() -> impl Strategy<Value = Hlc> + Clone {
    any_number().prop_map(Hlc::from_u64)
}

fn any_run() -> impl Strategy<Value = RunId> + Clone {
    // Few runs, so that neighbours often share one.
    prop_oneof![(1..4_u64).prop_map(RunId), any_number().prop_map(RunId)]
}

/// Any version.
pub fn any_stamp() -> impl Strategy<Value = Stamp> + Clone {
    (any_hlc(), any_run(), any_number()).prop_map(|(hlc, run, number)| Stamp {
        hlc,
        op: OpId { run, number },
    })
}

fn any_text() -> impl Strategy<Value = String> + Clone {
    prop_oneof!["\\PC{0,30}", "[a-z]{250,260}"]
}

/// A name that every check lets pass: 1 to 128 bytes without NUL.
fn any_name() -> impl Strategy<Value = String> + Clone {
    prop_oneof!["[^\\x00]{1,32}", "[a-c]", "[a-z]{128}"]
}

/// Any map's name.
pub fn any_map() -> impl Strategy<Value = MapName> + Clone {
    any_name().prop_filter_map("a name", |name| MapName::new(name).ok())
}

/// Any key.
pub fn any_key() -> impl Strategy<Value = Key> + Clone {
    let longest = "[a-z/]{1}".prop_map(|letter| letter.repeat(MAX_KEY_BYTES));
    prop_oneof![4 => "[^\\x00]{1,40}", 1 => longest]
        .prop_filter_map("a key", |text| Key::new(&text).ok())
}

fn any_value() -> impl Strategy<Value = Bytes> + Clone {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn any_partition() -> impl Strategy<Value = PartitionId> + Clone {
    any::<u16>().prop_map(PartitionId)
}

fn any_sequence() -> impl Strategy<Value = Sequence> + Clone {
    any_number().prop_map(Sequence)
}

/// Any record.
pub fn any_record() -> impl Strategy<Value = Record> + Clone {
    let fields = (
        any_key(),
        of(any_value()),
        any_stamp(),
        any_sequence(),
        of(any_number()),
    );
    fields.prop_map(|(key, value, stamp, sequence, expires_at_ms)| Record {
        key,
        value,
        stamp,
        sequence,
        expires_at_ms,
    })
}

fn any_action() -> impl Strategy<Value = Action> + Clone {
    let put = (any_value(), of(any_number()));
    prop_oneof![
        3 => put.prop_map(|(value, ttl_ms)| Action::Put { value, ttl_ms }),
        1 => Just(Action::Remove),
    ]
}

/// Ops of one run, in ascending order of their numbers.
pub fn any_ops() -> impl Strategy<Value = (RunId, Vec<Op>)> + Clone {
    let op = (
        1..=u64::MAX / 64,
        any_hlc(),
        any_map(),
        any_key(),
        any_action(),
        any_hlc(),
        of(any_stamp()),
        any_small(),
        of(any_ack_level()),
    );
    let near = prop_oneof![Just(1_u64), 1..300_u64, Just(u64::MAX)];
    let maps = vec(any_map(), 1..4);
    (any_run(), maps, vec((op, near, 0..8_usize), 0..20)).prop_map(|(run, maps, parts)| {
        let mut number = 0;
        let ops = parts.into_iter().map(|(op, near, which)| {
            let (gap, hlc, map, key, action, base, if_version, schema, ack) = op;
            number += gap.min(near);
            // Mostly one of a few maps, so that the same map comes again.
            let map = maps.get(which).cloned().unwrap_or(map);
            Op {
                id: OpId { run, number },
                hlc,
                map,
                key,
                action,
                base,
                if_version,
                schema,
                ack,
            }
        });
        (run, ops.collect())
    })
}

/// Any ack level.
pub fn any_ack_level() -> impl Strategy<Value = AckLevel> + Clone {
    prop_oneof![
        Just(AckLevel::Memory),
        Just(AckLevel::Journaled),
        Just(AckLevel::Stored),
    ]
}

/// Any verdict.
pub fn any_verdict() -> impl Strategy<Value = Verdict> + Clone {
    prop_oneof![
        Just(Verdict::Accepted),
        any_hlc().prop_map(Verdict::Restamped),
        any_stamp().prop_map(Verdict::Superseded),
        (any_reason(), any_text())
            .prop_map(|(reason, message)| Verdict::Rejected { reason, message }),
    ]
}

fn any_reason() -> impl Strategy<Value = RejectReason> + Clone {
    any::<u8>().prop_map(RejectReason::from_code)
}

fn any_selector() -> impl Strategy<Value = Selector> + Clone {
    prop_oneof![
        Just(Selector::All),
        any_text().prop_map(Selector::Prefix),
        Just(Selector::Prefix("p".repeat(MAX_KEY_BYTES))),
    ]
}

fn any_cursor() -> impl Strategy<Value = Vec<(PartitionId, Sequence)>> + Clone {
    vec((any_partition(), any_sequence()), 0..10)
}

fn any_view() -> impl Strategy<Value = ViewId> + Clone {
    any_number().prop_map(ViewId)
}
