//! A client of the server that speaks the protocol over a WebSocket and keeps so many ops under
//! way.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use grid_core::op::{Action, Op};
use grid_core::protocol::{Message, Push};
use grid_core::traits::Runtime;
use grid_core::{Error, ErrorKind, Hlc, OpId, Result, RunId};
use grid_testkit::Link;
use grid_transport_websocket::WebSocketTransport;

use super::super::sample;
use super::workload::client_key;

/// One connection.
pub(super) struct Loader {
    link: Link,
    runtime: Arc<dyn Runtime>,
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
        let run = RunId(run);
        let (link, answer) = Link::open(&transport, &**runtime, url, run).await?;
        match answer {
            Message::Welcome(_) => Ok(Self {
                link,
                runtime: runtime.clone(),
                run,
                pushed: 0,
                value,
            }),
            other => Err(unexpected(&other)),
        }
    }

    /// Writes the entries `keys` in turn, again and again, with `under_way` of them not
    /// acknowledged, for as long as `wants_more` of what is acknowledged; returns how many those
    /// are. None is left under way.
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
                    key: client_key(key)?,
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
        self.link.send(&push).await
    }

    /// Waits for acknowledgements; returns of how many ops.
    async fn acks(&mut self) -> Result<u64> {
        let mut ops = 0;
        loop {
            match self.link.next().await? {
                Message::Ack(ack) if ack.exceptions.is_empty() => {
                    ops += ack.accepted.iter().map(|range| range.count).sum::<u64>();
                }
                other => return Err(unexpected(&other)),
            }
            // What has come together is answered together, as a client does.
            if ops > 0 && !self.link.has_more() {
                return Ok(ops);
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
