//! The built-in codec passes the suite, and its format is what the description in `format` says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod format;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ciborium::Value;
use format::Fields;
use grid_core::codec::{
    CborCodec, decode_ops, decode_record, encode_ops, encode_record, fitting, op_bound,
    record_bound,
};
use grid_core::limits::TARGET_FRAME_BYTES;
use grid_core::protocol::{FRAME_PLAIN, MAGIC, Message, Push};
use grid_core::traits::{Codec, CodecLimits};
use grid_testkit::conformance::codec::arbitrary::{any_message, any_ops, any_record, kinds};
use grid_testkit::conformance::codec::try_many;
use proptest::collection::vec;
use proptest::prelude::*;

grid_testkit::codec_conformance!(conformance, || Arc::new(CborCodec));

fn cbor(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

/// What stands before the CBOR of a message.
fn front(message: &Message) -> Vec<u8> {
    match message {
        Message::Hello(hello) => [&MAGIC[..], &hello.max_version.to_be_bytes()].concat(),
        _ => vec![FRAME_PLAIN],
    }
}

fn frame(message: &Message) -> Bytes {
    let mut buffer = BytesMut::new();
    CborCodec.encode(message, &mut buffer).unwrap();
    buffer.freeze()
}

#[test]
fn every_kind_is_encoded_as_the_format_says() {
    for kind in kinds() {
        let tried = try_many(&kind, |message| {
            let described = [front(&message), cbor(&Fields::Known.message(&message))].concat();
            prop_assert_eq!(&frame(&message)[..], described);
            Ok(())
        });
        tried.unwrap();
    }
}

#[test]
fn fields_of_later_versions_are_skipped_everywhere() {
    for kind in kinds() {
        let tried = try_many(&kind, |message| {
            let longer = [front(&message), cbor(&Fields::More.message(&message))].concat();
            let decoded = CborCodec.decode(longer.into(), &CodecLimits::default());
            prop_assert_eq!(decoded.unwrap(), message);
            Ok(())
        });
        tried.unwrap();
    }
}

#[test]
fn rows_of_records_are_as_the_format_says() {
    let tried = try_many(&any_record(), |record| {
        let mut row = BytesMut::new();
        encode_record(&record, &mut row);
        prop_assert_eq!(&row[1..], cbor(&Fields::Known.record(&record)));
        prop_assert_eq!(&decode_record(&row.freeze()).unwrap(), &record);
        let longer = [vec![1], cbor(&Fields::More.record(&record))].concat();
        prop_assert_eq!(decode_record(&longer.into()).unwrap(), record);
        Ok(())
    });
    tried.unwrap();
}

#[test]
fn rows_of_ops_are_as_the_format_says() {
    let tried = try_many(&any_ops(), |(run, ops)| {
        let mut row = BytesMut::new();
        encode_ops(&ops, &mut row).unwrap();
        let run = if ops.is_empty() { 0 } else { run.0 };
        let [maps, described] = Fields::Known.ops(&ops);
        let described = Value::Array(vec![Value::from(run), maps, described]);
        prop_assert_eq!(&row[1..], cbor(&described));
        prop_assert_eq!(decode_ops(&row.freeze()).unwrap(), ops);
        Ok(())
    });
    tried.unwrap();
}

#[test]
fn bounds_of_ops_and_records_are_upper_bounds() {
    let tried = try_many(&(any_ops(), any_record()), |((_, ops), record)| {
        let mut row = BytesMut::new();
        encode_ops(&ops, &mut row).unwrap();
        let bound: usize = ops.iter().map(op_bound).sum();
        prop_assert!(
            row.len() <= bound + 32,
            "{} bytes, bound {bound}",
            row.len()
        );
        row.clear();
        encode_record(&record, &mut row);
        prop_assert!(row.len() <= record_bound(&record));
        Ok(())
    });
    tried.unwrap();
}

#[test]
fn ops_that_fit_by_their_bounds_make_full_frames_within_the_target() {
    let sizes = vec(
        prop_oneof![4 => 0..2_000_usize, 1 => 0..200_000_usize],
        0..100,
    );
    let tried = try_many(
        &(any_ops(), sizes, any::<bool>()),
        |((run, ops), sizes, resume)| {
            let Some(template) = ops.first().cloned() else {
                return Ok(());
            };
            let ops: Vec<_> = (10..)
                .zip(sizes)
                .map(|(number, size)| {
                    let mut op = template.clone();
                    op.id.number = number;
                    let value = Bytes::from(vec![7; size]);
                    let ttl_ms = None;
                    op.action = grid_core::op::Action::Put { value, ttl_ms };
                    op
                })
                .collect();
            let (mut previous, mut rest) = (9, ops.as_slice());
            while !rest.is_empty() {
                let count = fitting(rest.iter().map(op_bound));
                let (together, after) = rest.split_at(count);
                let push = Message::Push(Push {
                    run,
                    resume,
                    previous,
                    ops: together.to_vec(),
                });
                let bytes = frame(&push).len();
                prop_assert!(
                    bytes <= TARGET_FRAME_BYTES || count == 1,
                    "{bytes} of {count}"
                );
                // Frames are filled, as far as bounds can tell.
                if let Some(next) = after.first() {
                    let bounds: usize = together.iter().map(op_bound).sum();
                    prop_assert!(bounds + op_bound(next) > TARGET_FRAME_BYTES - 1024);
                }
                previous = together[count - 1].id.number;
                rest = after;
            }
            Ok(())
        },
    );
    tried.unwrap();
}

#[test]
fn a_generic_decoder_reads_every_message() {
    let tried = try_many(&any_message(), |message| {
        let frame = frame(&message);
        let body = &frame[front(&message).len()..];
        let value: Value = ciborium::from_reader(body).unwrap();
        prop_assert_eq!(value, Fields::Known.message(&message));
        Ok(())
    });
    tried.unwrap();
}
