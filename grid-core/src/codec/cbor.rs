//! The codec of the protocol that every peer speaks.

use bytes::{BufMut, Bytes, BytesMut};

use super::hello::{decode_hello, encode_hello, is_hello};
use super::message;
use super::reader::Reader;
use super::writer::Writer;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_FRAME_BYTES, MAX_ITEMS_PER_MESSAGE};
use crate::protocol::{FRAME_PLAIN, Message};
use crate::traits::{Codec, CodecLimits};

/// Messages as positional CBOR: one byte [`FRAME_PLAIN`], then `[kind, field, …]`.
///
/// `Hello`, `Welcome` and `Refused` travel in this codec whatever is agreed later; a `Hello` also
/// stands behind the magic, as [`crate::codec::write_hello`] tells.
#[derive(Debug, Clone, Copy, Default)]
pub struct CborCodec;

impl CborCodec {
    /// The name by which peers agree on this codec.
    pub const NAME: &'static str = "cbor";
}

impl Codec for CborCodec {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn encode(&self, message: &Message, buffer: &mut BytesMut) -> Result<()> {
        let start = buffer.len();
        let written = write_frame(message, buffer, start);
        if written.is_err() {
            buffer.truncate(start);
        }
        written
    }

    fn decode(&self, frame: Bytes, limits: &CodecLimits) -> Result<Message> {
        if is_hello(&frame) {
            return decode_hello(&frame, limits).map(Message::Hello);
        }
        let mut reader = Reader::of_frame(&frame, limits)?;
        match reader.raw_byte()? {
            FRAME_PLAIN => {}
            other => {
                return Err(reader.error(format!(
                    "the frame starts with byte {other}, which names no encoding that this \
                     version reads"
                )));
            }
        }
        let message = message::read(&mut reader)?;
        reader.finish()?;
        Ok(message)
    }
}

fn write_frame(message: &Message, buffer: &mut BytesMut, start: usize) -> Result<()> {
    if let Message::Hello(hello) = message {
        return encode_hello(hello, buffer);
    }
    buffer.put_u8(FRAME_PLAIN);
    let mut writer = Writer::new(buffer);
    message::write(&mut writer, message)?;
    let longest = writer.longest_list();
    check_bounds(longest, buffer.len() - start)
}

/// Refuses what no peer would read.
pub(super) fn check_bounds(longest_list: usize, bytes: usize) -> Result<()> {
    let (what, found, most) = if longest_list > MAX_ITEMS_PER_MESSAGE {
        ("items in one list", longest_list, MAX_ITEMS_PER_MESSAGE)
    } else if bytes > MAX_FRAME_BYTES {
        ("bytes", bytes, MAX_FRAME_BYTES)
    } else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::TooLarge,
        "encode frame",
        format!("the message has {found} {what}; at most {most} are allowed: split it"),
    ))
}
