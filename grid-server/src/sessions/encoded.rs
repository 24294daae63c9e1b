//! Messages that go to many, encoded once for each codec in use.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use grid_core::Result;
use grid_core::protocol::{Message, write_frame};
use grid_core::traits::Codec;

/// The codecs of a server, and their numbers within it.
pub(crate) type Codecs = Arc<[Arc<dyn Codec>]>;

/// Some messages, and their frames in those codecs that somebody asked for.
#[derive(Debug)]
pub(crate) struct Encoded {
    codecs: Codecs,
    messages: Vec<Message>,
    frames: Vec<Option<Arc<[Bytes]>>>,
}

impl Encoded {
    pub(crate) fn new(codecs: &Codecs, messages: Vec<Message>) -> Self {
        Self {
            codecs: codecs.clone(),
            messages,
            frames: vec![None; codecs.len()],
        }
    }

    /// The frames in the codec of this number.
    ///
    /// # Errors
    /// As the codec's.
    pub(crate) fn frames(&mut self, codec: usize) -> Result<Arc<[Bytes]>> {
        if let Some(frames) = &self.frames[codec] {
            return Ok(frames.clone());
        }
        let frames: Arc<[Bytes]> = self
            .messages
            .iter()
            .map(|message| encode(&*self.codecs[codec], message))
            .collect::<Result<_>>()?;
        self.frames[codec] = Some(frames.clone());
        Ok(frames)
    }
}

/// One message as a frame.
///
/// # Errors
/// As the codec's.
pub(crate) fn encode(codec: &dyn Codec, message: &Message) -> Result<Bytes> {
    let mut buffer = BytesMut::new();
    write_frame(codec, message, &mut buffer)?;
    Ok(buffer.freeze())
}
