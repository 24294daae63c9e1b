//! A connection on which a program speaks the protocol by hand.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use grid_core::codec::CborCodec;
use grid_core::protocol::{FrameChain, Hello, Message, read_frame, write_frame};
use grid_core::traits::{CodecLimits, Connection, Runtime, Transport};
use grid_core::{Namespace, Result, RunId};

/// Most frames that are taken at once.
const FRAMES: usize = 64;

/// A connection to a server, on which no code of the client's stands in between.
#[derive(Debug)]
pub struct Link {
    connection: Arc<dyn Connection>,
    arrived: VecDeque<Bytes>,
    sent: FrameChain,
}

impl Link {
    /// Connects to the server at `url`, and greets it as `run`, without a token; returns what it
    /// answers, too: a `Welcome`, if it lets us in.
    ///
    /// # Errors
    /// As those of the transport, and `Protocol` for a frame that cannot be read.
    pub async fn open(
        transport: &dyn Transport,
        runtime: &dyn Runtime,
        url: &str,
        run: RunId,
    ) -> Result<(Self, Message)> {
        let mut link = Self {
            connection: transport.connect(url).await?,
            arrived: VecDeque::new(),
            sent: FrameChain::default(),
        };
        let hello = Message::Hello(Hello {
            min_version: 1,
            max_version: 1,
            codecs: vec!["cbor".to_owned()],
            namespace: Namespace::default(),
            token: None,
            run,
            now_ms: runtime.now_ms(),
        });
        link.send(&hello).await?;
        let answer = link.next().await?;
        Ok((link, answer))
    }

    /// Sends a message.
    ///
    /// # Errors
    /// As those of the connection.
    pub async fn send(&mut self, message: &Message) -> Result<()> {
        let mut buffer = BytesMut::new();
        write_frame(&CborCodec, message, &mut buffer)?;
        let frame = buffer.freeze();
        self.sent.add(&frame);
        self.connection.send(&[frame]).await
    }

    /// The next message but for signs of life, which are answered.
    ///
    /// # Errors
    /// As those of the connection, and `Protocol` for a frame that cannot be read.
    pub async fn next(&mut self) -> Result<Message> {
        loop {
            let Some(frame) = self.arrived.pop_front() else {
                let mut frames = Vec::new();
                self.connection.receive(&mut frames, FRAMES).await?;
                self.arrived.extend(frames);
                continue;
            };
            match read_frame(&CborCodec, frame, &CodecLimits::default())? {
                Message::Ping(_) => {
                    let pong = Message::Pong(self.sent.value());
                    self.send(&pong).await?;
                }
                message => return Ok(message),
            }
        }
    }

    /// Whether more has arrived together with what was taken last.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// Ends the connection.
    pub async fn close(self) {
        self.connection.close().await;
    }
}
