//! A client of the server that speaks the protocol over a WebSocket and keeps so many ops under
//! way.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use grid_core::codec::CborCodec;
use grid_core::op::{Action, Op};
use grid_core::protocol::{FrameChain, Hello, Message, Push, read_frame, write_frame};
use grid_core::traits::{CodecLimits, Connection, Runtime, Transport};
use grid_core::{Error, ErrorKind, Hlc, Key, Namespace, OpId, Result, RunId};
use grid_transport_websocket::WebSocketTransport;

use super::super::sample;

/// Frames that are read at once.
const FRAMES: usize = 64;

/// One connection.
pub(super) struct Loader {
    connection: Arc<dyn Connection>,
    runtime: Arc<dyn Runtime>,
    arrived: VecDeque<Bytes>,
    sent: FrameChain,
    run: RunId,
    /// The number of the last op that was pushed.
    pushed: u64,
    value: Bytes,
}

impl Loader {
    /// Connects, and is let in.
    pub(super) async fn connect(
        runtime: &Arc<dyn Runtime>,
        url: &str,
        run: u64,
        value: Bytes,
    ) -> Result<Self> {
        let transport = WebSocketTransport::new(runtime.clone());
        let mut loader = Self {
            connection: transport.connect(url).await?,
            runtime: runtime.clone(),
            arrived: VecDeque::new(),
            sent: FrameChain::default(),
            run: RunId(run),
            pushed: 0,
            value,
        };
        let hello = Message::Hello(Hello {
            min_version: 1,
            max_version: 1,
            codecs: vec!["cbor".to_owned()],
            namespace: Namespace::default(),
            token: None,
            run: loader.run,
            now_ms: runtime.now_ms(),
        });
        loader.send(&hello).await?;
        match loader.next().await? {
            Message::Welcome(_) => Ok(loader),
            other => Err(unexpected(&other)),
        }
    }

    /// Writes the entries `keys` in turn, again and again, with `under_way` of them not acknowledged,
    /// for as long as `wants_more` of what is acknowledged; returns how many those are. None is left
    /// under way.
    pub(super) async fn write(
        &mut self,
        keys: Range<u32>,
        under_way: u32,
        wants_more: impl Fn(u64) -> bool,
    ) -> Result<u64> {
        let mut keys = keys.cycle();
        let (mut acknowledged, mut pending) = (0, 0);
        let mut room = u64::from(under_way);
        loop {
            if wants_more(acknowledged) {
                self.push(keys.by_ref().take(usize::try_from(room).unwrap_or(0)))
                    .await?;
                pending += room;
            } else if pending == 0 {
                return Ok(acknowledged);
            }
            room = self.acks().await?;
            acknowledged += room;
            pending -= room;
        }
    }

    async fn push(&mut self, keys: impl Iterator<Item = u32>) -> Result<()> {
        let previous = self.pushed;
        let map = sample::address()?.map;
        let now = self.runtime.now_ms();
        let ops = keys
            .map(|key| {
                self.pushed += 1;
                Ok(Op {
                    id: OpId {
                        run: self.run,
                        number: self.pushed,
                    },
                    hlc: Hlc::new(now, u16::try_from(self.pushed % 60_000).unwrap_or(0)),
                    map: map.clone(),
                    // Without a `/`, which would keep all of them in one partition.
                    key: Key::new(&format!("customer-{key:08}"))?,
                    action: Action::Put {
                        value: self.value.clone(),
                        ttl_ms: None,
                    },
                    base: Hlc::ZERO,
                    if_version: None,
                    schema: 0,
                    ack: None,
                })
            })
            .collect::<Result<_>>()?;
        let push = Message::Push(Push {
            run: self.run,
            resume: false,
            previous,
            ops,
        });
        self.send(&push).await
    }

    /// Waits for acknowledgements; returns of how many ops.
    async fn acks(&mut self) -> Result<u64> {
        let mut ops = 0;
        loop {
            match self.next().await? {
                Message::Ack(ack) if ack.exceptions.is_empty() => {
                    ops += ack.accepted.iter().map(|range| range.count).sum::<u64>();
                }
                other => return Err(unexpected(&other)),
            }
            // What has come together is answered together, as a client does.
            if ops > 0 && self.arrived.is_empty() {
                return Ok(ops);
            }
        }
    }

    async fn send(&mut self, message: &Message) -> Result<()> {
        let mut buffer = BytesMut::new();
        write_frame(&CborCodec, message, &mut buffer)?;
        let frame = buffer.freeze();
        self.sent.add(&frame);
        self.connection.send(&[frame]).await
    }

    async fn next(&mut self) -> Result<Message> {
        loop {
            if let Some(frame) = self.arrived.pop_front() {
                match read_frame(&CborCodec, frame, &CodecLimits::default())? {
                    Message::Ping(_) => self.send(&Message::Pong(self.sent.value())).await?,
                    message => return Ok(message),
                }
            } else {
                let mut frames = Vec::new();
                self.connection.receive(&mut frames, FRAMES).await?;
                self.arrived.extend(frames);
            }
        }
    }
}

fn unexpected(message: &Message) -> Error {
    Error::new(
        ErrorKind::Protocol,
        "measure persistence",
        format!("the server answered with {message:?}"),
    )
}
