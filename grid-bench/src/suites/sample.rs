//! The data that is measured with: keys, values and the pushes of one client.

use bytes::{Bytes, BytesMut};
use grid_core::codec::CborCodec;
use grid_core::op::{Action, Op};
use grid_core::protocol::{Message, Push, write_frame};
use grid_core::{Hlc, Key, MapAddress, MapName, Namespace, OpId, Result, RunId, Stamp};

/// Ops in a frame.
pub(super) const BATCH: u32 = 64;
/// Bytes of a value.
pub(super) const VALUE_BYTES: usize = 100;
/// Milliseconds since 1970 of the first op.
pub(super) const START_MS: u64 = 1_700_000_000_000;
const RUN: RunId = RunId(0x5eed_0123_4567_89ab);

/// The map that is written to.
pub(super) fn address() -> Result<MapAddress> {
    Ok(MapAddress {
        namespace: Namespace::default(),
        map: MapName::new("customers")?,
    })
}

/// The key of an entry, 17 bytes.
pub(super) fn key(index: u32) -> Result<Key> {
    Key::new(&format!("customer/{index:08}"))
}

/// A value of [`VALUE_BYTES`], in memory of its own.
pub(super) fn value() -> Bytes {
    Bytes::from(vec![7; VALUE_BYTES])
}

/// The version that the op `number` of the client writes.
pub(super) fn stamp(number: u64) -> Stamp {
    Stamp {
        hlc: Hlc::new(START_MS + number, 0),
        op: OpId { run: RUN, number },
    }
}

/// A push of one op for each of `entries`, as a client sends it after its op `previous`.
pub(super) fn push(previous: u64, entries: impl IntoIterator<Item = u32>) -> Result<Message> {
    let map = address()?.map;
    let ops = (previous + 1..)
        .zip(entries)
        .map(|(number, entry)| {
            let Stamp { hlc, op: id } = stamp(number);
            Ok(Op {
                id,
                hlc,
                map: map.clone(),
                key: key(entry)?,
                action: Action::Put {
                    value: value(),
                    ttl_ms: None,
                },
                base: Hlc::new(START_MS - 1_000, 0),
                if_version: None,
                schema: 0,
                ack: None,
            })
        })
        .collect::<Result<_>>()?;
    Ok(Message::Push(Push {
        run: RUN,
        resume: false,
        previous,
        ops,
    }))
}

/// The frame of a message.
pub(super) fn frame(message: &Message) -> Result<Bytes> {
    let mut buffer = BytesMut::new();
    write_frame(&CborCodec, message, &mut buffer)?;
    Ok(buffer.freeze())
}
