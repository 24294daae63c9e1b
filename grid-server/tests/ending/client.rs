//! A client that speaks the protocol by hand, over a real socket.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use grid_core::codec::CborCodec;
use grid_core::op::Op;
use grid_core::protocol::{Hello, Message, Push, read_frame, write_frame};
use grid_core::traits::{CodecLimits, Connection, Runtime, Transport};
use grid_core::{Key, Namespace, RunId};
use grid_runtime_tokio::TokioRuntime;
use grid_testkit::op;
use grid_transport_websocket::WebSocketTransport;

pub(crate) const OPS_PER_PUSH: u64 = 20;

/// A client that speaks the protocol by hand.
pub(crate) struct Client {
    connection: Arc<dyn Connection>,
    arrived: Vec<Bytes>,
}

impl Client {
    pub(crate) async fn connect(url: &str) -> Self {
        let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current().unwrap());
        let now_ms = runtime.now_ms();
        let connection = WebSocketTransport::new(runtime).connect(url).await.unwrap();
        let mut client = Self {
            connection,
            arrived: Vec::new(),
        };
        let hello = Message::Hello(Hello {
            min_version: 1,
            max_version: 1,
            codecs: vec!["cbor".to_owned()],
            namespace: Namespace::default(),
            token: None,
            run: RunId(1),
            now_ms,
        });
        assert!(client.send(&hello).await);
        assert!(matches!(client.next().await, Some(Message::Welcome(_))));
        client
    }

    /// Whether the connection took it.
    pub(crate) async fn send(&self, message: &Message) -> bool {
        let mut frame = BytesMut::new();
        write_frame(&CborCodec, message, &mut frame).unwrap();
        self.connection.send(&[frame.freeze()]).await.is_ok()
    }

    /// The next message; none when the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        if self.arrived.is_empty() {
            self.connection.receive(&mut self.arrived, 1).await.ok()?;
        }
        let frame = self.arrived.remove(0);
        Some(read_frame(&CborCodec, frame, &CodecLimits::default()).unwrap())
    }
}

pub(crate) fn key(run: u64, number: u64) -> Key {
    Key::new(&format!("{run}/{number}")).unwrap()
}

pub(crate) fn push(run: u64, first: u64) -> Message {
    let put = |number| Op {
        key: key(run, number),
        ..op(RunId(run), number)
    };
    Message::Push(Push {
        run: RunId(run),
        resume: false,
        previous: first - 1,
        ops: (first..first + OPS_PER_PUSH).map(put).collect(),
    })
}
