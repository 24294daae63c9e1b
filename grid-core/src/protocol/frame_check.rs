//! The check at the end of every frame, by which a receiver notices that one was damaged.

use bytes::{BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_FRAME_BYTES;
use crate::protocol::Message;
use crate::traits::{Codec, CodecLimits};

/// The length of a frame's check, in bytes: the low half of XXH3-64 over all that comes before it,
/// little-endian.
///
/// Of 2³² damaged frames one passes. For frames of the usual length no other check is as fast in
/// software alone, which is all that there is in the browser.
pub const FRAME_CHECK_BYTES: usize = 4;

const OPERATION: &str = "check frame";

/// Appends the frame of `message` to `buffer`: its encoding, then the check. After an error
/// `buffer` is as it was.
///
/// A frame that goes to many is made once; its check is over the frame alone, and the same for all.
///
/// ```
/// use bytes::BytesMut;
/// use grid_core::codec::CborCodec;
/// use grid_core::protocol::{Message, read_frame, write_frame};
/// use grid_core::traits::CodecLimits;
///
/// let mut frame = BytesMut::new();
/// write_frame(&CborCodec, &Message::Ping(7), &mut frame)?;
/// let mut damaged = frame.clone();
/// damaged[2] ^= 1;
///
/// let limits = CodecLimits::default();
/// assert_eq!(read_frame(&CborCodec, frame.freeze(), &limits)?, Message::Ping(7));
/// let error = read_frame(&CborCodec, damaged.freeze(), &limits).unwrap_err();
/// assert!(error.is_retryable());
/// # Ok::<(), grid_core::Error>(())
/// ```
///
/// # Errors
/// As [`Codec::encode`]; `TooLarge` also when there is no room left for the check.
pub fn write_frame(codec: &dyn Codec, message: &Message, buffer: &mut BytesMut) -> Result<()> {
    let start = buffer.len();
    codec.encode(message, buffer)?;
    let sealed = seal_frame(buffer, start);
    if sealed.is_err() {
        buffer.truncate(start);
    }
    sealed
}

/// Ends the frame that began at `start` of `buffer` with its check: the last step of
/// [`write_frame`].
///
/// # Errors
/// `TooLarge` when there is no room left for it.
pub fn seal_frame(buffer: &mut BytesMut, start: usize) -> Result<()> {
    let bytes = buffer.len() - start + FRAME_CHECK_BYTES;
    if bytes > MAX_FRAME_BYTES {
        return Err(Error::new(
            ErrorKind::TooLarge,
            "encode frame",
            format!("the frame has {bytes} bytes; at most {MAX_FRAME_BYTES} are allowed: split it"),
        ));
    }
    let check = check_of(&buffer[start..]);
    buffer.put_slice(&check);
    Ok(())
}

/// The message in `frame`; keys and values share the frame's memory.
///
/// # Errors
/// `TooLarge` when the frame exceeds `limits`; `Corrupt`, retryable, when it was damaged on its
/// way: its connection ends, and the next one begins where this one was; else as
/// [`Codec::decode`]. Never panics, whatever the bytes.
pub fn read_frame(codec: &dyn Codec, frame: Bytes, limits: &CodecLimits) -> Result<Message> {
    if frame.len() > limits.max_frame_bytes {
        let message = format!(
            "the frame has {} bytes; at most {} are allowed",
            frame.len(),
            limits.max_frame_bytes
        );
        return Err(Error::new(ErrorKind::TooLarge, "decode frame", message));
    }
    codec.decode(unseal_frame(frame)?, limits)
}

/// What is in `frame` before its check, which is right: the first step of [`read_frame`].
///
/// # Errors
/// `Corrupt`, retryable, when the frame was damaged on its way.
pub fn unseal_frame(mut frame: Bytes) -> Result<Bytes> {
    match frame.split_last_chunk::<FRAME_CHECK_BYTES>() {
        Some((content, check)) if *check == check_of(content) => {
            frame.truncate(content.len());
            Ok(frame)
        }
        _ => Err(damaged(frame.len())),
    }
}

fn check_of(content: &[u8]) -> [u8; FRAME_CHECK_BYTES] {
    let [first, second, third, fourth, ..] = xxh3_64(content).to_le_bytes();
    [first, second, third, fourth]
}

#[cold]
fn damaged(bytes: usize) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        OPERATION,
        "a frame was damaged on its way: its check is wrong",
    )
    .with("bytes", bytes)
    .with_retryable(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::CborCodec;
    use crate::protocol::ViewId;

    fn frame(message: &Message) -> BytesMut {
        let mut buffer = BytesMut::new();
        write_frame(&CborCodec, message, &mut buffer).expect("encodes");
        buffer
    }

    fn read(frame: BytesMut) -> Result<Message> {
        read_frame(&CborCodec, frame.freeze(), &CodecLimits::default())
    }

    #[test]
    fn every_bit_that_is_inverted_and_every_byte_that_is_missing_shows() {
        let whole = frame(&Message::Unsubscribe(ViewId(300)));
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = read(damaged).expect_err("it is damaged");
            assert_eq!(
                (error.kind(), error.is_retryable()),
                (ErrorKind::Corrupt, true)
            );
        }
        for length in 0..whole.len() {
            let error = read(whole[..length].into()).expect_err("it is cut");
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    }

    #[test]
    fn frames_follow_each_other_in_one_buffer() {
        let mut buffer = frame(&Message::Ping(1));
        let first = buffer.len();
        write_frame(&CborCodec, &Message::Ping(2), &mut buffer).expect("encodes");
        let second = buffer.split_off(first);
        assert_eq!(read(buffer).expect("is whole"), Message::Ping(1));
        assert_eq!(read(second).expect("is whole"), Message::Ping(2));
    }

    #[test]
    fn a_frame_without_room_for_its_check_is_refused_and_leaves_the_buffer() {
        let message = |bytes| Message::Renew {
            token: "x".repeat(bytes),
        };
        let envelope = frame(&message(MAX_FRAME_BYTES / 2)).len() - MAX_FRAME_BYTES / 2;
        let most = MAX_FRAME_BYTES - envelope;
        assert_eq!(frame(&message(most)).len(), MAX_FRAME_BYTES);
        let mut buffer = BytesMut::from(&b"before"[..]);
        let error = write_frame(&CborCodec, &message(most + 1), &mut buffer);
        assert_eq!(error.expect_err("no room").kind(), ErrorKind::TooLarge);
        assert_eq!(&buffer[..], b"before");
    }
}
