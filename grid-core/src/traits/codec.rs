//! The trait that turns messages into frames and back.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::error::Result;
use crate::limits;
use crate::maybe_send::{MaybeSend, MaybeSync};
use crate::protocol::Message;

/// What a decoder accepts; checked before anything is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodecLimits {
    /// The largest frame, in bytes.
    pub max_frame_bytes: usize,
    /// Most items in one collection.
    pub max_items: usize,
    /// Deepest nesting.
    pub max_depth: usize,
}

impl Default for CodecLimits {
    fn default() -> Self {
        Self {
            max_frame_bytes: limits::MAX_FRAME_BYTES,
            max_items: limits::MAX_ITEMS_PER_MESSAGE,
            max_depth: limits::MAX_CBOR_DEPTH,
        }
    }
}

/// An encoding of the protocol's messages. Values stay CBOR bytes under every codec.
///
/// A frame here is one without its check: [`crate::protocol::write_frame`] adds that to what any
/// codec encoded, and [`crate::protocol::read_frame`] takes it off before any codec decodes.
pub trait Codec: MaybeSend + MaybeSync + fmt::Debug + 'static {
    /// The name by which the two sides agree on the codec.
    fn name(&self) -> &'static str;

    /// Appends the encoding of `message` to `buffer`; after an error `buffer` is as it was.
    ///
    /// # Errors
    /// `TooLarge` when the message cannot be encoded within the protocol's bounds, `Invalid` when
    /// it contradicts itself: a push whose ops are not of its run in ascending order of their
    /// numbers, an empty range of numbers.
    fn encode(&self, message: &Message, buffer: &mut BytesMut) -> Result<()>;

    /// The message in `frame`; keys and values share the frame's memory.
    ///
    /// # Errors
    /// `Protocol` when the frame is no message, which one that was cut short or lengthened is not
    /// either; `TooLarge` when it exceeds `limits`; `Version` for a hello that is too old. Never
    /// panics, whatever the bytes.
    fn decode(&self, frame: Bytes, limits: &CodecLimits) -> Result<Message>;
}
