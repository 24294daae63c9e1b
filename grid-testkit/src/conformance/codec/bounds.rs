//! What is refused because there is too much of it, or because it contradicts itself.

use bytes::{Bytes, BytesMut};
use grid_core::limits::{MAX_FRAME_BYTES, MAX_ITEMS_PER_MESSAGE};
use grid_core::op::{Action, Op, RunId};
use grid_core::protocol::{Ack, Message, NumberRange, Push, Repair, RepairStep, Stored, ViewId};
use grid_core::traits::{Codec, CodecLimits};
use grid_core::{ErrorKind, PartitionId, Result, Sequence};
use proptest::prop_assert_eq;

use super::arbitrary::any_message;
use super::{decode, encode, refusal, try_many, unexpected};

const RUN: RunId = RunId(7);

fn op(run: RunId, number: u64, value: Bytes) -> Op {
    Op {
        action: Action::Put {
            value,
            ttl_ms: None,
        },
        ..crate::op(run, number)
    }
}

fn push(ops: Vec<Op>) -> Message {
    Message::Push(Push {
        run: RUN,
        resume: false,
        previous: 0,
        ops,
    })
}

fn fetch(keys: usize) -> Message {
    Message::Repair(Repair {
        view: ViewId(1),
        partition: PartitionId(2),
        step: RepairStep::Fetch {
            keys: vec![u64::MAX; keys],
        },
    })
}

fn stored(count: usize) -> Message {
    let one = Stored {
        run: RUN,
        partition: PartitionId(3),
        through: 4,
    };
    Message::Stored(vec![one; count])
}

fn assert_refused(codec: &dyn Codec, message: &Message, kind: ErrorKind, what: &str) -> Result<()> {
    let mut buffer = BytesMut::from(&b"before"[..]);
    let error = refusal(codec.encode(message, &mut buffer), what)?;
    assert_eq!(error.kind(), kind, "{what}: {error}");
    assert_eq!(&buffer[..], b"before", "{what}: the buffer changed");
    Ok(())
}

/// A message that contradicts itself is `Invalid`, and nothing of it is in the buffer.
///
/// # Errors
/// When the codec does otherwise.
pub fn refused_messages_leave_the_buffer(codec: &dyn Codec) -> Result<()> {
    let one = |run, number| op(run, number, Bytes::from_static(b"\xf5"));
    let pushes = [
        ("an op of another run", [one(RUN, 1), one(RunId(8), 2)]),
        ("numbers that descend", [one(RUN, 2), one(RUN, 1)]),
        ("a number twice", [one(RUN, 2), one(RUN, 2)]),
        ("a number of 0", [one(RUN, 0), one(RUN, 1)]),
    ];
    for (what, ops) in pushes {
        assert_refused(codec, &push(ops.into()), ErrorKind::Invalid, what)?;
    }
    let ack = |first, count| {
        Message::Ack(Ack {
            run: RUN,
            partition: PartitionId(0),
            sequence: Sequence::ZERO,
            accepted: vec![NumberRange { first, count }],
            exceptions: Vec::new(),
            window: Some(u32::MAX),
        })
    };
    assert_refused(codec, &ack(5, 0), ErrorKind::Invalid, "an empty range")?;
    let endless = ack(5, u64::MAX);
    assert_refused(codec, &endless, ErrorKind::Invalid, "a range without end")
}

/// The bound on items is exact.
///
/// # Errors
/// When the codec does otherwise.
pub fn most_items_come_back_and_one_more_is_refused(codec: &dyn Codec) -> Result<()> {
    for message in [fetch, stored] {
        let most = message(MAX_ITEMS_PER_MESSAGE);
        let frame = encode(codec, &most)?;
        assert!(decode(codec, frame)? == most);
        let more = message(MAX_ITEMS_PER_MESSAGE + 1);
        assert_refused(codec, &more, ErrorKind::TooLarge, "too many items")?;
    }
    Ok(())
}

/// What no transport would carry is not encoded.
///
/// # Errors
/// When the codec does otherwise.
pub fn oversize_messages_are_refused(codec: &dyn Codec) -> Result<()> {
    let huge = Bytes::from(vec![0; MAX_FRAME_BYTES]);
    let message = push(vec![op(RUN, 1, huge)]);
    assert_refused(codec, &message, ErrorKind::TooLarge, "a huge value")
}

/// The limit on a frame is exact.
///
/// # Errors
/// When the codec does otherwise.
pub fn frames_beyond_the_limit_are_refused(codec: &dyn Codec) -> Result<()> {
    try_many(&any_message(), |message| {
        let frame = encode(codec, &message).map_err(unexpected)?;
        let mut limits = CodecLimits {
            max_frame_bytes: frame.len(),
            ..CodecLimits::default()
        };
        let back = codec.decode(frame.clone(), &limits).map_err(unexpected)?;
        prop_assert_eq!(back, message);
        limits.max_frame_bytes -= 1;
        let kind = codec.decode(frame, &limits).map_err(|error| error.kind());
        prop_assert_eq!(kind, Err(ErrorKind::TooLarge));
        Ok(())
    })
}

/// The limit on items is heeded.
///
/// # Errors
/// When the codec does otherwise.
pub fn collections_beyond_the_limit_are_refused(codec: &dyn Codec) -> Result<()> {
    let limits = CodecLimits {
        max_items: 100,
        ..CodecLimits::default()
    };
    for message in [fetch, stored] {
        let frame = encode(codec, &message(100))?;
        assert!(codec.decode(frame, &limits)? == message(100));
        let frame = encode(codec, &message(101))?;
        let error = refusal(codec.decode(frame, &limits), "101 items")?;
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    }
    Ok(())
}
