//! What goes in comes out.

use bytes::{Bytes, BytesMut};
use grid_core::op::{Action, Op, RunId};
use grid_core::protocol::{Message, Push, ReadTarget};
use grid_core::traits::Codec;
use grid_core::{Key, MapName, Record, Result};
use proptest::{prop_assert, prop_assert_eq};

use super::arbitrary::{any_message, kinds};
use super::{decode, encode, try_many, unexpected};

/// The name is short ASCII without spaces, and always the same.
///
/// # Errors
/// When the codec does otherwise.
pub fn name_is_a_short_word(codec: &dyn Codec) -> Result<()> {
    let name = codec.name();
    assert!(!name.is_empty() && name.len() <= 32, "the name: {name:?}");
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    assert!(name.bytes().all(plain), "the name: {name:?}");
    assert_eq!(name, codec.name());
    Ok(())
}

/// Every field of every kind of message survives.
///
/// # Errors
/// When the codec does otherwise.
pub fn messages_of_every_kind_come_back(codec: &dyn Codec) -> Result<()> {
    for kind in kinds() {
        try_many(&kind, |message| {
            let frame = encode(codec, &message).map_err(unexpected)?;
            let back = decode(codec, frame).map_err(unexpected)?;
            prop_assert_eq!(back, message);
            Ok(())
        })?;
    }
    Ok(())
}

/// A frame is appended to what the buffer holds.
///
/// # Errors
/// When the codec does otherwise.
pub fn encoding_appends(codec: &dyn Codec) -> Result<()> {
    try_many(&any_message(), |message| {
        let mut buffer = BytesMut::from(&b"before"[..]);
        codec.encode(&message, &mut buffer).map_err(unexpected)?;
        let frame = encode(codec, &message).map_err(unexpected)?;
        prop_assert_eq!(&buffer[..6], &b"before"[..]);
        prop_assert_eq!(&buffer[6..], &frame[..]);
        Ok(())
    })
}

/// No key and no value is copied out of the frame.
///
/// # Errors
/// When the codec does otherwise.
pub fn keys_and_values_share_the_frame(codec: &dyn Codec) -> Result<()> {
    try_many(&any_message(), |message| {
        let frame = encode(codec, &message).map_err(unexpected)?;
        let back = decode(codec, frame.clone()).map_err(unexpected)?;
        let whole = frame.as_ptr_range();
        for part in parts(&back) {
            let inside = part.is_empty() || whole.contains(&part.as_ptr());
            prop_assert!(inside, "{part:?} was copied");
        }
        Ok(())
    })
}

/// The keys and values in `message`.
fn parts(message: &Message) -> Vec<&Bytes> {
    match message {
        Message::Push(push) => push.ops.iter().flat_map(of_op).collect(),
        Message::Delta(delta) => delta.records.iter().flat_map(of).collect(),
        Message::ReadResult(result) => result.records.iter().flat_map(of).collect(),
        Message::Read(read) => match &read.target {
            ReadTarget::Key(key) => vec![key.bytes()],
            ReadTarget::Page { after, .. } => after.iter().map(Key::bytes).collect(),
        },
        _ => Vec::new(),
    }
}

fn of(record: &Record) -> impl Iterator<Item = &Bytes> {
    std::iter::once(record.key.bytes()).chain(&record.value)
}

fn of_op(op: &Op) -> impl Iterator<Item = &Bytes> {
    let value = match &op.action {
        Action::Put { value, .. } => Some(value),
        Action::Remove => None,
    };
    std::iter::once(op.key.bytes()).chain(value)
}

/// Ops of thousands of maps keep theirs.
///
/// # Errors
/// When the codec does otherwise.
pub fn ops_of_many_maps_come_back(codec: &dyn Codec) -> Result<()> {
    let run = RunId(7);
    let op = |number: u64| {
        Ok(Op {
            map: MapName::new(format!("map {}", number * 7919 % 3001))?,
            action: Action::Remove,
            ..crate::op(run, number)
        })
    };
    let message = Message::Push(Push {
        run,
        resume: false,
        previous: 0,
        ops: (1..10_000).map(op).collect::<Result<_>>()?,
    });
    let frame = encode(codec, &message)?;
    assert!(decode(codec, frame)? == message);
    Ok(())
}
