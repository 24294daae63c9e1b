//! What a client sends while a server puts its writes off.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use grid_core::codec::CborCodec;
use grid_core::protocol::{Deferred, FrameChain, Message, Push, Welcome, read_frame};
use grid_core::traits::{CodecLimits, Connection};

use crate::scripted::{frame, plain_welcome};
use crate::world::{SERVER, URL, World, run};

/// The server's end of a connection.
struct Peer {
    connection: Arc<dyn Connection>,
    sent: FrameChain,
    /// What arrived and was not looked at yet.
    arrived: Vec<Bytes>,
}

impl Peer {
    async fn greet(connection: Arc<dyn Connection>) -> Self {
        let mut peer = Self {
            connection,
            sent: FrameChain::default(),
            arrived: Vec::new(),
        };
        let mut hello = Vec::new();
        peer.connection.receive(&mut hello, 1).await.unwrap();
        peer.send(&Message::Welcome(Welcome {
            heartbeat_ms: 10_000,
            ..plain_welcome()
        }))
        .await;
        peer
    }

    async fn send(&mut self, message: &Message) {
        let frame = frame(message);
        self.sent.add(&frame);
        self.connection.send(&[frame]).await.unwrap();
    }

    /// The next push and its bytes. It answers pings meanwhile.
    async fn push(&mut self) -> (Push, usize) {
        loop {
            if self.arrived.is_empty() {
                let arrived = &mut self.arrived;
                self.connection.receive(arrived, 1).await.unwrap();
            }
            let frame = self.arrived.remove(0);
            let bytes = frame.len();
            match read_frame(&CborCodec, frame, &CodecLimits::default()).unwrap() {
                Message::Push(push) => return (push, bytes),
                Message::Ping(_) => {
                    let pong = Message::Pong(self.sent.value());
                    self.send(&pong).await;
                }
                _ => {}
            }
        }
    }

    async fn put_off(&mut self, push: &Push) {
        self.send(&Message::Deferred(Deferred {
            run: push.run,
            from: push.begins(),
            message: "not now".to_owned(),
            retry_after_ms: 250,
        }))
        .await;
    }
}

/// A client with 90 writes of 20 bytes each, for which a window of 100 is open.
async fn client(world: &World) -> (grid_client::Grid, Peer) {
    let listener = world.network.transport(SERVER).listen(URL).await.unwrap();
    let grid = world.open(&world.device(0)).await;
    let map = grid.map::<String>("m").unwrap();
    for number in 0..90 {
        let value = "x".repeat(20);
        drop(map.put(&format!("k{number}"), &value).await.unwrap());
    }
    let peer = Peer::greet(listener.accept().await.unwrap()).await;
    (grid, peer)
}

/// It sent its whole window four times a second: 11,400 bytes a second of these writes.
#[test]
fn a_client_that_is_put_off_asks_rarely_and_with_one_write() {
    run(93, |world| async move {
        let (grid, mut peer) = client(&world).await;
        let start = world.elapsed();
        let (mut early, mut late) = (0, Vec::new());
        while world.elapsed() < start + Duration::from_secs(130) {
            let (push, bytes) = peer.push().await;
            if world.elapsed() < start + Duration::from_secs(10) {
                early += bytes;
            } else {
                late.push((push.ops.len(), bytes));
            }
            peer.put_off(&push).await;
        }
        assert!(early < 8_000, "{early} bytes in ten seconds");
        assert!(late.iter().all(|(ops, _)| *ops == 1), "{late:?}");
        let a_second = late.iter().map(|(_, bytes)| bytes).sum::<usize>() / 120;
        assert!(a_second < 50, "{a_second} bytes a second");
        assert!(late.len() >= 30, "it finds a server that is well again");
        assert_eq!(grid.status().pending, 90);
        world.soon("end", grid.close()).await.unwrap();
    });
}

/// The verdict of that write may wait for the database.
#[test]
fn what_is_behind_a_write_that_has_no_answer_follows_in_time() {
    run(94, |world| async move {
        let (grid, mut peer) = client(&world).await;
        for _ in 0..2 {
            let (push, _) = peer.push().await;
            peer.put_off(&push).await;
        }
        let (push, _) = peer.push().await;
        assert_eq!(push.ops.len(), 1);
        let sent = world.elapsed();
        let (rest, _) = peer.push().await;
        let waited = world.elapsed() - sent;
        assert!(waited < Duration::from_millis(1_200), "{waited:?}");
        assert_eq!((rest.previous, rest.ops.len()), (1, 89));
        world.soon("end", grid.close()).await.unwrap();
    });
}
