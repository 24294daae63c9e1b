//! The frame reader: what a peer may send, of every kind.

use bytes::{Bytes, BytesMut};
use ciborium::Value;
use grid_core::ErrorKind;
use grid_core::codec::{CborCodec, agree_version, read_hello};
use grid_core::protocol::{FRAME_PLAIN, MAGIC, Message, read_frame, seal_frame, unseal_frame};
use grid_core::traits::{Codec, CodecLimits};

use crate::format::Fields;
use crate::target::{Seed, Target};
use crate::wire;

pub(super) const TARGET: Target = Target {
    name: "frame",
    promise: "a frame is refused, or is a message that is encoded as the format says and comes \
              back the same",
    run,
    seeds,
};

/// Bounds that most frames exceed somewhere.
const NARROW: CodecLimits = CodecLimits {
    max_frame_bytes: 96,
    max_items: 3,
    max_depth: 2,
};

fn run(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    let narrow = CborCodec.decode(frame.clone(), &NARROW);
    let mut whole = BytesMut::from(data);
    if seal_frame(&mut whole, 0).is_err() {
        return;
    }
    let whole = whole.freeze();
    let hello = read_hello(&whole, &CodecLimits::default());
    let read = read_frame(&CborCodec, whole, &CodecLimits::default());
    check_unsealed(&frame);
    match CborCodec.decode(frame.clone(), &CodecLimits::default()) {
        Err(error) => {
            let kinds = [ErrorKind::Protocol, ErrorKind::TooLarge, ErrorKind::Version];
            assert!(kinds.contains(&error.kind()), "{error}");
            assert!(narrow.is_err(), "narrow bounds let more pass: {error}");
            assert!(hello.is_err(), "a hello that is no message: {error}");
            assert!(read.is_err(), "a check makes no message: {error}");
        }
        Ok(message) => {
            assert_eq!(read.expect("with its check"), message);
            if let Ok(narrowly) = narrow {
                assert!(frame.len() <= NARROW.max_frame_bytes);
                assert_eq!(narrowly, message);
            }
            if let Ok(hello) = hello {
                // The two of them agree on a version, or the server says why not.
                let agreed = agree_version(&hello);
                assert!(
                    agreed.is_err_and(|error| error.kind() == ErrorKind::Version)
                        || agreed_on(&hello)
                );
                assert_eq!(Message::Hello(hello), message);
            }
            check(&message, frame.len());
        }
    }
}

/// Without a check of its own it was damaged, but for one in four thousand million.
fn check_unsealed(frame: &Bytes) {
    if let Err(error) = read_frame(&CborCodec, frame.clone(), &CodecLimits::default()) {
        let content = unseal_frame(frame.clone());
        assert!(
            error.kind() == ErrorKind::Corrupt || content.is_ok(),
            "{error}"
        );
    }
}

fn agreed_on(hello: &grid_core::protocol::Hello) -> bool {
    agree_version(hello)
        .is_ok_and(|version| (hello.min_version..=hello.max_version).contains(&version))
}

/// What was read can be written, as the format says, in no more bytes, and is then the same.
fn check(message: &Message, bytes: usize) {
    let again = encode(message);
    assert!(again.len() <= bytes, "{} of {bytes} bytes", again.len());
    let mut described = front(message);
    let value: Value = Fields::Known.message(message);
    ciborium::into_writer(&value, &mut described).expect("memory takes everything");
    assert_eq!(again, described, "{message:?}");
    let read = CborCodec.decode(again, &CodecLimits::default());
    assert_eq!(read.expect("what was just written"), *message);
}

/// What stands before the CBOR of a message.
fn front(message: &Message) -> Vec<u8> {
    match message {
        Message::Hello(hello) => [&MAGIC[..], &hello.max_version.to_be_bytes()].concat(),
        _ => vec![FRAME_PLAIN],
    }
}

fn encode(message: &Message) -> Bytes {
    let mut buffer = BytesMut::new();
    let written = CborCodec.encode(message, &mut buffer);
    written.expect("a message that was read can be written");
    buffer.freeze()
}

/// A frame of every kind, and one of a later version.
fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, message) in wire::messages() {
        seeds.push(Seed::new(name, encode(&message)));
        let mut later = front(&message);
        let written = ciborium::into_writer(&Fields::More.message(&message), &mut later);
        written.expect("memory takes everything");
        seeds.push(Seed::new(format!("{name}-later"), later));
    }
    seeds
}
